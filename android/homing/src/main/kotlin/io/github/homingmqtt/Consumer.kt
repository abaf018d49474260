package io.github.homingmqtt

import io.github.homingmqtt.ffi.Client
import io.github.homingmqtt.ffi.ConsumerSettings
import io.github.homingmqtt.ffi.LagPolicy
import io.github.homingmqtt.ffi.StartAt
import io.github.homingmqtt.internal.Native
import io.github.homingmqtt.internal.cross
import io.github.homingmqtt.internal.milliseconds
import io.github.homingmqtt.internal.number
import io.github.homingmqtt.internal.public
import io.github.homingmqtt.internal.text
import io.github.homingmqtt.internal.texts
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import io.github.homingmqtt.ffi.Consumer as NativeConsumer

/** Where a new consumer begins. */
public sealed interface Start {
    /** With the oldest message that is kept. */
    public data object Oldest : Start

    /** With the next one. */
    public data object Now : Start

    /** Behind this position. */
    public data class After(
        /** Of the same store. */
        public val position: Position,
    ) : Start
}

/** What happens when a consumer falls behind. */
public sealed interface Lag {
    /** The broker has to wait. */
    public data object Pause : Lag

    /** Older ones are skipped; [Event.Skipped] says so. */
    public data class Skip(
        /** About so many stay; 1 to 100,000. */
        public val messages: Long,
    ) : Lag

    /** What is older is skipped; [Event.Skipped] says so. */
    public data class Expire(
        /** At least 1 ms. */
        public val after: Duration,
    ) : Lag
}

/**
 * A durable place in the inbox. What is not [done] comes again: after a restart, and each time that [messages] is collected
 * anew (P4).
 *
 * A consumer that is collected twice at the same time gives every message to both.
 */
public class Consumer private constructor(
    private val client: Client,
    private val store: String,
    private val settings: ConsumerSettings,
    private val marks: NativeConsumer,
) {
    /** Its name. */
    public val name: String = settings.name

    /**
     * The messages that are not done, then those that come: in order of arrival (P5), without end. Cold: each collection
     * begins with the first message that is not done. Read from the store in pages of 100, and no faster than they are
     * taken; a message counts as done only when [done] says so. Ends when the client is closed, and waits while it is
     * paused.
     *
     * ```
     * consumer.messages().collect { message ->
     *     draw(message)
     *     consumer.done(message)
     * }
     * ```
     */
    public fun messages(): Flow<Message> =
        flow {
            // A place of its own: what another collection has read, and not done, comes again.
            val place = awake { Native.ask(late = NativeConsumer::destroy) { client.consumer(settings) } }
            try {
                while (true) {
                    val page =
                        try {
                            Native.wait { place.next(PAGE, it).map { message -> message.public(store) } }
                        } catch (_: HomingException.Closed) {
                            return@flow
                        }
                    for (message in page) emit(message)
                }
            } finally {
                place.destroy()
            }
        }

    /**
     * Gives each message to [body], one after another, and marks it done after the body has returned; never one whose body
     * threw or was cancelled. Returns when the client is closed.
     *
     * Marks are written while the next bodies run, the newest for all before it, so a page costs few commits; a kill
     * repeats the messages since the last commit, a cancellation none. While the client is paused they wait: what was
     * finished meanwhile comes again after a kill or a cancellation.
     */
    public suspend fun consume(body: suspend (Message) -> Unit): Unit =
        coroutineScope {
            val finished = Channel<Position>(Channel.CONFLATED)
            val marking = launch { for (position in finished) markThrough(position) }
            var last: Position? = null
            try {
                messages().collect { message ->
                    body(message)
                    last = message.position
                    finished.trySend(message.position)
                }
            } finally {
                finished.close()
                // On real time: under a test's virtual one the commit would always come too late.
                withContext(NonCancellable + Dispatchers.Default) {
                    withTimeoutOrNull(LAST_MARK) { finish(marking, last) }
                }
            }
        }

    /**
     * Done with one message, in any order; returns after the commit. If the call is cancelled it was marked, or it was not.
     */
    public suspend fun done(message: Message): Unit = done(message.position)

    /** Done with the message at this position; see the other [done]. */
    public suspend fun done(position: Position) {
        ours(position)
        Native.ask { marks.done(position.number.toULong()) }
    }

    /** Done with this message and all before it; one commit for many. Never goes back. */
    public suspend fun doneThrough(message: Message): Unit = doneThrough(message.position)

    /** Done with what stands at this position and before it; see the other [doneThrough]. */
    public suspend fun doneThrough(position: Position) {
        ours(position)
        Native.ask { marks.doneThrough(position.number.toULong()) }
    }

    override fun toString(): String = "Consumer(name=$name)"

    private suspend fun markThrough(position: Position) {
        try {
            awake { doneThrough(position) }
        } catch (_: HomingException.Closed) {
            // The client is closed, which ends the messages too.
        }
    }

    /** Cancelled with its scope, marking may have missed the last one; a mark that stands already costs nothing. */
    private suspend fun finish(
        marking: Job,
        last: Position?,
    ) {
        marking.join()
        if (!marking.isCancelled || last == null) return
        try {
            doneThrough(last)
        } catch (_: HomingException) {
            // These messages come again; whoever waits is told why this ended, not that.
        }
    }

    /** Asks again while the client is paused. */
    private suspend fun <T> awake(question: suspend () -> T): T {
        while (true) {
            try {
                return question()
            } catch (_: HomingException.Paused) {
                withContext(Dispatchers.Default) { delay(PAUSED) }
            }
        }
    }

    private fun ours(position: Position) {
        if (position.store != store) {
            throw HomingException.Invalid("position $position is of another store than this consumer's, $store")
        }
    }

    internal companion object {
        /** Messages of one crossing: enough to hide what it costs, few enough to hold. */
        private const val PAGE: UInt = 100u

        /** How long the end of a cancelled [consume] may wait for its last commit. */
        private val LAST_MARK = 2.seconds

        /** Until a paused client is asked again. */
        private val PAUSED = 500.milliseconds

        internal suspend fun open(
            client: Client,
            store: String,
            settings: ConsumerSettings,
        ): Consumer =
            Consumer(client, store, settings, Native.ask(late = NativeConsumer::destroy) { client.consumer(settings) })
    }
}

internal fun consumerSettings(
    name: String,
    filters: List<String>,
    start: Start,
    lag: Lag?,
    exact: Boolean,
) = ConsumerSettings(
    name = text("consumer name", name),
    filters = texts("filter", filters),
    start =
        when (start) {
            Start.Oldest -> StartAt.Oldest
            Start.Now -> StartAt.Now
            is Start.After -> StartAt.At(start.position.cross())
        },
    lag =
        when (lag) {
            null -> null
            Lag.Pause -> LagPolicy.Pause
            is Lag.Skip -> LagPolicy.Skip(number("lag", lag.messages, 1L..100_000L).toULong())
            is Lag.Expire -> LagPolicy.Expire(milliseconds("lag", lag.after))
        },
    exact = exact,
)
