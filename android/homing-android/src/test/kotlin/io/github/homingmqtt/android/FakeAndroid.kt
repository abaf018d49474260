// The parts of Android's security that Robolectric has not: its keystore, and its trust manager with a host.

package io.github.homingmqtt.android

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import java.io.InputStream
import java.io.OutputStream
import java.security.Key
import java.security.KeyStore
import java.security.KeyStoreException
import java.security.KeyStoreSpi
import java.security.Provider
import java.security.SecureRandom
import java.security.Security
import java.security.cert.Certificate
import java.security.cert.CertificateException
import java.security.cert.X509Certificate
import java.security.spec.AlgorithmParameterSpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration
import javax.crypto.KeyGenerator
import javax.crypto.KeyGeneratorSpi
import javax.crypto.SecretKey
import javax.net.ssl.ManagerFactoryParameters
import javax.net.ssl.TrustManager
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.TrustManagerFactorySpi
import javax.net.ssl.X509TrustManager

internal object FakeAndroid {
    val entries = mutableMapOf<String, SecretKey>()
    val specs = mutableListOf<KeyGenParameterSpec>()

    /** What reading an entry throws. */
    var broken: Exception? = null

    /** Decides in the trust manager's place. */
    var trust: (chain: List<X509Certificate>, host: String) -> Unit = { _, _ -> }

    private val provider = AndroidProvider()

    fun install() {
        entries.clear()
        specs.clear()
        broken = null
        Security.removeProvider(provider.name)
        Security.insertProviderAt(provider, 1)
    }

    fun remove() = Security.removeProvider(provider.name)

    fun invalidate(alias: String) {
        check(alias in entries)
        broken = KeyPermanentlyInvalidatedException("invalidated")
    }

    fun busy() {
        broken = KeyStoreException("the service restarts")
    }
}

private class AndroidProvider : Provider("AndroidKeyStore", "1", "for tests") {
    init {
        offer("KeyStore", "AndroidKeyStore", ::FakeKeyStore)
        offer("KeyGenerator", "AES", ::FakeGenerator)
        offer("TrustManagerFactory", TrustManagerFactory.getDefaultAlgorithm(), ::FakeTrust)
    }

    private fun offer(
        type: String,
        algorithm: String,
        make: () -> Any,
    ) = putService(
        object : Service(this, type, algorithm, "none", null, null) {
            override fun newInstance(parameter: Any?): Any = make()
        },
    )
}

internal class FakeGenerator : KeyGeneratorSpi() {
    private var spec: KeyGenParameterSpec? = null

    override fun engineInit(random: SecureRandom?) = Unit

    override fun engineInit(
        size: Int,
        random: SecureRandom?,
    ) = Unit

    override fun engineInit(
        spec: AlgorithmParameterSpec,
        random: SecureRandom?,
    ) {
        this.spec = spec as KeyGenParameterSpec
    }

    override fun engineGenerateKey(): SecretKey {
        val spec = spec ?: return KeyGenerator.getInstance("AES", "SunJCE").generateKey()
        FakeAndroid.specs.add(spec)
        val key = KeyGenerator.getInstance("AES", "SunJCE").apply { init(spec.keySize) }.generateKey()
        FakeAndroid.entries[spec.keystoreAlias] = key
        return key
    }
}

internal class FakeTrust : TrustManagerFactorySpi() {
    override fun engineInit(store: KeyStore?) = Unit

    override fun engineInit(parameters: ManagerFactoryParameters?) = Unit

    override fun engineGetTrustManagers(): Array<TrustManager> = arrayOf(FakeTrustManager())
}

/** As Android's: with a third word that says the host, which the network security configuration decides on. */
internal class FakeTrustManager : X509TrustManager {
    override fun checkServerTrusted(
        chain: Array<X509Certificate>,
        authType: String,
    ) = throw CertificateException("asked without a host")

    @Suppress("unused")
    fun checkServerTrusted(
        chain: Array<X509Certificate>,
        authType: String,
        host: String,
    ): List<X509Certificate> {
        require(authType.isNotEmpty())
        FakeAndroid.trust(chain.toList(), host)
        return chain.toList()
    }

    override fun checkClientTrusted(
        chain: Array<X509Certificate>,
        authType: String,
    ) = throw CertificateException("not here")

    override fun getAcceptedIssuers(): Array<X509Certificate> = emptyArray()
}

internal class FakeKeyStore : KeyStoreSpi() {
    override fun engineGetKey(
        alias: String,
        password: CharArray?,
    ): Key? {
        FakeAndroid.broken?.let { throw it }
        return FakeAndroid.entries[alias]
    }

    override fun engineDeleteEntry(alias: String) {
        FakeAndroid.entries.remove(alias)
    }

    override fun engineAliases(): Enumeration<String> = Collections.enumeration(FakeAndroid.entries.keys)

    override fun engineContainsAlias(alias: String): Boolean = alias in FakeAndroid.entries

    override fun engineSize(): Int = FakeAndroid.entries.size

    override fun engineIsKeyEntry(alias: String): Boolean = alias in FakeAndroid.entries

    override fun engineLoad(
        stream: InputStream?,
        password: CharArray?,
    ) = Unit

    override fun engineGetCertificateChain(alias: String): Array<Certificate>? = null

    override fun engineGetCertificate(alias: String): Certificate? = null

    override fun engineGetCreationDate(alias: String): Date? = null

    override fun engineIsCertificateEntry(alias: String): Boolean = false

    override fun engineGetCertificateAlias(certificate: Certificate): String? = null

    override fun engineSetKeyEntry(
        alias: String,
        key: Key,
        password: CharArray?,
        chain: Array<Certificate>?,
    ) = throw KeyStoreException("not here")

    override fun engineSetKeyEntry(
        alias: String,
        key: ByteArray,
        chain: Array<Certificate>?,
    ) = throw KeyStoreException("not here")

    override fun engineSetCertificateEntry(
        alias: String,
        certificate: Certificate,
    ) = throw KeyStoreException("not here")

    override fun engineStore(
        stream: OutputStream?,
        password: CharArray?,
    ) = throw KeyStoreException("not here")
}
