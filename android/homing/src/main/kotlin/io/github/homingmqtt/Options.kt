package io.github.homingmqtt

import java.nio.file.Path
import kotlin.time.Duration
import kotlin.time.Duration.Companion.days
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** Which version of MQTT to speak. */
public enum class MqttVersion {
    /** 5 first; 3.1.1 if the broker says that it does not know 5. Decided once per broker, and stored. */
    Auto,

    /** MQTT 3.1.1. */
    V311,

    /** MQTT 5.0. */
    V5,
}

/** When a commit counts as done. */
public enum class Durability {
    /** When it would survive a power cut. */
    PowerLoss,

    /** When it would survive the death of the process; a power cut may lose the last commits, a kill never does. */
    ProcessKill,
}

/** What to do with a session of the broker's that the store does not know. */
public enum class ForeignSession {
    /** End it and begin our own. */
    Discard,

    /** Take it over, with the messages that the broker still holds for it. */
    Adopt,
}

/** What happens when the inbox is at its limit and every message in it is still wanted. */
public enum class InboxFull {
    /** The broker has to wait. */
    Pause,

    /** The oldest go; a gap says so. */
    DropOldest,
}

/** What publishing does when the outbox is at its limit. */
public enum class OutboxFull {
    /** [HomingException.LimitReached]. */
    Refuse,

    /** The oldest that were never sent make room: [Fate.Dropped]. */
    DropOldest,

    /** The new one is [Fate.Dropped] at once. */
    DropNewest,
}

/** What publishing does with QoS 0 while there is no connection. */
public enum class Qos0Offline {
    /** It waits like any other. */
    Queue,

    /** [HomingException.Offline]. */
    Refuse,

    /** It is [Fate.Dropped] at once. */
    Drop,
}

/** A queue's limit; whichever is reached first counts. */
public data class Limit(
    /** Number of messages. */
    public val messages: Long = 2_000_000,
    /** Their size in bytes: topics, payloads and properties. */
    public val bytes: Long = 1L shl 30,
)

/** The message that the broker publishes when this client is gone without a DISCONNECT. */
public class Will(
    /** What is published; its ttl becomes the message expiry interval. At most 65,535 bytes of payload. */
    public val message: Publish,
    /** How long the broker waits before; MQTT 5 only, whole seconds. */
    public val delay: Duration = Duration.ZERO,
)

/** How the broker is reached. */
public sealed interface Proxy {
    /** Straight. */
    public data object Direct : Proxy

    /** As the environment's variables say (`https_proxy`, `all_proxy`, `no_proxy`). */
    public data object System : Proxy

    /** Through this one. */
    public class Url(
        /** `http://` or `socks5://`, with a user name and a password if need be. */
        public val url: String,
    ) : Proxy {
        /** Without the URL: it may hold a password. */
        override fun toString(): String = "Url(redacted)"
    }
}

/** A header of the WebSocket request. */
public class Header(
    /** Its name. */
    public val name: String,
    /** Its value. */
    public val value: String,
) {
    /** Without the value: it may be a token. */
    override fun toString(): String = "Header(name=$name)"
}

/** A small file with last values beside the store, for widgets. At most 64 filters in all. */
public data class Glance(
    /** Last values of these topics. */
    public val filters: List<String>,
    /** Topics whose messages are alerts. */
    public val alerts: List<String> = emptyList(),
)

/** Bounds of the time between two attempts to connect. */
public data class Retry(
    /** The shortest. */
    public val shortest: Duration = 500.milliseconds,
    /** The longest. */
    public val longest: Duration = 120.seconds,
)

/**
 * Everything that a client is opened with; only [store] has no default. Checked by [Homing.open].
 *
 * Durations are counted in whole milliseconds; a negative one is an error.
 */
