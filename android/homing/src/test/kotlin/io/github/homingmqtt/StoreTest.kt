package io.github.homingmqtt

import io.github.homingmqtt.ffi.uniffiContinuationHandleMap
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.count
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.FileSystems
import java.nio.file.Files
import java.nio.file.Path
import java.time.Instant
import kotlin.io.path.readText
import kotlin.io.path.writeText
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** One driver, readers and mailboxes beside it, and every way for a client to end. */
class StoreTest {
    @TempDir
    lateinit var folder: Path

    @Test
    fun `a second client on a store is refused until the first is closed`() =
        test {
            val store = folder.resolve("home.db")
            val first = Homing.open(offline(store))
            val error = fails<HomingException.StoreInUse> { Homing.open(offline(store)) }
            assertEquals("store_in_use", error.code)
            assertTrue(error.message!!.isNotBlank())
            first.close()
            Homing.open(offline(store)).close()
        }

    @Test
    fun `a client that is closed in the middle ends every wait`() =
        test {
            Mosquitto.start().use { broker ->
                val home = Homing.open(folder.resolve("home.db"), broker.url)
                home.online()
                home.disconnect()
                val id = home.publish("home/light", "on")
                val consumer = home.consumer()
                val messages = async { consumer.messages().count() }
                val consumed = launch { consumer.consume { } }
                val events = async { home.events.count() }
                val settled = async { runCatching { home.settled(id) } }
                val flush = async { runCatching { home.flush(Duration.INFINITE) } }
                val posts = async { runCatching { while (true) home.publish("home/light", "on") } }
                until { home.counters().published > 20 }
                home.close()
                home.close()
                assertEquals(0, messages.await())
                consumed.join()
                events.await()
                for (ended in listOf(settled, flush, posts)) {
                    val error = ended.await().exceptionOrNull()
                    assertTrue(error is HomingException.Closed || error is HomingException.Unknown, "$error")
                }
                assertEquals(ConnectionState.Closed, home.state.value)
            }
        }

    @Test
    fun `the state knows of a pause once it has answered`() =
        test {
            Homing.open(offline(folder.resolve("home.db"))).use { home ->
                repeat(50) {
                    home.pause()
                    assertEquals(ConnectionState.Paused, home.state.value)
                    home.resume()
                    assertTrue(home.state.value != ConnectionState.Paused)
                }
            }
        }

    @Test
    fun `everything after the end is a clear error`() =
        test {
            val store = folder.resolve("home.db")
            val home = Homing.open(offline(store))
            val id = home.publish("home/light", "on")
            val consumer = home.consumer()
            val reader = home.reader()
            val mailbox = Mailbox.open(store)
            home.shutDown()
            home.shutDown()
            home.close()
            val after =
                listOf<suspend () -> Unit>(
                    { home.publish("home/light", "on") },
                    { home.publishAll(listOf(Publish("home/light", "on"))) },
                    { home.fate(id) },
                    { home.settled(id) },
                    { home.cancel(id) },
                    { home.flush() },
                    { home.subscribe("home/#") },
                    { home.unsubscribe("home/#") },
                    { home.consumer() },
                    { home.connect() },
                    { home.disconnect() },
                    { home.sync(1.seconds) },
                    { home.pause() },
                    { home.resume() },
                    { home.held() },
                    { home.networkChanged(true) },
                    { home.counters() },
                    { home.reader() },
                    { home.events.collect() },
                    { consumer.messages().collect() },
                    { consumer.done(Position.parse("${home.storeId}-1")) },
                )
            for (call in after) assertEquals("closed", fails<HomingException.Closed> { call() }.code)
            reader.close()
            fails<HomingException.Closed> { reader.status() }
            mailbox.close()
            fails<HomingException.Closed> { mailbox.post(Publish("home/light", "on")) }
        }

    @Test
    fun `a client that was forgotten is collected, and its store is free`() =
        test(120.seconds) {
            val store = folder.resolve("home.db")
            val waits = uniffiContinuationHandleMap.size
            val threads = drivers()
            repeat(5) {
                forget(store)
                until {
                    System.gc()
                    try {
                        Homing.open(offline(store)).close()
                        true
                    } catch (_: HomingException.StoreInUse) {
                        false
                    }
                }
            }
            until { drivers() <= threads && uniffiContinuationHandleMap.size <= waits }
        }

    private suspend fun forget(store: Path) {
        val home = Homing.open(offline(store))
        home.publish("home/light", "on")
        home.consumer()
    }

    /** Threads that drive a store; 0 where there is no /proc. */
    private fun drivers(): Int {
        val tasks = Path.of("/proc/self/task")
        if (!Files.isDirectory(tasks)) return 0
        val names =
            Files.list(tasks).use { all ->
                all.map { runCatching { it.resolve("comm").readText() }.getOrDefault("") }.toList()
            }
        return names.count { it.startsWith("homing-driver") }
    }

