package io.github.homingmqtt

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path
import java.util.concurrent.atomic.AtomicInteger
import kotlin.io.path.exists
import kotlin.io.path.readBytes

/** With both variants of the native library: the build says which one it has given. */
class EncryptedStoreTest {
    @TempDir
    lateinit var folder: Path

    private val store get() = folder.resolve("home.db")
    private val encrypted = System.getProperty("homing.encryption") == "true"

    private fun options(byte: Int) = Options(store, connect = false, key = { key(byte) })

    private fun key(byte: Int) = ByteArray(32) { byte.toByte() }

    @Test
    fun `a key protects the store, or is refused`() =
        test {
            if (encrypted) protects() else refused()
        }

    private suspend fun protects() {
        val secret = "nobody reads this on the disk"
        Homing.open(options(1)).use { home ->
            val id = home.publish("home/light", secret)
            home.shutDown()
            assertFalse(files().any { secret in it.decodeToString() || "home/light" in it.decodeToString() })
            fails<HomingException.WrongKey> { Homing.open(options(2)) }
            fails<HomingException.WrongKey> { Homing.open(offline(store)) }
            fails<HomingException.WrongKey> { Reader.open(store) { key(2) } }
            fails<HomingException> { Homing.open(Options(store, connect = false, key = { ByteArray(31) })) }
            fails<HomingException> { Homing.open(Options(store, connect = false, key = { error("it is locked") })) }
            Reader.open(store) { key(1) }.use { assertEquals(Fate.Waiting, it.fate(id)) }
            Mailbox.open(store) { key(1) }.use { it.post(Publish("home/door", "open")) }
        }
        val asked = AtomicInteger()
        val current = AtomicInteger(1)
        val changing =
            Options(store, connect = false, key = {
                asked.incrementAndGet()
                key(current.get())
            })
        Homing.open(changing).use { home ->
            fails<HomingException.Invalid> { home.rekey(ByteArray(16)) }
            home.rekey(key(3))
            current.set(3)
            home.pause()
            home.resume()
            until { home.counters().outboxMessages == 2L }
        }
        assertTrue(asked.get() >= 2, "${asked.get()}")
        fails<HomingException.WrongKey> { Homing.open(options(1)) }
        Homing.open(options(3)).use { assertEquals(2, it.counters().outboxMessages) }
    }

    private suspend fun refused() {
        val error = fails<HomingException.Unsupported> { Homing.open(options(1)) }
        assertTrue("encryption" in error.message.orEmpty(), error.message)
        assertFalse(store.exists())
        Homing.open(offline(store)).use { home ->
            fails<HomingException.Unsupported> { home.rekey(key(1)) }
            fails<HomingException.Unsupported> { Reader.open(store) { key(1) } }
            fails<HomingException.Unsupported> { Mailbox.open(store) { key(1) } }
        }
    }

    private fun files() = listOf(store, folder.resolve("home.db-wal")).filter { it.exists() }.map { it.readBytes() }
}
