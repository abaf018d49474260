package io.github.homingmqtt

import io.github.homingmqtt.ffi.InternalException
import io.github.homingmqtt.internal.Native
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path
import kotlin.time.Duration
import kotlin.time.Duration.Companion.microseconds
import kotlin.time.Duration.Companion.seconds

/** Bad input is a [HomingException] in words; values at the limits go through. */
class InputTest {
    @TempDir
    lateinit var folder: Path

    private val half = "half \uD83D"

    @Test
    fun `bad calls are errors in words, and store nothing`() =
        test {
            Homing.open(offline(folder.resolve("home.db"))).use { home ->
                val calls =
                    listOf<suspend () -> Unit>(
                        { home.publish("home/light", "on", ttl = (-1).seconds) },
                        { home.publish("home/light", "on", ttl = Duration.ZERO) },
                        { home.publish("home/light", "on", ttl = Duration.INFINITE) },
                        { home.publish("", "on") },
                        { home.publish("home/+", "on") },
                        { home.publish("home/\u0000", "on") },
                        { home.publish(half, "on") },
                        { home.publish("x".repeat(65_536), "on") },
                        { home.publish("home/light", half) },
                        { home.publish(Publish("home/light", byteArrayOf(), supersede = "")) },
                        { home.publish(Publish("home/light", byteArrayOf(), idempotency = "x".repeat(256))) },
                        { home.publish(Publish("home/light", byteArrayOf(), supersede = half)) },
                        {
                            home.publish(
                                Publish("home/light", byteArrayOf(), properties = Properties(contentType = "a\u0000")),
                            )
                        },
                        { home.publish(Publish("home/light", byteArrayOf(), properties = Properties(responseTopic = ""))) },
                        {
                            home.publish(
                                Publish(
                                    "home/light",
                                    byteArrayOf(),
                                    properties = Properties(user = listOf(UserProperty(half, ""))),
                                ),
                            )
                        },
                        { home.subscribe("") },
                        { home.subscribe("home/#/light") },
                        { home.subscribe(half) },
                        // mosquitto closes the link over these, again and again.
                        { home.subscribe("home/\n") },
                        { home.subscribe("home/\uFFFF") },
                        { home.subscribe(Subscription("home/#", id = 0)) },
                        { home.subscribe(Subscription("home/#", id = -1)) },
                        { home.subscribe(Subscription("\$share/group/home/#", noLocal = true)) },
                        { home.unsubscribe("a\u0000b") },
                        { home.consumer("") },
                        { home.consumer("x".repeat(256)) },
                        { home.consumer("a\u0000b") },
                        { home.consumer(half) },
                        { home.consumer("one", listOf("")) },
                        { home.consumer("one", lag = Lag.Skip(0)) },
                        { home.consumer("one", lag = Lag.Skip(-1)) },
                        { home.consumer("one", lag = Lag.Expire((-1).seconds)) },
                        { home.consumer("one", start = Start.After(Position.parse("0".repeat(32) + "-1"))) },
                        { home.consumer().done(Position.parse("0".repeat(32) + "-1")) },
                        { home.consumer().done(Position.parse("${home.storeId}-4711")) },
                        { home.flush((-1).seconds) },
                        { home.sync((-1).seconds) },
                        { home.pause((-1).seconds) },
                        { home.shutDown((-1).seconds) },
                        { home.networkChanged(true, half) },
                        { MessageId.parse("") },
                        { MessageId.parse("4711") },
                        { MessageId.parse("g".repeat(32) + "-1") },
                        { MessageId.parse("0".repeat(32) + "-99999999999999999999") },
                        { Position.parse(home.storeId + "-") },
                        { Publish("home/light", half) },
                        { Credentials("anna", half) },
                    )
                for ((number, call) in calls.withIndex()) {
                    val error = fails<HomingException.Invalid> { call() }
                    assertEquals("invalid", error.code)
                    val text = error.message.orEmpty()
                    assertTrue(text.length > 10 && "code=" !in text && "text=" !in text, "$number: $text")
                }
                fails<HomingException.NoSuchConsumer> { home.removeConsumer("nobody") }
                assertEquals(0L, home.counters().outboxMessages)
                assertEquals(
                    1,
                    home
                        .reader()
                        .use { it.status() }
                        .consumers.size,
                )
            }
        }

