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

/** Messages of 1 KiB over the boundary, in batches, each way: how many a second, and whether memory grows. No test. */
fun main(arguments: Array<String>): Unit =
    runBlocking(Dispatchers.Default) {
        val million = arguments.firstOrNull()?.toInt() ?: 1_000_000
        val folder = Files.createTempDirectory("homing-benchmark")
        // Nothing is kept for long: a million messages would measure the disk, not the boundary.
        val limit = Limit(messages = 20_000)
        val sink =
            Options(
                folder.resolve("out.db"),
                connect = false,
                durability = Durability.ProcessKill,
                outboxLimit = limit,
                outboxFull = OutboxFull.DropNewest,
            )
        Homing.open(sink).use { home ->
            val batch = List(BATCH) { Publish("bench/$it", ByteArray(SIZE) { 1 }) }
            measure("publishAll, kept", 20_000) { home.publishAll(batch) }
            measure("publishAll, dropped at once", 200_000) { home.publishAll(batch) }
            grows("publishAll", million) { home.publishAll(batch) }
        }
        Mosquitto.start().use { broker ->
            Homing.open(Options(folder.resolve("in.db"), broker.url, retention = 1.days)).use { home ->
                home.subscribe("bench/#")
                val batch = List(BATCH) { Publish("bench/$it", ByteArray(SIZE) { 1 }) }
                repeat(FILLED / BATCH) { home.publishAll(batch) }
                until { home.counters().inboxMessages == FILLED.toLong() }
                home.disconnect()
                val consumer = home.consumer()
                val read: suspend () -> Unit = {
                    consumer
                        .messages()
                        .take(
                            FILLED,
                        ).collect { check(it.payload.size == SIZE) }
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

private const val BATCH = 100
private const val SIZE = 1_024
private const val FILLED = 50_000

private suspend fun measure(
    name: String,
    messages: Int,
    batch: Int = BATCH,
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
    batch: Int = BATCH,
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
