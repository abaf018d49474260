package io.github.homingmqtt

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime

class ConsumeTest {
    @TempDir
    lateinit var folder: Path

    /** A client whose inbox holds so many messages, `home/0` with the text 0 and so on. */
    private suspend fun filled(
        count: Int,
        body: suspend (Homing, Consumer) -> Unit,
    ) {
        Mosquitto.start().use { broker ->
            Homing.open(folder.resolve("home.db"), broker.url).use { home ->
                home.subscribe("home/#")
                home.publishAll((0 until count).map { Publish("home/$it", "$it") })
                until { home.counters().inboxMessages == count.toLong() }
                body(home, home.consumer())
            }
        }
    }

    @Test
    fun `each collection begins with the first message that is not done`() =
        test {
            filled(5) { _, consumer ->
                val all = consumer.messages().take(5).toList()
                assertEquals((0..4).map { "$it" }, all.map { it.text })
                assertEquals(all, consumer.messages().take(5).toList())
                assertEquals(all.map { it.position }.sorted(), all.map { it.position })
                consumer.done(all[1])
                assertEquals(
                    listOf("0", "2", "3"),
                    consumer
                        .messages()
                        .take(3)
                        .toList()
                        .map { it.text },
                )
                consumer.doneThrough(Position.parse(all[3].position.toString()))
                assertEquals("4", consumer.messages().first().text)
            }
        }

    @Test
    fun `two consumers have places of their own, by filter`() =
        test {
            filled(4) { home, consumer ->
                val one = home.consumer("one", listOf("home/1"))
                one.done(one.messages().first())
                consumer.doneThrough(
                    consumer
                        .messages()
                        .take(4)
                        .toList()
                        .last(),
                )
                val status = home.reader().use { it.status() }
                assertEquals(0L, status.consumers.single { it.name == "one" }.behind)
                fails<HomingException.ConsumerDiffers> { home.consumer("one", listOf("home/2"), exact = true) }
                home.removeConsumer("one")
                fails<HomingException.NoSuchConsumer> { home.removeConsumer("one") }
            }
        }

    @Test
    fun `consume marks what its body has finished, in few commits`() =
        test {
            filled(500) { home, consumer ->
                val seen = AtomicInteger()
                val before = home.counters().commits
                val job = launch { consumer.consume { seen.incrementAndGet() } }
                until { seen.get() == 500 && behind(home) == 0L }
                val commits = home.counters().commits - before
                assertTrue(commits < 250, "$commits commits for 500 messages")
                job.cancelAndJoin()
            }
        }

    @Test
    fun `a body that throws leaves its message for the next time`() =
        test {
            filled(5) { _, consumer ->
                val error =
                    fails<IllegalArgumentException> {
                        consumer.consume { require(it.text != "2") { "the app's own words" } }
                    }
                assertEquals("the app's own words", error.message)
                assertEquals("2", consumer.messages().first().text)
            }
        }

    @Test
    fun `a body that is cancelled leaves its message, and what was finished before is marked`() =
        test {
            filled(5) { _, consumer ->
                val job =
                    launch {
                        consumer.consume { message -> if (message.text == "3") awaitCancellation() }
                    }
                until { consumer.messages().first().text == "3" }
                job.cancelAndJoin()
                assertTrue(job.isCancelled)
                assertEquals("3", consumer.messages().first().text)

                // At once after the body: the mark is written although the scope is gone.
                val other = async { consumer.consume { if (it.text == "4") throw CancellationException("the app's") } }
                fails<CancellationException> { other.await() }
                assertEquals("4", consumer.messages().first().text)
            }
        }

    @Test
    fun `under a test's virtual time too what was finished is marked`() =
        test {
            filled(50) { _, consumer ->
                runTest {
                    val job = async { consumer.consume { if (it.text == "30") throw CancellationException("the app's") } }
                    fails<CancellationException> { job.await() }
                }
                assertEquals("30", consumer.messages().first().text)
            }
        }

    @Test
    fun `consume waits through a pause with its marks, and begins in one`() =
        test {
            filled(2) { home, consumer ->
                val (begun, ended) = CompletableDeferred<Unit>() to CompletableDeferred<Unit>()
                val job =
                    launch {
                        consumer.consume { message ->
                            if (message.text == "0") {
                                begun.complete(Unit)
                                ended.await()
                            }
                        }
                    }
                begun.await()
                home.pause()
                ended.complete(Unit)
                val other = launch { consumer.messages().collect() }
                // Longer than it takes to be asked again.
                delay(1.seconds)
                assertTrue(job.isActive && other.isActive, "both wait")
                home.resume()
                until { behind(home) == 0L }
                home.shutDown()
                job.join()
                other.join()
                assertTrue(!job.isCancelled && !other.isCancelled, "they end without an error")
            }
        }

    @Test
    fun `consume that is cancelled in a pause ends soon`() =
        test {
            filled(1) { home, consumer ->
                val seen = CompletableDeferred<Unit>()
                val job =
                    launch {
                        consumer.consume {
                            home.pause()
                            seen.complete(Unit)
                        }
                    }
                seen.await()
                assertTrue(measureTime { job.cancelAndJoin() } < 5.seconds)
                home.resume()
                assertEquals("0", consumer.messages().first().text)
            }
        }

    private suspend fun Consumer.consumeAfterClose() {
        fails<HomingException.Closed> { consume { } }
        fails<HomingException.Closed> { messages().collect() }
    }

    @Test
    fun `10,000 messages come in order`() =
        test(180.seconds) {
            Mosquitto.start().use { broker ->
                Homing.open(folder.resolve("home.db"), broker.url).use { home ->
                    home.subscribe("home/#", QoS.ExactlyOnce)
                    val numbers =
                        async {
                            home
                                .consumer()
                                .messages()
                                .take(10_000)
                                .toList()
                                .map { it.text.toInt() }
                        }
                    for (page in (0 until 10_000).chunked(250)) {
                        home.publishAll(page.map { Publish("home/${it % 7}", "$it", QoS.ExactlyOnce) })
                        delay(1)
                    }
                    assertEquals((0 until 10_000).toList(), numbers.await())
                }
            }
        }

    private suspend fun behind(home: Homing): Long =
        home.reader().use {
            it
                .status()
                .consumers
                .single()
                .behind
        }
}
