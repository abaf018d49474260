package io.github.homingmqtt

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.withContext
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path
import kotlin.time.Duration.Companion.seconds

/** A whole JVM is killed, and another one goes on with its store. */
class KillTest {
    @TempDir
    lateinit var folder: Path

    @Test
    fun `what a killed process had accepted is delivered, and what it was not done with comes again`() =
        test(180.seconds) {
            Mosquitto.start().use { broker ->
                val store = folder.resolve("home.db")
                val child = jvm("io.github.homingmqtt.KilledKt", store.toString(), broker.url)
                val accepted = mutableListOf<MessageId>()
                val done = mutableListOf<Int>()
                withContext(Dispatchers.IO) {
                    child.inputStream.bufferedReader().useLines { lines ->
                        for (line in lines) {
                            val (word, value) = line.split(' ')
                            if (word == "accepted") accepted += MessageId.parse(value) else done += value.toInt()
                            if (done.size == 100) break
                        }
                    }
                    child.kill()
                }
                assertTrue(accepted.size >= 100, "${accepted.size}")
                Homing.open(store, broker.url).use { home ->
                    for (id in accepted) assertEquals(Fate.Delivered(), home.settled(id), "$id")
                    // Marked done before it was said, so it never comes again; everything else does, in order.
                    val first =
                        home
                            .consumer()
                            .messages()
                            .first()
                            .text
                            .toInt()
                    assertTrue(first > done.last(), "$first after ${done.last()}")
                    val rest =
                        home
                            .consumer()
                            .messages()
                            .take(20)
                            .toList()
                            .map { it.text.toInt() }
                    assertEquals((first until first + 20).toList(), rest)
                }
            }
        }
}
