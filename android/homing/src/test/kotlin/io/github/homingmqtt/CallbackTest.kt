package io.github.homingmqtt

import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Files
import java.nio.file.Path
import java.security.cert.CertificateException
import java.security.cert.X509Certificate
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.CountDownLatch
import kotlin.io.path.readBytes
import kotlin.io.path.writeText
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime

/** What an app is asked, and may answer badly: credentials, trust, the log. */
class CallbackTest {
    @TempDir
    lateinit var folder: Path

    private val retry = Retry(10.milliseconds, 50.milliseconds)

    private suspend fun Homing.trouble(kind: Trouble.Kind): Trouble =
        state
            .first {
                (it as? ConnectionState.Waiting)?.trouble?.kind == kind
            }.let { (it as ConnectionState.Waiting).trouble }

    @Test
    fun `a provider's credentials are used, and it is told why it is asked`() =
        test {
            Mosquitto.start(lines = ::passwords).use { broker ->
                val asked = ConcurrentLinkedQueue<CredentialsRequest.Why>()
                val provider =
                    CredentialsProvider { request ->
                        asked += request.why
                        assertEquals(broker.port, request.port)
                        Credentials("anna", if (asked.size == 1) "wrong" else "secret")
                    }
                val store = folder.resolve("home.db")
                Homing.open(Options(store, broker.url, credentials = provider, retry = retry)).use { home ->
                    assertEquals("not authorized", home.trouble(Trouble.Kind.Broker).reason?.text)
                    // It would be asked again in five minutes, and told that they were refused.
                    home.credentialsChanged()
                    home.online()
                    assertEquals(CredentialsRequest.Why.First, asked.first())
                    assertEquals(2, asked.size)
                }
                Homing.open(Options(store, broker.url, credentials = Credentials("anna", "secret"))).use { it.online() }
            }
        }

    private fun passwords(folder: Path): String {
        // Made by mosquitto_passwd: anna, secret.
        val file = folder.resolve("passwords").apply { writeText("anna:secret\n") }
        val made = ProcessBuilder("mosquitto_passwd", "-U", file.toString()).redirectErrorStream(true).start()
        val said = made.inputStream.bufferedReader().readText()
        check(made.waitFor() == 0) { "mosquitto_passwd: $said" }
        return "allow_anonymous false\npassword_file $file"
    }

    @Test
    fun `whatever a provider throws is trouble in words, never its words`() =
        test(120.seconds) {
            Mosquitto.start().use { broker ->
                val thrown =
                    listOf(
                        CredentialsException.Unavailable("token-4711"),
                        CredentialsException.SignedOut("token-4711"),
                        IllegalStateException("token-4711"),
                        AssertionError("token-4711"),
                        StackOverflowError("token-4711"),
                        kotlinx.coroutines.CancellationException("token-4711"),
                    )
                for (error in thrown) {
                    val options =
                        Options(
                            folder.resolve("home.db"),
                            broker.url,
                            credentials = CredentialsProvider { throw error },
                            retry = retry,
                        )
                    Homing.open(options).use { home ->
                        val trouble = home.trouble(Trouble.Kind.Credentials)
                        assertTrue(trouble.text.isNotBlank())
                        assertFalse("4711" in trouble.text, trouble.text)
                        // It lives, and does everything else.
                        home.publish("home/light", "on")
                    }
                }
            }
        }

    @Test
    fun `a provider that blocks or never comes back holds up nobody`() =
        test {
            Mosquitto.start().use { broker ->
                val blocked = CountDownLatch(1)
                val providers =
                    listOf(
                        CredentialsProvider {
                            blocked.await()
                            Credentials("anna")
                        },
                        CredentialsProvider { awaitCancellation() },
                    )
                for (provider in providers) {
                    val home = Homing.open(Options(folder.resolve("home.db"), broker.url, credentials = provider))
                    home.state.first { it is ConnectionState.Connecting }
                    home.publish("home/light", "on")
                    home.subscribe("home/#")
                    val took = measureTime { home.shutDown(100.milliseconds) }
                    assertTrue(took < 5.seconds, "$took")
                }
                blocked.countDown()
            }
        }

