package io.github.homingmqtt

import io.github.homingmqtt.ffi.HistoryOrder
import io.github.homingmqtt.internal.Native
import io.github.homingmqtt.internal.StoreKeyAsked
import io.github.homingmqtt.internal.cross
import io.github.homingmqtt.internal.number
import io.github.homingmqtt.internal.public
import io.github.homingmqtt.internal.text
import io.github.homingmqtt.internal.unixMilliseconds
import kotlinx.coroutines.Dispatchers
import java.nio.file.Path
import java.time.Instant
import io.github.homingmqtt.ffi.Reader as NativeReader

/**
 * Reads a store with a connection of its own, also beside a process that drives it. Every call runs on
 * [Dispatchers.IO].
 *
 * Close it when the app goes to the background, and before [Homing.pause]: it holds a lock of the file's.
 */
public class Reader private constructor(
    private val native: NativeReader,
    private val store: String,
) : AutoCloseable {
    /** The store's id. */
    public val storeId: String get() = store

    /**
     * The last message of each topic that matches, by topic. A page ends after about 50 ms, so it may hold fewer although
     * there is a next one.
     *
     * @param filter null: every topic
     * @param after the topic behind which the page begins, as [Page.next] said
     * @param max at most 500
     */
    public suspend fun last(
        filter: String? = null,
        after: String? = null,
        max: Int = 100,
    ): Page<LastMessage, String> =
        ask {
            val page = it.last(filter?.let { text("filter", it) }, after?.let { text("after", it) }, count(max))
            Page(page.values.map { it.public(store) }, page.next)
        }

    /**
     * The messages that the inbox still keeps, done or not.
     *
     * @param since received at or after this moment
     * @param until received before it
     * @param newestFirst the other order
     * @param after where the page begins, as [Page.next] said
     * @param max at most 500
     */
    public suspend fun history(
        filter: String = "#",
        since: Instant? = null,
        until: Instant? = null,
        newestFirst: Boolean = false,
        after: Position? = null,
        max: Int = 100,
    ): Page<Message, Position> =
        ask {
            after?.let { ours("position", it.store, it) }
            val order = if (newestFirst) HistoryOrder.NEWEST_FIRST else HistoryOrder.OLDEST_FIRST
            val page =
                it.history(
                    text("filter", filter),
                    since?.let(::unixMilliseconds),
                    until?.let(::unixMilliseconds),
                    order,
                    after?.number?.toULong(),
                    count(max),
                )
            Page(page.messages.map { it.public(store) }, page.next?.let { Position(store, it.toLong()) })
        }

    /** What may be missing (P8). */
    public suspend fun gaps(): List<Gap> = ask { reader -> reader.gaps().map { it.public(store) } }

    /**
     * What waits, is in flight or is parked, in order.
     *
     * @param after the message behind which the page begins; null: from the beginning
     * @param max at most 500
     */
    public suspend fun outbox(
        after: MessageId? = null,
        max: Int = 100,
    ): List<OutboxEntry> =
        ask { reader ->
            after?.let { ours("message id", it.store, it) }
            reader.outbox(after?.number?.toULong() ?: 0u, count(max)).map { it.public(store) }
        }

    /**
     * What became of a message (P9).
     *
     * @throws HomingException.NoSuchMessage for an id that was never given
     */
    public suspend fun fate(id: MessageId): Fate = ask { it.fate(id.cross()).public(store) }

    /** Store and session at a glance. */
    public suspend fun status(): Status = ask { it.status().public() }

    /** What happened to the file, newest first. */
    public suspend fun incidents(): List<Incident> = ask { reader -> reader.incidents().map { it.public() } }

    /** Lets go of the file. */
    override fun close(): Unit = native.destroy()

    override fun toString(): String = "Reader(store=$store)"

    private suspend fun <T> ask(question: (NativeReader) -> T): T = Native.ask(Dispatchers.IO) { question(native) }

    private fun ours(
        what: String,
        store: String,
        place: Any,
    ) {
        if (store != this.store) {
            throw HomingException.Invalid("$what $place is of another store than this reader's, ${this.store}")
        }
    }

    private fun count(max: Int): UInt = number("max", max.toLong(), 1L..500L).toUInt()

    /** Opens readers. */
    public companion object {
        /**
         * Opens a store that exists; another process may drive it.
         *
         * @param key of an encrypted store
         */
        public suspend fun open(
            store: Path,
            key: StoreKeyProvider? = null,
        ): Reader {
            Native.load()
            return of(null) { NativeReader.open(text("store", store.toString()), key?.let(::StoreKeyAsked)) }
        }

        internal suspend fun of(
            store: String?,
            opening: () -> NativeReader,
        ): Reader {
            val native = Native.ask(Dispatchers.IO, NativeReader::destroy) { opening() }
            return Native.now { Reader(native, store ?: native.storeId()) }
        }
    }
}
