package io.github.homingmqtt

import kotlinx.coroutines.flow.take
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.file.Path

/** The README's first example, word for word, but for the two places that a test has to choose itself. */
class ReadmeTest {
    @TempDir
    lateinit var folder: Path

    private val said = mutableListOf<String>()

    private fun println(line: Any) {
        said += line.toString()
    }

    @Suppress("ktlint")
    private suspend fun example(store: Path, broker: String) {
        // The example
        Homing.open(store, broker).use { home ->
            home.subscribe("home/#")
            val id = home.publish("home/light", "on") // returns after the commit: from here on a kill loses nothing
            println(home.settled(id)) // Delivered(maybeTwice=false, maybeLost=false, downgraded=false)
            home.consumer().messages().take(1).collect { message ->
                println("${message.topic}: ${message.text}")
                home.consumer().done(message)
            }
        }
        // ends here.
    }

    @Test
    fun `it runs`() =
        test {
            Mosquitto.start().use { example(folder.resolve("home.db"), it.url) }
            assertEquals(listOf("Delivered(maybeTwice=false, maybeLost=false, downgraded=false)", "home/light: on"), said)
        }

    @Test
    fun `it is what the README shows, and short`() {
        val base = File(System.getProperty("homing.base"))
        val shown =
            base
                .resolve("README.md")
                .readText()
                .substringAfter("```kotlin\n")
                .substringBefore("```")
                .trim()
        val file = base.resolve("src/test/kotlin/io/github/homingmqtt/ReadmeTest.kt").readText()
        val run =
            file
                .substringAfter("// The example\n")
                .substringBefore("// ends here.")
                .trimIndent()
                .trim()
        val chosen = run.replace("store, broker", "Path.of(\"home.db\"), \"mqtt://localhost:1883\"")
        assertEquals(shown, chosen)
        assertTrue(shown.lines().size <= 15, "${shown.lines().size} lines")
    }
}
