package io.github.homingmqtt.android

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import java.io.File

@RunWith(RobolectricTestRunner::class)
class StoreKeyTest {
    private val app = testApp()
    private val store = HomingFiles(app).store
    private val wrapped = File("$store.key")

    @Before
    fun install() = FakeAndroid.install()

    @After
    fun remove() = FakeAndroid.remove()

    private fun load() = runBlocking { StoreKey.load(store) }.key()

    @Test
    fun `the key is made once and lies on the disk only wrapped`() {
        val key = load()
        assertEquals(32, key.size)
        assertArrayEquals(key, load())
        val spec = FakeAndroid.specs.single()
        assertEquals("homing:homing.db", spec.keystoreAlias)
        assertEquals(256, spec.keySize)
        assertFalse(spec.isUserAuthenticationRequired)
        val content = wrapped.readBytes().toList()
        assertFalse(content.windowed(32).any { it == key.toList() })
        assertTrue(store.startsWith(app.noBackupFilesDir.toPath()))
    }

    @Test
    fun `another store has another key`() {
        val other = HomingFiles(app, "other").store
        assertNotEquals(load().toList(), runBlocking { StoreKey.load(other) }.key().toList())
    }

    @Test
    fun `a lost entry of the keystore is told and nothing is made in its place`() {
        load()
        val before = wrapped.readBytes()
        FakeAndroid.entries.clear()
        val error = assertThrows(StoreKeyException.Lost::class.java) { load() }
        assertTrue(error.message, "no entry homing:homing.db" in error.message.orEmpty())
        assertTrue(FakeAndroid.entries.isEmpty())
        assertArrayEquals(before, wrapped.readBytes())
    }

    @Test
    fun `an invalidated entry and another one are lost keys`() {
        load()
        FakeAndroid.invalidate("homing:homing.db")
        assertThrows(StoreKeyException.Lost::class.java) { load() }
        FakeAndroid.broken = null
        FakeAndroid.entries.clear()
        runBlocking { StoreKey.load(store.resolveSibling("elsewhere").resolve("homing.db")) }
        assertTrue("made anew under the same name", FakeAndroid.entries.isNotEmpty())
        assertThrows(StoreKeyException.Lost::class.java) { load() }
    }

    @Test
    fun `a store without its key stays as it is`() {
        store.toFile().parentFile!!.mkdirs()
        store.toFile().writeText("rows")
        val error = assertThrows(StoreKeyException.Lost::class.java) { load() }
        assertTrue(error.message, "homing.db.key is not" in error.message.orEmpty())
        assertFalse(wrapped.exists())
        assertEquals("rows", store.toFile().readText())
    }

    @Test
    fun `a damaged file is a lost key`() {
        load()
        for (content in listOf(byteArrayOf(), byteArrayOf(9), ByteArray(61), wrapped.readBytes().also { it[40]++ })) {
            wrapped.writeBytes(content)
            assertThrows(StoreKeyException.Lost::class.java) { load() }
        }
    }

    @Test
    fun `a keystore that is busy costs nothing`() {
        val key = load()
        FakeAndroid.busy()
        val error = assertThrows(StoreKeyException.Unavailable::class.java) { load() }
        assertTrue(error.message, "try again later" in error.message.orEmpty())
        FakeAndroid.broken = null
        assertArrayEquals(key, load())
    }

    @Test
    fun `a forgotten key is followed by a new one`() {
        val key = load()
        runBlocking { StoreKey.forget(store) }
        assertTrue(FakeAndroid.entries.isEmpty())
        assertFalse(wrapped.exists())
        assertNotEquals(key.toList(), load().toList())
    }

    @Test
    fun `the device token is made once and for all stores`() {
        val token = HomingFiles(app).deviceToken()
        assertEquals(16, token.size)
        assertArrayEquals(token, HomingFiles(app, "other").deviceToken())
        assertThrows(IllegalArgumentException::class.java) { HomingFiles(app, "../elsewhere") }
    }
}
