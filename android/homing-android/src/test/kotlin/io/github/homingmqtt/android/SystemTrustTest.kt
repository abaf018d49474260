package io.github.homingmqtt.android

import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.Options
import io.github.homingmqtt.Trouble
import io.github.homingmqtt.support.Broker
import io.github.homingmqtt.support.until
import org.junit.After
import org.junit.AfterClass
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import java.security.cert.CertificateException
import java.util.concurrent.CopyOnWriteArrayList

/** A TLS broker, and options that say nothing of trust. */
@RunWith(RobolectricTestRunner::class)
class SystemTrustTest {
    private val app = testApp()
    private val hosts = CopyOnWriteArrayList<String>()

    @Before
    fun install() {
        FakeAndroid.install()
        FakeAndroid.trust = { chain, host ->
            hosts.add(host)
            authority.judge(chain)
        }
    }

    @After
    fun end() {
        app.onTerminate()
        FakeAndroid.remove()
    }

    private fun broker(host: String) = certificates.getOrPut(host) { authority.server(host) }.let(Broker::start)

    private fun open(port: Int): Homing {
        app.options = Options(HomingFiles(app).store, "mqtts://localhost:$port")
        return app.client()
    }

    private fun Homing.trouble(): Trouble {
        until("a refusal, but ${state.value}") { state.value is ConnectionState.Waiting }
        return (state.value as ConnectionState.Waiting).trouble
    }

    @Test
    fun `the system's trust manager is asked with the host`() {
        broker("localhost").use { broker ->
            open(broker.port).untilOnline()
            assertEquals(listOf("localhost"), hosts)
        }
    }

    @Test
    fun `a certificate of nobody that the system trusts`() {
        FakeAndroid.trust = { _, _ -> throw CertificateException("Trust anchor for certification path not found.") }
        broker("localhost").use { broker ->
            val trouble = open(broker.port).trouble()
            assertEquals(Trouble.Kind.Tls, trouble.kind)
            assertTrue(trouble.text, "Trust anchor for certification path not found." in trouble.text)
        }
    }

    @Test
    fun `a certificate that is trusted but for another host`() {
        broker("another.example").use { broker ->
            val trouble = open(broker.port).trouble()
            assertEquals(Trouble.Kind.Tls, trouble.kind)
            assertTrue(trouble.text, "another.example" in trouble.text)
            assertEquals("the chain was judged first", listOf("localhost"), hosts.distinct())
        }
    }

    @Test
    fun `a broker without TLS needs no trust`() {
        Broker.start().use { broker ->
            app.options = Options(HomingFiles(app).store, broker.url)
            app.client().untilOnline()
            assertTrue(hosts.isEmpty())
        }
    }

    private companion object {
        val authority = Authority()
        val certificates = mutableMapOf<String, String>()

        @JvmStatic
        @AfterClass
        fun delete() = authority.close()
    }
}