    @Test
    fun `a reader beside the driver sees what it stores`() =
        test {
            Mosquitto.start().use { broker ->
                val store = folder.resolve("home.db")
                Homing.open(store, broker.url).use { home ->
                    home.subscribe("home/#")
                    repeat(3) { home.publish("home/light", "$it", retain = true) }
                    until { home.counters().inboxMessages == 3L }
                    home.disconnect()
                    val id = home.publish("home/door", "open")
                    Reader.open(store).use { reader ->
                        assertEquals(home.storeId, reader.storeId)
                        assertEquals(listOf("2"), reader.last("home/#").items.map { it.message.text })
                        val page = reader.history(max = 2)
                        val rest = reader.history(after = page.next, max = 2)
                        assertEquals(listOf("0", "1", "2"), (page.items + rest.items).map { it.text })
                        assertEquals(
                            "2",
                            reader
                                .history(newestFirst = true)
                                .items
                                .first()
                                .text,
                        )
                        assertEquals(listOf(id), reader.outbox().map { it.id })
                        assertEquals(Fate.Waiting, reader.fate(id))
                        val status = reader.status()
                        assertEquals(1L, status.waiting)
                        assertEquals(listOf("home/#"), status.subscriptions.map { it.filter })
                        assertEquals(emptyList<Gap>(), reader.gaps())
                        assertEquals(emptyList<Incident>(), reader.incidents())
                        fails<HomingException.Invalid> { reader.history(max = 0) }
                        fails<HomingException.Invalid> { reader.history(after = Position.parse("0".repeat(32) + "-1")) }
                        fails<HomingException.Invalid> { reader.outbox(after = MessageId.parse("0".repeat(32) + "-1")) }
                        assertEquals(3, reader.history(since = Instant.MIN, until = Instant.MAX).items.size)
                        assertEquals(0, reader.history(since = Instant.MAX).items.size)
                    }
                }
            }
        }

    @Test
    fun `a mailbox leaves messages for the one who drives`() =
        test {
            val store = folder.resolve("home.db")
            Homing.open(offline(store)).use { home ->
                Mailbox.open(store).use { it.post(Publish("home/light", "on")) }
                until { home.counters().outboxMessages == 1L }
            }
            fails<HomingException.StoreUnavailable> { Mailbox.open(folder.resolve("none.db")) }
            fails<HomingException.StoreUnavailable> { Reader.open(folder.resolve("none.db")) }
        }

    @Test
    fun `sync catches up and comes back`() =
        test {
            Mosquitto.start().use { broker ->
                Homing.open(Options(folder.resolve("home.db"), broker.url, connect = false)).use { home ->
                    home.publish("home/light", "on")
                    val report = home.sync()
                    assertTrue(report.connected && report.drained, "$report")
                    assertEquals(1L, report.sent)
                    home.networkChanged(online = false)
                    home.networkChanged(online = true, id = "wlan")
                }
            }
        }

    @Test
    fun `a path of another file system is refused`() =
        test {
            FileSystems.newFileSystem(folder.resolve("some.zip"), mapOf("create" to "true")).use { zip ->
                // Taken by its name alone it would lie at the root of the machine's own.
                val store = zip.getPath("/homing-of-another-file-system.db")
                fails<HomingException.Invalid> { Homing.open(offline(store)).close() }
                fails<HomingException.Invalid> { Reader.open(store).close() }
                fails<HomingException.Invalid> { Mailbox.open(store).close() }
            }
        }

    @Test
    fun `a file that is no store, a folder and another client id are told apart`() =
        test {
            val text = folder.resolve("text.db").apply { writeText("this is a text\n".repeat(1_000)) }
            assertEquals("not_a_store", fails<HomingException> { Homing.open(offline(text)) }.code)
            assertEquals("not_a_store", fails<HomingException> { Homing.open(offline(folder)) }.code)
            val store = folder.resolve("home.db")
            Homing.open(Options(store, clientId = "one", connect = false)).close()
            val error =
                fails<HomingException.ClientIdMismatch> { Homing.open(Options(store, clientId = "two", connect = false)) }
            assertTrue("one" in error.message!!, error.message)
        }

    @Test
    fun `a crowd uses one client from every dispatcher`() =
        test {
            Homing.open(offline(folder.resolve("home.db"))).use { home ->
                val jobs =
                    List(20) { number ->
                        launch(if (number % 2 == 0) Dispatchers.IO else Dispatchers.Unconfined) {
                            repeat(20) { home.publish("home/$number", "$it") }
                        }
                    }
                jobs.forEach { it.join() }
                assertEquals(400L, home.counters().outboxMessages)
                assertEquals(false, home.flush(1.milliseconds))
            }
        }
}
