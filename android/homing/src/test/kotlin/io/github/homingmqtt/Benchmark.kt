package io.github.homingmqtt

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import java.nio.file.Files
import java.nio.file.Path
import java.util.Locale
import kotlin.io.path.readLines
import kotlin.time.Duration.Companion.days
import kotlin.time.TimeSource

/**
 * Messages of 1 KiB over the boundary, in batches, each way: how many a second, and whether memory grows. No test.
 *
 * Arguments: how many (1,000,000), in batches of how many (500).
 */
fun main(arguments: Array<String>): Unit =
    runBlocking(Dispatchers.Default) {
        val million = arguments.getOrNull(0)?.toInt() ?: 1_000_000
        val batch = List(arguments.getOrNull(1)?.toInt() ?: 500) { Publish("bench/${it % 10}", ByteArray(SIZE) { 1 }) }
        val folder = Files.createTempDirectory("homing-benchmark")
        val large = Limit(messages = 10_000_000, bytes = 1L shl 40)
        Homing.open(Options(folder.resolve("out.db"), connect = false, outboxLimit = large)).use { home ->
            // Everything is carried over and translated, and then refused for its last topic.
            val refused = batch.dropLast(1) + Publish("#", ByteArray(SIZE))
            repeat(3) {
                measure("publishAll, refused", million / 10, batch.size) {
                    fails<HomingException.Invalid> { home.publishAll(refused) }
                }
            }
            repeat(3) { measure("publishAll, kept", million / 10, batch.size) { home.publishAll(batch) } }
            grows("publishAll", million, batch.size) { home.publishAll(batch) }
        }
        Mosquitto.start().use { broker ->
            Homing.open(Options(folder.resolve("in.db"), broker.url, retention = 1.days)).use { home ->
                home.subscribe("bench/#")
                repeat(FILLED / batch.size) { home.publishAll(batch) }
                until { home.counters().inboxMessages == FILLED.toLong() }
                home.disconnect()
                val consumer = home.consumer()
                val read: suspend () -> Unit = {
                    consumer.messages().take(FILLED).collect { check(it.payload.size == SIZE) }
                }
                repeat(3) { measure("messages()", FILLED, FILLED) { read() } }
                grows("messages()", million, FILLED) { read() }
                measure("consume { }, marked", FILLED, FILLED) {
                    var count = 0
                    try {
                        consumer.consume { if (++count == FILLED) throw Enough() }
                    } catch (_: Enough) {
                        // All were read.
                    }
                }
            }
        }
    }

private class Enough : Exception()

private const val SIZE = 1_024
private const val FILLED = 50_000

private suspend fun measure(
    name: String,
    messages: Int,
    batch: Int,
    work: suspend () -> Unit,
) {
    val start = TimeSource.Monotonic.markNow()
    repeat(messages / batch) { work() }
    val took = start.elapsedNow()
    val rate = messages / (took.inWholeMicroseconds / 1e6)
    println("%-30s %9d messages %10.0f a second".format(Locale.ROOT, name, messages, rate))
}

/** What the process holds after a tenth, and at the end: equal but for noise. */
private suspend fun grows(
    name: String,
    messages: Int,
    batch: Int,
    work: suspend () -> Unit,
) {
    repeat(messages / 10 / batch) { work() }
    val before = resident()
    repeat(messages / batch) { work() }
    println(
        "%-30s %9d messages: %d KiB before, %d KiB after".format(Locale.ROOT, "$name, memory", messages, before, resident()),
    )
}

private fun resident(): Long {
    System.gc()
    val line = Path.of("/proc/self/status").readLines().first { it.startsWith("VmRSS") }
    return line.filter(Char::isDigit).toLong()
}
