package io.github.homingmqtt

import java.time.Instant

/** Whether the store takes more. */
public enum class StorageState {
    /** Yes. */
    Ok,

    /** The disk is full (P10). */
    Full,

    /** A reader holds the write-ahead log at its bound. */
    Reader,
}

/** What [Homing.sync] did, and what is left. */
public data class SyncReport(
    /** Messages that reached the broker meanwhile. */
    public val sent: Long,
    /** Messages that were stored meanwhile. */
    public val received: Long,
    /** Messages that the outbox still holds; parked ones do not count. */
    public val waiting: Long,
    /** Nothing was left to do. */
    public val drained: Boolean,
    /** The broker accepted a connection within the deadline. */
    public val connected: Boolean,
    /** What was in the way; null: nothing. */
    public val trouble: Trouble?,
)

/** Counters since the client was opened. */
public data class Counters(
    /** Commits. */
    public val commits: Long,
    /** Messages accepted. */
    public val published: Long,
    /** Messages stored in the inbox. */
    public val received: Long,
    /** PUBLISH packets sent. */
    public val sent: Long,
    /** Of them again. */
    public val resent: Long,
    /** Messages that came to their end. */
    public val settled: Long,
    /** Bytes sent. */
    public val bytesOut: Long,
    /** Bytes received. */
    public val bytesIn: Long,
    /** Connections tried. */
    public val linkAttempts: Long,
    /** Connections accepted. */
    public val connects: Long,
    /** Messages in the outbox now. */
    public val outboxMessages: Long,
    /** Messages in the inbox now. */
    public val inboxMessages: Long,
    /** Whether the store takes more. */
    public val storage: StorageState,
)

/** A durable consumer, as the store knows it. */
public data class ConsumerStatus(
    /** Its name. */
    public val name: String,
    /** What it wants; empty: every message. */
    public val filters: List<String>,
    /** Done with everything through this position. */
    public val doneThrough: Position,
    /** Messages that it is not done with. */
    public val behind: Long,
    /** What happens when it falls behind. */
    public val lag: Lag,
    /** Messages that it was moved over before it was done with them, ever. */
    public val skipped: Long,
)

/** A subscription, as the store knows it. */
public data class SubscriptionStatus(
    /** Which. */
    public val filter: String,
    /** Asked for. */
    public val qos: QoS,
    /** Granted; null: not yet. */
    public val granted: QoS?,
)

/** Store and session at a glance. */
public data class Status(
    /** The store's id. */
    public val store: String,
    /** MQTT client id. */
    public val clientId: String,
    /** The broker that the session is with, without credentials. */
    public val broker: String?,
    /** The connection in a word. */
    public val connection: String,
    /** Whether the broker still had our session at the last connection. */
    public val sessionPresent: Boolean?,
    /** When that was. */
    public val lastConnect: Instant?,
    /** Messages that wait. */
    public val waiting: Long,
    /** Messages in flight. */
    public val inFlight: Long,
    /** Messages set aside. */
    public val parked: Long,
    /** Bytes of the outbox. */
    public val outboxBytes: Long,
    /** Messages in the inbox. */
    public val inboxMessages: Long,
    /** Bytes of the inbox. */
    public val inboxBytes: Long,
    /** Durable consumers. */
    public val consumers: List<ConsumerStatus>,
    /** Subscriptions. */
    public val subscriptions: List<SubscriptionStatus>,
    /** Number of gaps. */
    public val gaps: Long,
    /** Whether the store takes more. */
    public val storage: StorageState,
    /** A copy that was put back: its outbox waits for the app's word. */
    public val held: Boolean,
)

/** The last message of a topic. */
public data class LastMessage(
    /** The message. */
    public val message: Message,
    /** When the broker last said so. */
    public val heardAt: Instant,
)

/** A page of what a [Reader] reads. */
public data class Page<out T, out K>(
    /** In order. */
    public val items: List<T>,
    /** What to hand to the next call for the next page; null: there is none. */
    public val next: K?,
)

/** A message that waits, is in flight or is parked. */
public data class OutboxEntry(
    /** Its id. */
    public val id: MessageId,
    /** Waiting, in flight or parked. */
    public val fate: Fate,
    /** Where to. */
    public val topic: String,
    /** The payload's size in bytes. */
    public val payloadBytes: Long,
    /** Quality of service. */
    public val qos: QoS,
    /** Retained. */
    public val retain: Boolean,
)

/** Something that happened to the store's file. */
public data class Incident(
    /** When. */
    public val at: Instant,
    /** What kind. */
    public val kind: String,
    /** In words. */
    public val detail: String,
)
