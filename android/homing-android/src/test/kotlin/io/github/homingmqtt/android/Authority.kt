// Certificates, made by the JDK's keytool for one test run.

package io.github.homingmqtt.android

import java.io.File
import java.nio.file.Files
import java.security.KeyStore
import java.security.cert.X509Certificate
import java.util.Base64
import java.util.concurrent.TimeUnit

internal class Authority : AutoCloseable {
    private val folder = Files.createTempDirectory("certificates").toFile()
    val certificate: X509Certificate

    init {
        pair("authority", "-ext", "bc:c")
        certificate = store("authority").getCertificate("authority") as X509Certificate
    }

    /** Lines for mosquitto's configuration: a listener whose certificate is for [host]. */
    fun server(host: String): String {
        pair(host)
        val request = File(folder, "$host.csr").path
        keytool("-certreq", "-alias", host, "-keystore", file(host), "-file", request)
        val chain = File(folder, "$host.pem").path
        val names = arrayOf("-ext", "san=dns:$host", "-ext", "eku=serverAuth")
        val files = arrayOf("-infile", request, "-outfile", chain, "-rfc")
        keytool("-gencert", "-alias", "authority", "-keystore", file("authority"), *files, *names)
        val bytes = store(host).getKey(host, PASSWORD.toCharArray()).encoded
        val text = Base64.getMimeEncoder(64, "\n".toByteArray()).encodeToString(bytes)
        val key = File(folder, "$host.key")
        key.writeText("-----BEGIN PRIVATE KEY-----\n$text\n-----END PRIVATE KEY-----\n")
        return "certfile $chain\nkeyfile ${key.path}"
    }

    /** As a system that trusts this authority does. */
    fun judge(chain: List<X509Certificate>) = chain.last().verify(certificate.publicKey)

    private fun pair(
        name: String,
        vararg more: String,
    ) {
        val key = arrayOf("-keyalg", "EC", "-groupname", "secp256r1", "-validity", "3")
        keytool("-genkeypair", "-alias", name, "-dname", "CN=$name", "-keystore", file(name), *key, *more)
    }

    private fun keytool(vararg arguments: String) {
        val program = File(System.getProperty("java.home"), "bin/keytool").path
        val command = listOf(program) + arguments + listOf("-storetype", "PKCS12", "-storepass", PASSWORD)
        val process = ProcessBuilder(command).redirectErrorStream(true).start()
        val said = process.inputStream.bufferedReader().readText()
        check(process.waitFor(60, TimeUnit.SECONDS) && process.exitValue() == 0) { said }
    }

    private fun file(name: String) = File(folder, "$name.p12").path

    private fun store(name: String): KeyStore =
        KeyStore.getInstance("PKCS12").apply { File(file(name)).inputStream().use { load(it, PASSWORD.toCharArray()) } }

    override fun close() {
        folder.deleteRecursively()
    }

    private companion object {
        const val PASSWORD = "only for tests"
    }
}