    @Test
    fun `bad options are errors in words, and make no file`() =
        test {
            val store = folder.resolve("home.db")
            val wrong =
                listOf(
                    Options(store, "nonsense"),
                    Options(store, ""),
                    Options(store, "mqtt://host\u0000"),
                    Options(store, "mqtt://$half"),
                    Options(store, clientId = half),
                    Options(store, clientId = "a\u0000"),
                    Options(store, keepAlive = (-1).seconds),
                    Options(store, keepAlive = Duration.INFINITE),
                    Options(store, sessionExpiry = (-1).seconds),
                    Options(store, retention = (-1).seconds),
                    Options(store, retry = Retry(2.seconds, 1.seconds)),
                    Options(store, retry = Retry((-2).seconds, 1.seconds)),
                    Options(store, inflight = 0),
                    Options(store, inflight = -1),
                    Options(store, receiveMaximum = 65_536),
                    Options(store, maxPacket = -1),
                    Options(store, maxPayload = -1),
                    Options(store, outboxLimit = Limit(messages = 0)),
                    Options(store, inboxLimit = Limit(bytes = -1)),
                    Options(store, firstConsumer = ""),
                    Options(store, deviceToken = byteArrayOf()),
                    Options(store, proxy = Proxy.Url("ftp://host")),
                    Options(store, "wss://localhost", webSocketHeaders = listOf(Header("a b", "c"))),
                    Options(store, "mqtts://localhost", tls = Tls(Trust.Roots("no certificate"))),
                    Options(store, "mqtts://localhost", tls = Tls(pins = listOf("sha256/x"))),
                    Options(store, "mqtt://localhost", tls = Tls(serverName = "localhost")),
                    Options(store, credentials = Credentials("a\u0000")),
                    Options(store, will = Will(Publish("home/#", "gone"))),
                    Options(store, will = Will(Publish("home", "gone"), (-1).seconds)),
                    Options(store, profile = Profile.Tencent("", "", "not base64")),
                    Options(store, glance = Glance(listOf("#/x"))),
                )
            for ((number, options) in wrong.withIndex()) {
                val error = fails<HomingException.Invalid> { Homing.open(options) }
                assertTrue(error.message.orEmpty().length > 10, "$number: ${error.message}")
            }
            assertEquals(
                emptyList<String>(),
                folder
                    .toFile()
                    .list()
                    .orEmpty()
                    .toList(),
            )
        }

    @Test
    fun `values at the limits go through`() =
        test {
            Mosquitto.start().use { broker ->
                Homing.open(folder.resolve("home.db"), broker.url).use { home ->
                    home.subscribe("#")
                    val consumer = home.consumer()
                    val million = ByteArray(1 shl 20) { (it % 251).toByte() }
                    val topics = listOf("🏠/💡", "a/" + "x".repeat(65_533), "ключ/鍵/🗝️")
                    for (topic in topics) {
                        for (payload in listOf(byteArrayOf(), million, byteArrayOf(0))) {
                            home.publish(topic, payload, ttl = 1.microseconds.plus(100.seconds))
                            val message = consumer.messages().first()
                            assertEquals(topic, message.topic)
                            assertArrayEquals(payload, message.payload)
                            consumer.done(message)
                        }
                    }
                    home.publish("home/text", "🏠 text")
                    val properties =
                        Properties(
                            true,
                            "text/plain",
                            "home/answer",
                            byteArrayOf(1, 2),
                            listOf(UserProperty("a", "🏠"), UserProperty("a", "")),
                        )
                    home.publish(Publish("home/properties", byteArrayOf(), properties = properties))
                    val text = consumer.messages().first()
                    assertEquals("🏠 text", text.text)
                    consumer.done(text)
                    assertEquals(properties, consumer.messages().first().properties)
                }
            }
        }

    @Test
    fun `a payload over the limit is refused`() =
        test {
            Homing.open(Options(folder.resolve("home.db"), connect = false, maxPayload = 1_000)).use { home ->
                home.publish("home/light", ByteArray(1_000))
                val error = fails<HomingException.PayloadTooLarge> { home.publish("home/light", ByteArray(1_001)) }
                assertTrue("1001" in error.message.orEmpty() && "1000" in error.message.orEmpty(), error.message)
            }
            Homing.open(Options(folder.resolve("full.db"), connect = false, outboxLimit = Limit(1, 1_000))).use { home ->
                home.publish("home/light", "on")
                assertEquals("limit_reached", fails<HomingException.LimitReached> { home.publish("home/light", "on") }.code)
            }
            val refuse = Options(folder.resolve("zero.db"), connect = false, qos0Offline = Qos0Offline.Refuse)
            Homing.open(refuse).use { home ->
                fails<HomingException.Offline> { home.publish("home/light", "on", QoS.AtMostOnce) }
            }
        }

    @Test
    fun `a panic of the library is an internal error without its words`() {
        val error = Native.readable(InternalException("panicked at payload-4711"))
        assertTrue(error is HomingException.Internal && error.code == "internal")
        assertFalse("4711" in error.stackTraceToString())
    }
}
