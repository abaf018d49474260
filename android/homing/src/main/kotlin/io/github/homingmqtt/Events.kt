package io.github.homingmqtt

import java.time.Instant
import kotlin.time.Duration

/** A stretch of time in which messages may be missing (P8). */
public data class Gap(
    /** Which subscriptions are concerned. */
    public val filters: List<String>,
    /**
     * Why: `session_lost`, `too_large`, `qos0_dropped`, `inbox_overflow`, `possibly_dropped`, `restored`, `store_damaged`;
     * more may come.
     */
    public val cause: String,
    /** The last moment at which all was well. */
    public val from: Instant,
    /** The moment from which all is well again; null while it is open. */
    public val to: Instant?,
    /** The last message received before it. */
    public val after: Position,
    /** The size of what was too large, in bytes. */
    public val bytes: Long? = null,
)

/** A message that came to its end. */
public data class Settled(
    /** Which. */
    public val id: MessageId,
    /** Its end. */
    public val fate: Fate,
)

/** Something that happened. More kinds may come in later versions, so a `when` over them wants an `else`. */
public sealed interface Event {
    /** The connection's state changed. */
    public data class StateChanged(
        /** To this. */
        public val state: ConnectionState,
    ) : Event

    /** Messages came to their end, in this order. */
    public data class MessagesSettled(
        /** Which. */
        public val messages: List<Settled>,
    ) : Event

    /** The broker had lost the session; subscriptions and waiting messages are being issued anew (P8). */
    public data class SessionLost(
        /** When this was learnt. */
        public val at: Instant,
    ) : Event

    /** Messages may be missing. */
    public data class GapFound(
        /** Which. */
        public val gap: Gap,
    ) : Event

    /** A consumer was moved over messages that it was not done with. */
    public data class Skipped(
        /** Its name. */
        public val consumer: String,
        /** How many messages. */
        public val messages: Long,
        /** The first of them. */
        public val from: Position,
        /** The last one. */
        public val through: Position,
    ) : Event

    /** The broker grants a subscription: said at its SUBACK, and at every connect at which the grant still holds. */
    public data class Subscribed(
        /** Which. */
        public val filter: String,
        /** The granted QoS; may be lower than asked for. */
        public val qos: QoS,
    ) : Event

    /** A subscription ended at the broker. */
    public data class Unsubscribed(
        /** Which. */
        public val filter: String,
    ) : Event

    /** The broker refused a subscription; it is tried again at the next connection. */
    public data class SubscribeRefused(
        /** Which. */
        public val filter: String,
        /** Why. */
        public val reason: Reason,
    ) : Event

    /** New credentials are in use. */
    public data class CredentialsRefreshed(
        /** On the standing link, without another CONNECT. */
        public val inPlace: Boolean,
    ) : Event

    /** The broker refused the credentials. */
    public data class CredentialsRefused(
        /** Why. */
        public val reason: Reason,
        /** When they are tried again. */
        public val retryIn: Duration,
    ) : Event

    /** Credentials could not be had. */
    public data class CredentialsFailed(
        /** Why, without secrets. */
        public val text: String,
    ) : Event

    /** Something that the app's developer should know. */
    public data class Warning(
        /** A stable word for it. */
        public val code: String,
        /** What, where, how to mend it. */
        public val text: String,
    ) : Event

    /** The collector was too slow: so many events were dropped for it. */
    public data class Missed(
        /** How many. */
        public val count: Long,
    ) : Event

    /** An event of a newer native library. */
    public data class Other(
        /** In words. */
        public val text: String,
    ) : Event
}