    private suspend fun tls(
        trust: Trust,
        body: suspend (Homing) -> Unit,
    ) = tls({ trust }, body)

    private suspend fun tls(
        trust: (Certificates) -> Trust,
        body: suspend (Homing) -> Unit,
    ) {
        // Made anew each time: nobody trusts it who trusted the one before.
        val certificates = Certificates(Files.createTempDirectory(folder, "server"))
        val lines = { _: Path -> "certfile ${certificates.chain}\nkeyfile ${certificates.key}" }
        Mosquitto.start(tls = true, lines = lines).use { broker ->
            val options =
                Options(
                    folder.resolve("home.db"),
                    broker.url,
                    tls = Tls(trust(certificates)),
                    retry = retry,
                    sameBroker = true,
                )
            Homing.open(options).use { body(it) }
        }
    }

    @Test
    fun `a trust callback is asked with the chain and the host, and may say yes`() =
        test {
            val asked = ConcurrentLinkedQueue<Pair<List<X509Certificate>, String>>()
            tls(Trust.Custom { chain, host -> asked += chain to host }) { home ->
                home.online()
                val (chain, host) = asked.first()
                assertEquals("CN=localhost", chain.single().subjectX500Principal.name)
                assertEquals("localhost", host)
            }
        }

    @Test
    fun `a trust callback that refuses is shown with its reason, and nothing is sent`() =
        test {
            tls(Trust.Custom { _, _ -> throw CertificateException("the pin is another one") }) { home ->
                val trouble = home.trouble(Trouble.Kind.Tls)
                assertTrue("the pin is another one" in trouble.text, trouble.text)
                assertEquals(0L, home.counters().connects)
            }
        }

    @Test
    fun `a trust callback that breaks down refuses`() =
        test {
            tls(Trust.Custom { _, _ -> error("token-4711") }) { home ->
                val trouble = home.trouble(Trouble.Kind.Tls)
                assertFalse("4711" in trouble.text, trouble.text)
            }
        }

    @Test
    fun `roots trust, the platform does not know this one, and danger takes anyone`() =
        test {
            tls(Trust.Roots(Certificates(folder).chain.readBytes())) { home ->
                assertTrue(home.trouble(Trouble.Kind.Tls).text.isNotBlank())
            }
            tls({ Trust.Roots(it.chain.readBytes()) }) { it.online() }
            tls(Trust.Platform) { assertTrue(it.trouble(Trouble.Kind.Tls).text.isNotBlank()) }
            tls(Trust.DangerousAcceptAnyServer) { it.online() }
        }

    @Test
    fun `an exchange without a provider that knows it fails, and the default does not`() =
        test {
            val provider =
                CredentialsProvider { Credentials("anna", enhanced = EnhancedAuthentication("SCRAM", byteArrayOf(1))) }
            fails<CredentialsException.SignedOut> { provider.continueExchange(Challenge("SCRAM", null, 1)) }
            provider.finishExchange(Challenge("SCRAM", null, 1))
        }

    @Test
    fun `a process has one log, and it holds no payload`() =
        test {
            val lines = ConcurrentLinkedQueue<String>()
            val uncaught = ConcurrentLinkedQueue<Throwable>()
            com.sun.jna.Native
                .setCallbackExceptionHandler { _, error -> uncaught += error }
            HomingLog.install(LogLevel.Debug) { level, target, text ->
                lines += "$level $target $text"
                throw AssertionError("an app's log that throws harms nobody")
            }
            Mosquitto.start().use { broker ->
                Homing.open(folder.resolve("home.db"), broker.url).use { home ->
                    home.settled(home.publish("home/light", "payload-4711"))
                    home.disconnect()
                    // Lines keep their order, so all of the publish are there too.
                    until { lines.any { "Asked" in it } }
                }
            }
            assertTrue(lines.none { "4711" in it }, "$lines")
            assertTrue(uncaught.isEmpty(), "$uncaught")
            fails<HomingException.Invalid> { HomingLog.install(LogLevel.Info) { _, _, _ -> } }
        }
}
