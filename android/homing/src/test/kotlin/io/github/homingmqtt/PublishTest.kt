package io.github.homingmqtt

import app.cash.turbine.test
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

class PublishTest {
    @TempDir
    lateinit var folder: Path

    @Test
    fun `a message has a fate, by its id and by its text, also after a restart`() =
        test {
            Mosquitto.start().use { broker ->
                val store = folder.resolve("home.db")
                val kept =
                    Homing.open(offline(store)).use { home ->
                        val id = home.publish("home/light", "on")
                        assertEquals(Fate.Waiting, home.fate(id))
                        id.toString()
                    }
                Homing.open(store, broker.url).use { home ->
                    val id = MessageId.parse(kept)
                    assertEquals(home.storeId, id.store)
                    assertEquals(Fate.Delivered(), home.settled(id))
                    assertEquals(Fate.Delivered(), home.fate(id))
                    assertTrue(home.fate(id).isFinal)
                }
            }
        }

    @Test
    fun `several messages are accepted at once, in order, all or none`() =
        test {
            Homing.open(offline(folder.resolve("home.db"))).use { home ->
                val ids = home.publishAll((1..250).map { Publish("home/$it", "x") })
                assertEquals(ids.sorted(), ids)
                assertEquals(250, ids.toSet().size)
                val error =
                    fails<HomingException.Invalid> { home.publishAll(listOf(Publish("a", "x"), Publish("b/#", "x"))) }
                assertTrue("#" in error.message!!, error.message)
                assertEquals(250, home.counters().outboxMessages)
                assertEquals(emptyList<MessageId>(), home.publishAll(emptyList()))
            }
        }

    @Test
    fun `what waits can be taken back, replaced and left to expire`() =
        test {
            Homing.open(offline(folder.resolve("home.db"))).use { home ->
                val id = home.publish("home/light", "on")
                assertEquals(CancelResult.Cancelled, home.cancel(id))
                assertEquals(Fate.Cancelled, home.fate(id))
                assertEquals(CancelResult.Settled(Fate.Cancelled), home.cancel(id))

                val old = home.publish(Publish("home/light", "1", supersede = "light"))
                val new = home.publish(Publish("home/light", "2", supersede = "light"))
                assertEquals(Fate.Superseded(new), home.fate(old))

                val first = home.publish(Publish("home/order", "1", idempotency = "order 1"))
                assertEquals(first, home.publish(Publish("home/order", "1", idempotency = "order 1")))

                val brief = home.publish("home/light", "off", ttl = 1.milliseconds)
                assertEquals(Fate.Expired, home.settled(brief))
                assertFalse(home.flush(50.milliseconds))
            }
        }

    @Test
    fun `ids of another store, of nothing and of what is not parked are told apart`() =
        test {
            Homing.open(offline(folder.resolve("home.db"))).use { home ->
                val id = home.publish("home/light", "on")
                val other = MessageId.parse("0".repeat(32) + "-1")
                assertEquals(Fate.OtherStore, home.fate(other))
                assertEquals(Fate.OtherStore, home.settled(other))
                fails<HomingException.NoSuchMessage> { home.fate(MessageId.parse("${home.storeId}-4711")) }
                fails<HomingException.NotParked> { home.unpark(id) }
            }
        }

    @Test
    fun `events tell of the link, the grant and the end of a message`() =
        test {
            Mosquitto.start().use { broker ->
                Homing.open(Options(folder.resolve("home.db"), broker.url, connect = false)).use { home ->
                    home.events.test(timeout = 30.seconds) {
                        home.subscribe("home/#", QoS.ExactlyOnce)
                        val id = home.publish("home/light", "on", qos = QoS.ExactlyOnce)
                        home.connect()
                        val seen = mutableListOf<Event>()
                        until {
                            seen += awaitItem()
                            seen.any { it is Event.MessagesSettled }
                        }
                        assertTrue(Event.Subscribed("home/#", QoS.ExactlyOnce) in seen, "$seen")
                        assertTrue(Event.StateChanged(ConnectionState.Online(sessionPresent = false)) in seen, "$seen")
                        assertTrue(Event.MessagesSettled(listOf(Settled(id, Fate.Delivered()))) in seen, "$seen")
                        home.shutDown()
                        while (true) {
                            if (awaitEvent() == app.cash.turbine.Event.Complete) break
                        }
                    }
                }
            }
        }

    @Test
    fun `the state is conflated and names the trouble`() =
        test {
            val home = Homing.open(Options(folder.resolve("home.db"), "mqtt://127.0.0.1:1"))
            val waiting = home.state.filterIsInstance<ConnectionState.Waiting>().first()
            assertEquals(Trouble.Kind.Unreachable, waiting.trouble.kind)
            assertTrue(waiting.trouble.text.isNotBlank())
            home.disconnect()
            home.state.first { it is ConnectionState.Offline && it.trouble.kind == Trouble.Kind.Asked }
            home.shutDown()
            assertEquals(ConnectionState.Closed, home.state.value)
        }
}
