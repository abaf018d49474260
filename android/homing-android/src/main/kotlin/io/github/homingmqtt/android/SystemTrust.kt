// Which servers Android trusts: asked for every `mqtts://` and `wss://` broker whose options leave the trust to the platform.

package io.github.homingmqtt.android

import android.net.http.X509TrustManagerExtensions
import io.github.homingmqtt.TrustCheck
import java.security.KeyStore
import java.security.cert.CertificateException
import java.security.cert.X509Certificate
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager

/**
 * The system's authorities, those that the user or the device's owner has added where the app allows it, and the pins and
 * exceptions of the app's network security configuration, which the host decides on.
 *
 * The library `homing` finds it as a service and asks it for [io.github.homingmqtt.Trust.Platform]. It judges the chain; that the
 * certificate is for the host is checked by the caller, in native code.
 */
internal class SystemTrust(
    private val manager: () -> X509TrustManager,
) : TrustCheck {
    /** As a service. */
    @Suppress("unused")
    constructor() : this(::systemManager)

    /** Made anew when the system tells of changed authorities is nothing that Android does in a running process. */
    private val extensions by lazy { X509TrustManagerExtensions(manager()) }

    @Throws(CertificateException::class)
    override fun check(
        chain: List<X509Certificate>,
        host: String,
    ) {
        extensions.checkServerTrusted(chain.toTypedArray(), KEY_EXCHANGE, host)
    }

    private companion object {
        /** Must not be empty; what it says matters to no check that Android makes. TLS 1.3 has no such word. */
        const val KEY_EXCHANGE = "UNKNOWN"
    }
}

private fun systemManager(): X509TrustManager {
    val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
    factory.init(null as KeyStore?)
    return factory.trustManagers.filterIsInstance<X509TrustManager>().firstOrNull()
        ?: throw CertificateException("the system has no trust manager for X.509 certificates")
}
