package io.github.homingmqtt

/**
 * What Homing says went wrong: [code] for programs, [message] for people (what, where, how to mend it).
 *
 * More kinds may come in later versions, so a `when` over them wants an `else`. The message holds no payload and no
 * secret (P12). A cancelled coroutine is told by [kotlinx.coroutines.CancellationException], never by one of these.
 */
public sealed class HomingException(
    /** A stable word for the kind of error. */
    public val code: String,
    message: String,
    cause: Throwable? = null,
) : Exception(message, cause) {
    /** An argument or an option that cannot be used; the text says which, and what would do. Nothing was stored. */
    public class Invalid internal constructor(
        message: String,
        cause: Throwable? = null,
    ) : HomingException("invalid", message, cause)

    /** The service, the broker's profile or this build of the native library does not take it. */
    public class Unsupported internal constructor(
        message: String,
        cause: Throwable? = null,
    ) : HomingException("unsupported", message, cause)

    /** Another client or process drives the store (P11). */
    public class StoreInUse internal constructor(
        message: String,
    ) : HomingException("store_in_use", message)

    /** The store was written by a newer version of Homing. */
    public class StoreTooNew internal constructor(
        message: String,
    ) : HomingException("store_too_new", message)

    /** The file is something else than a store. */
    public class NotAStore internal constructor(
        message: String,
    ) : HomingException("not_a_store", message)

    /** The store cannot be opened or used now: permissions, a locked device, a missing folder. */
    public class StoreUnavailable internal constructor(
        message: String,
    ) : HomingException("store_unavailable", message)

    /** The store is damaged; it was left as it is (P10). */
    public class StoreDamaged internal constructor(
        message: String,
    ) : HomingException("store_damaged", message)

    /** The store is encrypted, and the key is missing or another one. */
    public class WrongKey internal constructor(
        message: String,
    ) : HomingException("wrong_key", message)

    /** The store belongs to another MQTT client id. */
    public class ClientIdMismatch internal constructor(
        message: String,
    ) : HomingException("client_id_mismatch", message)

    /** The payload is larger than [Options.maxPayload]. */
    public class PayloadTooLarge internal constructor(
        message: String,
    ) : HomingException("payload_too_large", message)

    /** The outbox or the mailbox is full, and its policy is to refuse (P7). */
    public class LimitReached internal constructor(
        message: String,
    ) : HomingException("limit_reached", message)

    /** There is no room on the disk; nothing was accepted (P10). */
    public class StorageFull internal constructor(
        message: String,
    ) : HomingException("storage_full", message)

    /** The store failed to read or to commit; nothing was accepted. */
    public class Storage internal constructor(
        message: String,
    ) : HomingException("storage", message)

    /** The store failed in the middle of a commit: the message was accepted, or it was not. */
    public class Unknown internal constructor(
        message: String,
    ) : HomingException("unknown", message)

    /** There is no connection, and the options refuse QoS 0 without one. */
    public class Offline internal constructor(
        message: String,
    ) : HomingException("offline", message)

    /** The client, consumer, reader or mailbox was closed. */
    public class Closed internal constructor(
        message: String,
    ) : HomingException("closed", message)

    /** The client is paused; [Homing.resume] ends that. */
    public class Paused internal constructor(
        message: String,
    ) : HomingException("paused", message)

    /** There is no consumer of this name. */
    public class NoSuchConsumer internal constructor(
        message: String,
    ) : HomingException("no_such_consumer", message)

    /** The consumer exists with other filters, and was asked for exactly. */
    public class ConsumerDiffers internal constructor(
        message: String,
    ) : HomingException("consumer_differs", message)

    /** The store never gave this id. */
    public class NoSuchMessage internal constructor(
        message: String,
    ) : HomingException("no_such_message", message)

    /** The message is not parked. */
    public class NotParked internal constructor(
        message: String,
    ) : HomingException("not_parked", message)

    /** A fault of Homing itself; please report it. */
    public class Internal internal constructor(
        message: String,
        cause: Throwable? = null,
    ) : HomingException("internal", message, cause)
}
