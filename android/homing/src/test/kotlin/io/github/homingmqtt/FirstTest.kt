package io.github.homingmqtt

import java.nio.file.Path
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import kotlin.time.Duration.Companion.seconds

/** The thinnest thread through everything. */
class FirstTest {
    @Test
    fun `a message goes out and comes back`(@TempDir folder: Path): Unit = runBlocking {
        Mosquitto.start().use { broker ->
            Homing.open(folder.resolve("home.db"), broker.url).use { home ->
                withTimeout(30.seconds) {
                    home.subscribe("home/#")
                    val id = home.publish("home/light", "on")
                    assertEquals(Fate.Delivered(), home.settled(id))
                    val consumer = home.consumer()
                    val message = consumer.messages().first()
                    assertEquals("on", message.text)
                    consumer.done(message)
                }
            }
        }
    }
}
