package io.github.homingmqtt

import java.nio.file.Files
import java.nio.file.Path
import java.security.KeyStore
import java.util.Base64
import kotlin.io.path.absolutePathString
import kotlin.io.path.inputStream
import kotlin.io.path.writeText

/** A certificate for localhost that signs itself, made by the JDK's keytool: PEM files in [folder]. */
class Certificates(
    folder: Path,
) {
    /** Their own: a test may make several. */
    private val own: Path = Files.createTempDirectory(folder, "certificates")
    val chain: Path = own.resolve("chain.pem")
    val key: Path = own.resolve("key.pem")

    init {
        val store = own.resolve("keys.p12")
        val tool = Path.of(System.getProperty("java.home"), "bin", "keytool").absolutePathString()
        val made =
            ProcessBuilder(
                tool,
                "-genkeypair",
                "-keystore",
                store.absolutePathString(),
                "-storetype",
                "PKCS12",
                "-storepass",
                WORD,
                "-alias",
                "server",
                "-keyalg",
                "EC",
                "-groupname",
                "secp256r1",
                "-dname",
                "CN=localhost",
                "-validity",
                "30",
                "-ext",
                "san=dns:localhost,ip:127.0.0.1",
            ).redirectErrorStream(true).start()
        val said = made.inputStream.bufferedReader().readText()
        check(made.waitFor() == 0) { "keytool: $said" }
        val keys = KeyStore.getInstance("PKCS12").apply { store.inputStream().use { load(it, WORD.toCharArray()) } }
        chain.writeText(pem("CERTIFICATE", keys.getCertificate("server").encoded))
        key.writeText(pem("PRIVATE KEY", keys.getKey("server", WORD.toCharArray()).encoded))
    }

    private fun pem(
        what: String,
        bytes: ByteArray,
    ): String {
        val lines = Base64.getMimeEncoder(64, "\n".toByteArray()).encodeToString(bytes)
        return "-----BEGIN $what-----\n$lines\n-----END $what-----\n"
    }

    private companion object {
        const val WORD = "changeit"
    }
}
