package io.github.homingmqtt

import io.github.homingmqtt.internal.Native
import io.github.homingmqtt.internal.StoreKeyAsked
import io.github.homingmqtt.internal.cross
import io.github.homingmqtt.internal.file
import kotlinx.coroutines.Dispatchers
import java.nio.file.Path
import io.github.homingmqtt.ffi.Mailbox as NativeMailbox

/**
 * Leaves messages in a store that another process drives (P11): for widgets, receivers and services of their own process.
 * Every call runs on [Dispatchers.IO].
 */
public class Mailbox private constructor(
    private val native: NativeMailbox,
) : AutoCloseable {
    /**
     * Leaves a message. It is on disk when this returns, and published when the store is driven. If the call is cancelled
     * it was left, or it was not.
     *
     * @throws HomingException.LimitReached while too many wait
     */
    public suspend fun post(message: Publish): Unit = Native.ask(Dispatchers.IO) { native.post(message.cross()) }

    /** Lets go of the file. */
    override fun close(): Unit = native.destroy()

    override fun toString(): String = "Mailbox"

    /** Opens mailboxes. */
    public companion object {
        /**
         * Of a store that exists.
         *
         * @param key of an encrypted store
         */
        public suspend fun open(
            store: Path,
            key: StoreKeyProvider? = null,
        ): Mailbox {
            Native.load()
            val path = file(store)
            val native =
                Native.ask(Dispatchers.IO, NativeMailbox::destroy) { NativeMailbox.open(path, key?.let(::StoreKeyAsked)) }
            return Mailbox(native)
        }
    }
}
