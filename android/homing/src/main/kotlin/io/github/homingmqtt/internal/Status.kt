package io.github.homingmqtt.internal

import io.github.homingmqtt.ConsumerStatus
import io.github.homingmqtt.Counters
import io.github.homingmqtt.Incident
import io.github.homingmqtt.Lag
import io.github.homingmqtt.LastMessage
import io.github.homingmqtt.MessageId
import io.github.homingmqtt.OutboxEntry
import io.github.homingmqtt.Position
import io.github.homingmqtt.Status
import io.github.homingmqtt.StorageState
import io.github.homingmqtt.SubscriptionStatus
import io.github.homingmqtt.SyncReport
import io.github.homingmqtt.ffi.ConsumerInfo
import io.github.homingmqtt.ffi.IncidentInfo
import io.github.homingmqtt.ffi.LagPolicy
import io.github.homingmqtt.ffi.OutboxRow
import io.github.homingmqtt.ffi.StoreStatus
import io.github.homingmqtt.ffi.SubscriptionInfo
import io.github.homingmqtt.ffi.SyncSummary
import java.time.Instant
import kotlin.time.Duration.Companion.milliseconds
import io.github.homingmqtt.ffi.Counters as FfiCounters
import io.github.homingmqtt.ffi.LastMessage as FfiLastMessage
import io.github.homingmqtt.ffi.StorageState as FfiStorageState

internal fun SyncSummary.public(): SyncReport =
    SyncReport(sent.toLong(), received.toLong(), waiting.toLong(), drained, connected, trouble?.public())

internal fun FfiCounters.public(): Counters =
    Counters(
        commits = commits.toLong(),
        published = published.toLong(),
        received = received.toLong(),
        sent = sent.toLong(),
        resent = resent.toLong(),
        settled = settled.toLong(),
        bytesOut = bytesOut.toLong(),
        bytesIn = bytesIn.toLong(),
        linkAttempts = linkAttempts.toLong(),
        connects = connects.toLong(),
        outboxMessages = outboxMessages.toLong(),
        inboxMessages = inboxMessages.toLong(),
        storage = storage.public(),
    )

private fun FfiStorageState.public(): StorageState =
    when (this) {
        FfiStorageState.OK -> StorageState.Ok
        FfiStorageState.FULL -> StorageState.Full
        FfiStorageState.READER -> StorageState.Reader
    }

internal fun StoreStatus.public(): Status =
    Status(
        store = store,
        clientId = clientId,
        broker = broker,
        connection = connection,
        sessionPresent = sessionPresent,
        lastConnect = lastConnectMs?.let(Instant::ofEpochMilli),
        waiting = waiting.toLong(),
        inFlight = inFlight.toLong(),
        parked = parked.toLong(),
        outboxBytes = outboxBytes.toLong(),
        inboxMessages = inboxMessages.toLong(),
        inboxBytes = inboxBytes.toLong(),
        consumers = consumers.map { it.public(store) },
        subscriptions = subscriptions.map { it.public() },
        gaps = gaps.toLong(),
        storage = storage.public(),
        held = held,
    )

private fun ConsumerInfo.public(store: String): ConsumerStatus =
    ConsumerStatus(
        name = name,
        filters = filters,
        doneThrough = Position(store, cursor.toLong()),
        behind = behind.toLong(),
        lag =
            when (val lag = lag) {
                LagPolicy.Pause -> Lag.Pause
                is LagPolicy.Skip -> Lag.Skip(lag.messages.toLong())
                is LagPolicy.Expire -> Lag.Expire(lag.afterMs.milliseconds)
            },
        skipped = skipped.toLong(),
    )

private fun SubscriptionInfo.public(): SubscriptionStatus = SubscriptionStatus(filter, qos.public(), granted?.public())

internal fun FfiLastMessage.public(store: String): LastMessage =
    LastMessage(message.public(store), Instant.ofEpochMilli(heardMs))

internal fun OutboxRow.public(store: String): OutboxEntry =
    OutboxEntry(MessageId(store, n.toLong()), fate.public(store), topic, payloadBytes.toLong(), qos.public(), retain)

internal fun IncidentInfo.public(): Incident = Incident(Instant.ofEpochMilli(atMs), kind, detail)
