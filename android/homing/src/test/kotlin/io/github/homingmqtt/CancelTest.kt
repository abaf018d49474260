package io.github.homingmqtt

import io.github.homingmqtt.ffi.Canceller
import io.github.homingmqtt.ffi.uniffiContinuationHandleMap
import io.github.homingmqtt.internal.Native
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.nio.file.Path
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlin.time.measureTime

/** Every wait ends at once when it is cancelled, on every dispatcher, and has taken nothing. */
class CancelTest {
    @TempDir
    lateinit var folder: Path

    private suspend fun CoroutineScope.cancels(
        name: String,
        on: CoroutineDispatcher,
        wait: suspend () -> Unit,
    ) {
        val before = uniffiContinuationHandleMap.size
        val job = async(on, CoroutineStart.UNDISPATCHED) { wait() }
        delay(20)
        assertTrue(job.isActive, "$name waits")
        val took = measureTime { job.cancelAndJoin() }
        assertTrue(took < 2.seconds, "$name took $took to end")
        fails<CancellationException> { job.await() }
        // What the library holds for a wait is let go: none is left behind by one that was cancelled.
        until { uniffiContinuationHandleMap.size <= before }
    }

    @OptIn(ExperimentalCoroutinesApi::class)
    @Test
    fun `every wait can be cancelled on every dispatcher`() =
        test(120.seconds) {
            // Its address takes the connection and never answers, so that everything has something to wait for.
            java.net.ServerSocket(0, 50, java.net.InetAddress.getLoopbackAddress()).use { mute ->
                val home = Homing.open(folder.resolve("home.db"), "mqtt://127.0.0.1:${mute.localPort}")
                val id = home.publish("home/light", "on")
                val consumer = home.consumer()
                home.state.first { it is ConnectionState.Connecting }
                for (on in listOf(
                    Dispatchers.Default,
                    Dispatchers.IO,
                    Dispatchers.Unconfined,
                    Dispatchers.Default.limitedParallelism(1),
                )) {
                    cancels("settled", on) { home.settled(id) }
                    cancels("flush", on) { home.flush(10.minutes) }
                    cancels("sync", on) { home.sync(10.minutes) }
                    cancels("messages", on) { consumer.messages().collect() }
                    cancels("consume", on) { consumer.consume { } }
                    cancels("state", on) { home.state.first { it is ConnectionState.Online } }
                    cancels("events", on) { home.events.first { it is Event.Subscribed } }
                }
                assertEquals(Fate.Waiting, home.fate(id))
                home.shutDown(GOODBYE)
            }
        }

    @Test
    fun `what a wait is cancelled with stays until its question has ended`() =
        test {
            Native.load()
            val handed = CompletableDeferred<Canceller>()
            val goOn = CompletableDeferred<Unit>()
            val gone = CompletableDeferred<Boolean>()
            val job =
                launch {
                    Native.wait { canceller ->
                        handed.complete(canceller)
                        goOn.await()
                        // Handing in one that is gone reads memory that was freed, and ends the process.
                        gone.complete(canceller.uniffiIsDestroyed)
                    }
                }
            val canceller = handed.await()
            job.cancelAndJoin()
            goOn.complete(Unit)
            assertFalse(gone.await())
            until { canceller.uniffiIsDestroyed }
        }

    @Test
    fun `a time-out of the caller stays one`() =
        test {
            Homing.open(offline(folder.resolve("home.db"))).use { home ->
                val id = home.publish("home/light", "on")
                fails<TimeoutCancellationException> { withTimeout(20.milliseconds) { home.settled(id) } }
                fails<TimeoutCancellationException> { withTimeout(20.milliseconds) { home.consumer().messages().collect() } }
            }
        }

    @Test
    fun `a client whose opening was cancelled has let go of its store`() =
        test(120.seconds) {
            val store = folder.resolve("home.db")
            repeat(30) { round ->
                // Not by the result of the job: a job that was cancelled forgets it.
                var opened: Homing? = null
                val job = launch(Dispatchers.IO) { opened = Homing.open(offline(store)) }
                // Somewhere between before the beginning and after the end.
                delay((round % 10).milliseconds)
                job.cancelAndJoin()
                opened?.close()
                untilFree(store)
            }
        }

    private suspend fun untilFree(store: Path) =
        until {
            try {
                Homing.open(offline(store)).close()
                true
            } catch (_: HomingException.StoreInUse) {
                false
            }
        }

    @Test
    fun `a client that is shut down by one who was cancelled lets go of its store`() =
        test {
            val store = folder.resolve("home.db")
            val home = Homing.open(offline(store))
            val consumer = home.consumer()
            val job =
                launch(start = CoroutineStart.UNDISPATCHED) {
                    try {
                        awaitCancellation()
                    } finally {
                        home.shutDown()
                    }
                }
            job.cancelAndJoin()
            untilFree(store)
            home.state.first { it == ConnectionState.Closed }
            // As long as anybody holds one, nothing but the shutting down ends the client.
            assertEquals("default", consumer.name)
        }

    @Test
    fun `a cancelled publish was accepted or not, and the client goes on`() =
        test {
            Homing.open(offline(folder.resolve("home.db"))).use { home ->
                val returned = AtomicInteger()
                repeat(50) { round ->
                    val job =
                        launch {
                            home.publish("home/light", "$round")
                            returned.incrementAndGet()
                        }
                    delay((round % 3).milliseconds)
                    job.cancelAndJoin()
                }
                // A question goes on without its caller: more may be accepted than have returned, and some after this one.
                val last = home.publish("home/light", "last")
                val accepted = home.counters().outboxMessages
                assertTrue(accepted in (returned.get() + 1L)..51L, "$accepted, of which $returned have returned")
                assertEquals(Fate.Waiting, home.fate(last))
            }
        }

    private companion object {
        val GOODBYE = 100.milliseconds
    }
}
