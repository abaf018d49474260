package io.github.homingmqtt

import kotlin.time.Duration

/** A reason code of MQTT 5. */
public data class Reason(
    /** The number, 0 to 255. */
    public val code: Int,
    /** Its name in words. */
    public val text: String,
)

/** Why there is no connection. */
public data class Trouble(
    /** What kind. */
    public val kind: Kind,
    /** In words, without secrets. */
    public val text: String,
    /** The broker's word, if there is one. */
    public val reason: Reason? = null,
) {
    /** The kinds of trouble; more may come. */
    public enum class Kind {
        /** The broker could not be reached. */
        Unreachable,

        /** TLS failed; the text says what to do. */
        Tls,

        /** The WebSocket server refused our credentials. */
        Refused,

        /** The proxy refused its own credentials, or wants some. */
        ProxyRefused,

        /** The link broke. */
        Cut,

        /** The broker closed the link. */
        ClosedByBroker,

        /** Nothing was heard for one and a half keep alives. */
        KeepAlive,

        /** The broker took no bytes. */
        WriteTimeout,

        /** No CONNACK came in time. */
        ConnackTimeout,

        /** The broker refused, or said goodbye, with a reason code. */
        Broker,

        /** Somebody broke the protocol. */
        Protocol,

        /** The store could not commit. */
        Store,

        /** The inbox is full and nothing is done with. */
        InboxFull,

        /** The app asked for it. */
        Asked,

        /** Neither options nor store name a broker. */
        NoBroker,

        /** The platform says that there is no network. */
        NoNetwork,

        /** The network has changed while an attempt was under way. */
        NetworkChanged,

        /** Credentials could not be had, or an exchange failed. */
        Credentials,

        /** Something else; see the text. */
        Other,
    }
}

/** The state of the connection; conflated: only the newest counts. */
public sealed interface ConnectionState {
    /** Not connected, and not trying. */
    public data class Offline(
        /** Why. */
        public val trouble: Trouble,
    ) : ConnectionState

    /** An attempt is under way. */
    public data class Connecting(
        /** Counts from 1 since the last connection. */
        public val attempt: Int,
    ) : ConnectionState

    /** Connected. */
    public data class Online(
        /** The broker still had our session. */
        public val sessionPresent: Boolean,
    ) : ConnectionState

    /** Waiting for the next attempt. */
    public data class Waiting(
        /** How long, from the moment of this state. */
        public val retryIn: Duration,
        /** What ended the last attempt or link. */
        public val trouble: Trouble,
    ) : ConnectionState

    /** Another client took the session over; no attempt until [Homing.connect] is called. */
    public data object TakenOver : ConnectionState

    /** [Homing.pause] was called: no socket and no file is open until [Homing.resume] is. */
    public data object Paused : ConnectionState

    /** The client is closed: the last state there is. */
    public data object Closed : ConnectionState
}

/** What became of a message (P9). */
public sealed interface Fate {
    /** Whether this is an end: neither [Waiting] nor [InFlight]. */
    public val isFinal: Boolean get() = this != Waiting && this != InFlight

    /** Stored, not sent yet. */
    public data object Waiting : Fate

    /** Sent, or about to be sent, and not finished. */
    public data object InFlight : Fate

    /** QoS 0: handed to the network once. */
    public data object Sent : Fate

    /** The broker has taken it. */
    public data class Delivered(
        /** The session was lost while it was unfinished: the broker may have it twice. */
        public val maybeTwice: Boolean = false,
        /** The broker no longer knew it when it was released. */
        public val maybeLost: Boolean = false,
        /** It went with a lower QoS, or without the retain flag. */
        public val downgraded: Boolean = false,
    ) : Fate

    /** The broker, or its announced limits, refused it. */
    public data class Refused(
        /** Why. */
        public val reason: Reason,
    ) : Fate

    /** Its time to live ran out before it was sent. */
    public data object Expired : Fate

    /** Set aside, for the broker cannot take it. */
    public data class Parked(
        /** Why. */
        public val reason: Reason,
    ) : Fate

    /** A newer message with the same supersede key took its place before it was sent. */
    public data class Superseded(
        /** The newer one. */
        public val by: MessageId,
    ) : Fate

    /** The app took it back before it was sent. */
    public data object Cancelled : Fate

    /** The outbox was at its limit, and the policy chose this one. */
    public data object Dropped : Fate

    /** Finished, but nothing proves how. */
    public data object Unknown : Fate

    /** So old that its record has been pruned. */
    public data object Forgotten : Fate

    /** The id belongs to another store. */
    public data object OtherStore : Fate
}

/** What [Homing.cancel] did. */
public sealed interface CancelResult {
    /** It will not be sent. */
    public data object Cancelled : CancelResult

    /** It was sent, or may have been. */
    public data object TooLate : CancelResult

    /** It had come to its end before. */
    public data class Settled(
        /** Which. */
        public val fate: Fate,
    ) : CancelResult
}
