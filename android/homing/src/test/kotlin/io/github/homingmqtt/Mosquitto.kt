package io.github.homingmqtt

import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlin.io.path.exists
import kotlin.io.path.readText
import kotlin.io.path.writeText

/** A real mosquitto on a free loopback port; [close] kills it. */
class Mosquitto private constructor(
    private val folder: Path,
    val port: Int,
    private val tls: Boolean,
) : AutoCloseable {
    private var process: Process = start()

    /** As [Options.broker] takes it. */
    val url: String get() = if (tls) "mqtts://localhost:$port" else "mqtt://127.0.0.1:$port"

    /** SIGTERM: sessions and queues are saved. */
    fun stop() {
        process.destroy()
        check(process.waitFor(PATIENCE_S, TimeUnit.SECONDS)) { "mosquitto did not stop" }
    }

    /** Starts it again: same port, same data. */
    fun restart() {
        if (process.isAlive) stop()
        process = start()
    }

    override fun close() {
        process.destroyForcibly().waitFor()
    }

    private fun start(): Process {
        val log = folder.resolve("log").toFile()
        val process =
            ProcessBuilder(program("mosquitto"), "-c", folder.resolve("mosquitto.conf").toString())
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log))
                .start()
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S)
        while (System.nanoTime() < end) {
            check(process.isAlive) { "mosquitto ended:\n${folder.resolve("log").readText()}" }
            try {
                Socket(InetAddress.getLoopbackAddress(), port).use { return process }
            } catch (_: java.io.IOException) {
                Thread.sleep(POLL_MS)
            }
        }
        error("mosquitto does not accept connections on port $port")
    }

    companion object {
        private const val PATIENCE_S = 30L
        private const val POLL_MS = 5L

        /** [lines]: further lines of configuration, of the listener; they may name files in the folder that they are given. */
        fun start(
            tls: Boolean = false,
            lines: (Path) -> String = { "" },
        ): Mosquitto {
            val folder = Files.createTempDirectory("mosquitto")
            // Between asking and taking somebody else may take the port: then mosquitto ends, and another one is asked for.
            repeat(TRIES) {
                val port = ServerSocket(0, 1, InetAddress.getLoopbackAddress()).use { it.localPort }
                folder.resolve("mosquitto.conf").writeText(configuration(folder, port) + lines(folder) + "\n")
                try {
                    return Mosquitto(folder, port, tls)
                } catch (error: IllegalStateException) {
                    if ("Address already in use" !in error.message.orEmpty()) throw error
                }
            }
            error("mosquitto found none of $TRIES ports free")
        }

        private const val TRIES = 20

        // Memory limits are raised, because a broker that drops from a full queue looks like a client that loses.
        private fun configuration(
            folder: Path,
            port: Int,
        ) = "listener $port 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n" +
            "persistence_location $folder/\nmax_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\n" +
            "log_dest stderr\n"

        /** Debian puts it in /usr/sbin, Homebrew in /opt/homebrew/sbin, neither of which is always in PATH. */
        private fun program(name: String): String {
            val folders =
                System.getenv("PATH").orEmpty().split(':') + listOf("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
            return folders.map { Path.of(it, name) }.firstOrNull { it.exists() }?.toString()
                ?: error("$name is missing, and without it these tests prove nothing: apt-get install mosquitto")
        }
    }
}
