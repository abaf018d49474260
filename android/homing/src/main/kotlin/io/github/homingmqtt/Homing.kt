package io.github.homingmqtt

import io.github.homingmqtt.ffi.Client
import io.github.homingmqtt.ffi.LinkState
import io.github.homingmqtt.ffi.StateStream
import io.github.homingmqtt.internal.Native
import io.github.homingmqtt.internal.cross
import io.github.homingmqtt.internal.deadline
import io.github.homingmqtt.internal.public
import io.github.homingmqtt.internal.text
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeoutOrNull
import java.nio.file.Path
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/**
 * An MQTT client whose session lives on disk: what [publish] has accepted reaches the broker, and what was received stays
 * until the app is done with it, whatever happens to the process.
 *
 * Safe to use from any thread and any dispatcher. Every `suspend` function is cancellable; a call that was cancelled may
 * still have been carried out, as its documentation says. All of them throw [HomingException] and, after [close] or
 * [shutDown], [HomingException.Closed].
 *
 * A client that is forgotten without [close] ends when it is collected as garbage, which is as safe as a kill; so long it
 * holds the store's lock.
 */
public class Homing private constructor(
    private val native: Client,
    private val states: MutableStateFlow<ConnectionState>,
) : AutoCloseable {
    /** The store's id: 32 hexadecimal digits. */
    public val storeId: String = native.storeId()

    /** The newest state of the connection; conflated. It ends with [ConnectionState.Closed]. */
    public val state: StateFlow<ConnectionState> = states.asStateFlow()

    init {
        watch(native.states(), states)
    }

    /**
     * Everything that happens from the moment of collecting on; ends when the client is closed. Each collector has its own
     * place; one that is too slow gets [Event.Missed].
     */
    public val events: Flow<Event> =
        flow {
            val stream = Native.now { native.events() }
            try {
                while (true) {
                    val batch = Native.wait { stream.next(it) }
                    if (batch.isEmpty()) return@flow
                    for (event in batch) emit(event.public(storeId))
                }
            } finally {
                stream.destroy()
            }
        }

    /**
     * Accepts a message. Returns after the commit (P1): from then on it reaches the broker or gets a recorded verdict,
     * also if the process is killed. If the call is cancelled it was accepted, or it was not.
     *
     * @throws HomingException nothing was accepted then, except for [HomingException.Unknown]
     */
    public suspend fun publish(message: Publish): MessageId {
        val number = Native.ask { native.publish(message.cross()) }
        return MessageId(storeId, number.toLong())
    }

    /** Accepts a message whose content is text, in UTF-8; see the other [publish]. */
    public suspend fun publish(
        topic: String,
        text: String,
        qos: QoS = QoS.AtLeastOnce,
        retain: Boolean = false,
        ttl: Duration? = null,
    ): MessageId = publish(Publish(topic, text, qos, retain, ttl))

    /** Accepts a message; see the other [publish]. */
    public suspend fun publish(
        topic: String,
        payload: ByteArray,
        qos: QoS = QoS.AtLeastOnce,
        retain: Boolean = false,
        ttl: Duration? = null,
    ): MessageId = publish(Publish(topic, payload, qos, retain, ttl))

    /**
     * Accepts several messages in one transaction, all or none, and gives their ids in the same order. Far cheaper than one
     * by one.
     *
     * @throws HomingException of the first message that is refused
     */
    public suspend fun publishAll(messages: List<Publish>): List<MessageId> {
        val numbers = Native.ask { native.publishAll(messages.map { it.cross() }) }
        return numbers.map { MessageId(storeId, it.toLong()) }
    }

    /**
     * What became of a message (P9); works for every id that this store ever gave, also after a restart.
     *
     * @throws HomingException.NoSuchMessage for an id that was never given
     */
    public suspend fun fate(id: MessageId): Fate = Native.ask { native.fate(id.cross()).public(storeId) }

    /**
     * Waits until a message has come to its end. After a restart just ask again.
     *
     * @throws HomingException.NoSuchMessage for an id that was never given
     */
    public suspend fun settled(id: MessageId): Fate = Native.wait { native.settled(id.cross(), it).public(storeId) }

    /**
     * Takes a message back that was not sent yet. Once this has answered [CancelResult.Cancelled] it is never sent, also
     * after a kill.
     *
     * @throws HomingException.NoSuchMessage for an id that was never given
     */
    public suspend fun cancel(id: MessageId): CancelResult = Native.ask { native.cancel(id.cross()).public(storeId) }

    /**
     * Publishes a message again that was set aside ([Fate.Parked]), under the id that is returned.
     *
     * @throws HomingException.NotParked
     */
    public suspend fun unpark(id: MessageId): MessageId =
        MessageId(storeId, Native.ask { native.unpark(id.cross()) }.toLong())

    /** Waits until every message accepted so far has come to its end (true), or [deadline] has passed (false). */
    public suspend fun flush(deadline: Duration = 30.seconds): Boolean = Native.wait { native.flush(deadline(deadline), it) }

    /** Records a durable wish to receive; true after the commit (P8). The broker's grant is [Event.Subscribed]. */
    public suspend fun subscribe(subscription: Subscription): Unit = Native.ask { native.subscribe(subscription.cross()) }

    /** Records a durable wish to receive; see the other [subscribe]. */
    public suspend fun subscribe(
        filter: String,
        qos: QoS = QoS.AtLeastOnce,
    ): Unit = subscribe(Subscription(filter, qos))

    /** Ends a wish; true after the commit. Messages may still come until the broker has answered. */
    public suspend fun unsubscribe(filter: String): Unit = Native.ask { native.unsubscribe(text("filter", filter)) }

    /**
     * Opens a durable consumer, and makes it if there is none of that name. Filters named for an existing one are added to
     * what it wants, unless it is to be [exact]: then it is [HomingException.ConsumerDiffers].
     *
     * @param name 1 to 255 bytes
     * @param filters empty: every message
     * @param start where a new one begins; an existing one goes on where it is
     * @param lag what happens when it falls behind; null: what it has, or [Lag.Pause]
     */
    public suspend fun consumer(
        name: String = "default",
        filters: List<String> = emptyList(),
        start: Start = Start.Oldest,
        lag: Lag? = null,
        exact: Boolean = false,
    ): Consumer = Consumer.open(native, storeId, consumerSettings(name, filters, start, lag, exact))

    /**
     * Removes a consumer: nothing is kept for it any more.
     *
     * @throws HomingException.NoSuchConsumer
     */
    public suspend fun removeConsumer(name: String): Unit = Native.ask { native.removeConsumer(text("name", name)) }

    /** Wanted: connected. Tries at once, also after a take-over or refused credentials. */
    public suspend fun connect(): Unit = Native.ask { native.connect() }

    /**
     * Wanted: not connected. The session stays at the broker as long as its expiry says.
     *
     * @param withWill the broker publishes the will
     */
    public suspend fun disconnect(withWill: Boolean = false): Unit = Native.ask { native.disconnect(withWill) }

    /** The provider of credentials has others than it gave last: they are put in use now. */
    public suspend fun credentialsChanged(): Unit = Native.ask { native.credentialsChanged() }

    /**
     * One bounded catch-up, for a background job: connects, sends and receives until nothing is left to do or [deadline]
     * has passed, and leaves the wanted connection as it was.
     */
    public suspend fun sync(deadline: Duration = 25.seconds): SyncReport =
        Native.wait { native.sync(deadline(deadline), it).public() }

    /**
     * Lets go of every file, lock and socket, within [deadline]; [resume] takes them again. Close readers before. Once it
     * has returned, [state] is [ConnectionState.Paused].
     */
    public suspend fun pause(deadline: Duration = 5.seconds) {
        Native.ask { native.pause(deadline(deadline)) }
        show(states) { native.state() }
    }

    /** Ends [pause], and [ConnectionState.Paused] with it; true: another process has driven the store meanwhile. */
    public suspend fun resume(): Boolean {
        val moved = Native.ask { native.resume() }
        show(states) { native.state() }
        return moved
    }

    /**
     * What the platform says of the network; only a hint. `homing-android` calls it for you.
     *
     * @param online false: there is no network at all
     * @param id names the network; another one than before means that it has changed
     */
    public fun networkChanged(
        online: Boolean,
        id: String? = null,
    ): Unit = Native.now { native.networkChanged(online, id?.let { text("network id", it) }) }

    /**
     * Encrypts the store under another key: every page is written anew, in one transaction. [Options.key] has to give the
     * new one from the moment this returns; readers opened before have to be opened again. Keep the old key until then:
     * after a kill or a cancellation in between, the store is whole under one of the two.
     *
     * @param key 32 bytes
     * @throws HomingException.Invalid for a store that is not encrypted
     */
    public suspend fun rekey(key: ByteArray): Unit = Native.ask { native.rekey(key) }

    /** Whether the store is a copy (a backup that was put back) whose outbox waits for the app's word. */
    public suspend fun held(): Boolean = Native.ask { native.held() }

    /** The outbox of a copy is to be sent. False: it was not held. */
    public suspend fun releaseOutbox(): Boolean = Native.ask { native.releaseOutbox() }

    /** The outbox of a copy is not to be sent: [Fate.Dropped]. False: it was not held. */
    public suspend fun discardOutbox(): Boolean = Native.ask { native.discardOutbox() }

    /** Counters since the client was opened. */
    public fun counters(): Counters = Native.now { native.counters().public() }

    /** Reads the same store; see [Reader]. */
    public suspend fun reader(): Reader = Reader.of(storeId) { native.reader() }

    /**
     * Ends the client in order: says goodbye to the broker within [deadline], commits, and lets go of the store. What was
     * not sent stays there. Does nothing for a client that is closed. If it is cancelled the client still ends, later.
     *
     * @throws HomingException.Storage if the last commit failed: as after a kill, nothing accepted is lost
     */
    public suspend fun shutDown(deadline: Duration = 5.seconds) {
        val limit = deadline(deadline)
        try {
            Native.ask {
                try {
                    native.shutDown(limit)
                } finally {
                    // Not before the question has ended: a caller who was cancelled may be gone before it begins.
                    ended()
                }
            }
        } catch (_: HomingException.Closed) {
            // It was before.
        }
    }

    /**
     * [shutDown] with a short goodbye, for `use` and for threads that may block: it takes up to three seconds, so not for
     * Android's main thread. Never throws.
     */
    override fun close() {
        try {
            // Not on a dispatcher: all of its threads may be in here.
            runBlocking {
                withTimeoutOrNull(CLOSE_LIMIT) { native.shutDown(GOODBYE.inWholeMilliseconds) }
            }
        } catch (_: InterruptedException) {
            Thread.currentThread().interrupt()
        } catch (_: Exception) {
            // Closed before, or the last commit failed: nothing accepted is lost, as after a kill.
        } finally {
            ended()
        }
    }

    override fun toString(): String = "Homing(store=$storeId)"

    private fun ended() {
        native.destroy()
        states.value = ConnectionState.Closed
    }

    /** Opens clients. */
    public companion object {
        private val CLOSE_LIMIT = 3.seconds
        private val GOODBYE = 500.milliseconds

        /**
         * Opens the store (made if missing) and takes its driver lock (P11). Connects in the background, unless
         * [Options.connect] is false; makes no connection before it returns. If it is cancelled the lock is soon free again.
         *
         * @throws HomingException nothing was changed then
         */
        public suspend fun open(options: Options): Homing {
            Native.load()
            val client = Native.ask(late = Client::destroy) { Client.open(options.cross()) }
            return Native.now { Homing(client, MutableStateFlow(client.state().public())) }
        }

        /** Opens the store with the defaults of [Options]; see the other [open]. */
        public suspend fun open(
            store: Path,
            broker: String,
        ): Homing = open(Options(store, broker))

        /** Asks anew when another was faster: an older state never covers a newer one. Closed is the last. */
        private fun show(
            states: MutableStateFlow<ConnectionState>,
            now: () -> LinkState,
        ) = states.update { if (it == ConnectionState.Closed) it else Native.now { now() }.public() }

        /** Does not refer to the client: one that the app has forgotten is collected, and this ends with it. */
        private fun watch(
            stream: StateStream,
            states: MutableStateFlow<ConnectionState>,
        ) {
            CoroutineScope(Dispatchers.Default).launch {
                try {
                    while (true) {
                        stream.next(null) ?: break
                        show(states) { stream.now() }
                    }
                } catch (_: Exception) {
                    // The library has failed, and says so to whoever asks it next.
                } finally {
                    states.value = ConnectionState.Closed
                    stream.destroy()
                }
            }
        }
    }
}
