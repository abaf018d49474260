// A real mosquitto on a free loopback port.

package io.github.homingmqtt.support

import java.io.File
import java.net.InetAddress
import java.net.ServerSocket
import java.net.Socket
import java.nio.file.Files
import java.util.concurrent.TimeUnit

internal class Broker private constructor(
    private val process: Process,
    private val folder: File,
    val port: Int,
) : AutoCloseable {
    val url: String get() = "mqtt://127.0.0.1:$port"

    /** What it has said so far. */
    fun log(): String = File(folder, "log").readText()

    /** Answers nothing until [thaw]; its connections stand. */
    fun freeze() = signal("STOP")

    fun thaw() = signal("CONT")

    private fun signal(name: String) {
        val sent = ProcessBuilder("sh", "-c", "kill -$name ${process.pid()}").inheritIO().start()
        check(sent.waitFor() == 0) { "kill -$name failed" }
    }

    override fun close() {
        process.destroyForcibly().waitFor()
        folder.deleteRecursively()
    }

    companion object {
        fun start(extra: String = ""): Broker {
            repeat(20) {
                val folder = Files.createTempDirectory("mosquitto").toFile()
                val port = ServerSocket(0, 1, InetAddress.getLoopbackAddress()).use { it.localPort }
                val config = File(folder, "mosquitto.conf")
                config.writeText(
                    "listener $port 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest stderr\nlog_type all\n" +
                        "persistence false\n$extra\n",
                )
                val log = ProcessBuilder.Redirect.to(File(folder, "log"))
                val process = ProcessBuilder(program(), "-c", config.path).redirectErrorStream(true).redirectOutput(log).start()
                if (accepts(process, port)) return Broker(process, folder, port)
                folder.deleteRecursively()
            }
            error("mosquitto found none of 20 ports free")
        }

        private fun program(): String {
            val folders = System.getenv("PATH").orEmpty().split(File.pathSeparator) + listOf("/usr/sbin", "/opt/homebrew/sbin")
            return folders.map { File(it, "mosquitto") }.firstOrNull(File::canExecute)?.path
                ?: error("mosquitto is missing, and without it these tests prove nothing: apt-get install mosquitto")
        }

        private fun accepts(
            process: Process,
            port: Int,
        ): Boolean {
            val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30)
            while (System.nanoTime() < end) {
                val accepted = runCatching { Socket(InetAddress.getLoopbackAddress(), port).close() }.isSuccess
                if (!process.isAlive) return false
                if (accepted) return true
                Thread.sleep(5)
            }
            error("mosquitto does not accept connections on port $port")
        }
    }
}