public class Options(
    /** The store's file. Its folder is made if missing. On Android: in `noBackupFilesDir`. */
    public val store: Path,
    /**
     * The broker: `mqtt://`, `mqtts://`, `ws://`, `wss://` or `unix:`. Null: the one that the store knows; without one the
     * client stays offline.
     */
    public val broker: String? = null,
    /** MQTT client id. Null: the store's own; a new store makes a random one. */
    public val clientId: String? = null,
    /** Credentials for every CONNECT, or a provider that makes them. */
    public val credentials: CredentialsSource? = null,
    /** How `mqtts://` and `wss://` are secured. */
    public val tls: Tls? = null,
    /** The service that the broker belongs to. */
    public val profile: Profile = Profile.Generic,
    /** How the broker is reached. */
    public val proxy: Proxy = Proxy.Direct,
    /** Connect at once. */
    public val connect: Boolean = true,
    /** More addresses of the same broker (at home, away), tried in this order; at most 15. */
    public val otherAddresses: List<String> = emptyList(),
    /** The app's word that the broker is the one that the store knows, although no address is the same. */
    public val sameBroker: Boolean = false,
    /** Further headers of the WebSocket request. */
    public val webSocketHeaders: List<Header> = emptyList(),
    /** The MQTT version. */
    public val version: MqttVersion = MqttVersion.Auto,
    /** Zero turns it off; at most 65,535 s. */
    public val keepAlive: Duration = 60.seconds,
    /** How long the broker should keep the session while we are away. Zero: a session that ends with the link. */
    public val sessionExpiry: Duration = 7.days,
    /** When a commit counts as done. */
    public val durability: Durability = Durability.PowerLoss,
    /** Unfinished outgoing QoS 1 and 2 messages at a time; the broker's receive maximum counts too. 1 to 65,535. */
    public val inflight: Int = 1_000,
    /** Of them QoS 2 with MQTT 3.1.1. 1 to 65,535. */
    public val inflightQos2: Int = 20,
    /** How many unacknowledged messages the broker may send us. 1 to 65,535. */
    public val receiveMaximum: Int = 1_024,
    /** The largest packet that we take, in bytes. */
    public val maxPacket: Long = 16L shl 20,
    /** The largest payload to publish, in bytes. */
    public val maxPayload: Long = 16L shl 20,
    /** The outbox's limit. */
    public val outboxLimit: Limit = Limit(),
    /** What happens there. */
    public val outboxFull: OutboxFull = OutboxFull.Refuse,
    /** QoS 0 without a connection. */
    public val qos0Offline: Qos0Offline = Qos0Offline.Queue,
    /** The inbox's limit; at it messages that are done with go first. */
    public val inboxLimit: Limit = Limit(),
    /** What happens there. */
    public val inboxFull: InboxFull = InboxFull.Pause,
    /** How long the broker keeps messages for a client that is away, if less than [sessionExpiry]. */
    public val brokerKeeps: Duration? = null,
    /** Messages that every consumer is done with leave the inbox so long after they were received. */
    public val retention: Duration = 30.days,
    /** A session of the broker's that is not ours. */
    public val foreignSession: ForeignSession = ForeignSession.Discard,
    /** The will, if any. */
    public val will: Will? = null,
    /** Bounds of the time between two attempts to connect. */
    public val retry: Retry = Retry(),
    /** The shortest time between two CONNECTs; at most an hour. */
    public val connectPace: Duration = Duration.ZERO,
    /** The name of the first consumer, made with a new store; 1 to 255 bytes. */
    public val firstConsumer: String = "default",
    /** What it wants; empty: everything. */
    public val firstConsumerFilters: List<String> = emptyList(),
    /**
     * The key of an encrypted store; null: the store is plain. A native library without encryption refuses a key with
     * [HomingException.Unsupported].
     */
    public val key: StoreKeyProvider? = null,
    /**
     * Names this installation: 1 to 64 bytes, made at random once, and kept where backups do not reach. A store that was
     * driven under another one is a copy.
     */
    public val deviceToken: ByteArray? = null,
    /** A file with last values for widgets. */
    public val glance: Glance? = null,
) {
    /** Names the store only: everything else may lead to credentials or payloads (P12). */
    override fun toString(): String = "Options(store=$store)"
}
