package io.github.homingmqtt

import java.security.cert.CertificateException
import java.security.cert.X509Certificate

/** Which servers are trusted. */
public sealed interface Trust {
    /** Those that the platform trusts. On Android it cannot be had from native code: see the module `homing-android`. */
    public data object Platform : Trust

    /** Those whose certificates these authorities have signed. */
    public class Roots(
        /** Certificates in PEM. */
        public val pem: ByteArray,
    ) : Trust {
        /** From PEM as text. */
        public constructor(pem: String) : this(pem.encodeToByteArray())

        override fun equals(other: Any?): Boolean = other is Roots && pem.contentEquals(other.pem)

        override fun hashCode(): Int = pem.contentHashCode()

        override fun toString(): String = "Roots(${pem.size} bytes)"
    }

    /** The app decides. */
    public class Custom(
        /** How. */
        public val check: TrustCheck,
    ) : Trust

    /** Any server at all: whoever stands between can read and change everything. For tests. */
    public data object DangerousAcceptAnyServer : Trust
}

/** Decides on a server's certificates. */
public fun interface TrustCheck {
    /**
     * Returns if the server is trusted. It may block for 10 s, and holds up the whole client meanwhile, [Homing.publish] and
     * [Homing.shutDown] too: it must not wait for one of them.
     *
     * @param chain the server's own certificate first
     * @param host the name that it must be valid for
     * @throws CertificateException why it is not trusted; its message is shown in [Trouble]
     */
    @Throws(CertificateException::class)
    public fun check(
        chain: List<X509Certificate>,
        host: String,
    )
}

/** A certificate of our own, and its key. */
public class ClientCertificate(
    /** The chain in PEM. */
    public val certificatesPem: ByteArray,
    /** The key in PEM, not encrypted. */
    public val keyPem: ByteArray,
) {
    /** Nothing of the key. */
    override fun toString(): String = "ClientCertificate(redacted)"
}

/** A version of TLS. */
public enum class TlsVersion {
    /** TLS 1.2. */
    Tls12,

    /** TLS 1.3. */
    Tls13,
}

/** How `mqtts://` and `wss://` are secured. */
public class Tls(
    /** Which servers are trusted. */
    public val trust: Trust = Trust.Platform,
    /** Our own certificate. */
    public val certificate: ClientCertificate? = null,
    /** Public keys of which one must stand in the server's chain: `sha256/` and base64. */
    public val pins: List<String> = emptyList(),
    /** The name that the server must have, if it is not the URL's host. */
    public val serverName: String? = null,
    /** Application protocols (ALPN). */
    public val alpn: List<String> = emptyList(),
    /** The oldest version that is spoken. */
    public val minimum: TlsVersion = TlsVersion.Tls12,
) {
    override fun toString(): String = "Tls(trust=$trust, certificate=${certificate != null}, pins=${pins.size})"
}
