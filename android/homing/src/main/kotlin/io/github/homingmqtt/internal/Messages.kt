package io.github.homingmqtt.internal

import io.github.homingmqtt.IfUnsupported
import io.github.homingmqtt.Lane
import io.github.homingmqtt.Message
import io.github.homingmqtt.MessageId
import io.github.homingmqtt.Position
import io.github.homingmqtt.Properties
import io.github.homingmqtt.Publish
import io.github.homingmqtt.QoS
import io.github.homingmqtt.RetainHandling
import io.github.homingmqtt.Subscription
import io.github.homingmqtt.UserProperty
import io.github.homingmqtt.ffi.MessageProperties
import io.github.homingmqtt.ffi.Outgoing
import io.github.homingmqtt.ffi.QosLevel
import io.github.homingmqtt.ffi.ReceivedMessage
import io.github.homingmqtt.ffi.StoredId
import io.github.homingmqtt.ffi.Wish
import java.time.Instant
import kotlin.time.Duration.Companion.seconds
import io.github.homingmqtt.ffi.IfUnsupported as FfiIfUnsupported
import io.github.homingmqtt.ffi.Lane as FfiLane
import io.github.homingmqtt.ffi.RetainHandling as FfiRetainHandling
import io.github.homingmqtt.ffi.UserProperty as FfiUserProperty

internal fun QoS.cross(): QosLevel =
    when (this) {
        QoS.AtMostOnce -> QosLevel.AT_MOST_ONCE
        QoS.AtLeastOnce -> QosLevel.AT_LEAST_ONCE
        QoS.ExactlyOnce -> QosLevel.EXACTLY_ONCE
    }

internal fun QosLevel.public(): QoS =
    when (this) {
        QosLevel.AT_MOST_ONCE -> QoS.AtMostOnce
        QosLevel.AT_LEAST_ONCE -> QoS.AtLeastOnce
        QosLevel.EXACTLY_ONCE -> QoS.ExactlyOnce
    }

internal fun MessageId.cross(): StoredId = StoredId(store, number.toULong())

internal fun Position.cross(): StoredId = StoredId(store, number.toULong())

internal fun Publish.cross(): Outgoing =
    Outgoing(
        topic = text("topic", topic),
        payload = payload,
        qos = qos.cross(),
        retain = retain,
        ttlMs = ttl?.let { milliseconds("ttl", it) },
        ifUnsupported =
            when (ifUnsupported) {
                IfUnsupported.Refuse -> FfiIfUnsupported.REFUSE
                IfUnsupported.Downgrade -> FfiIfUnsupported.DOWNGRADE
                IfUnsupported.Park -> FfiIfUnsupported.PARK
            },
        lane = if (lane == Lane.Urgent) FfiLane.URGENT else FfiLane.NORMAL,
        supersede = supersede?.let { text("supersede key", it) },
        idempotency = idempotency?.let { text("idempotency key", it) },
        properties = if (properties === Properties.None) null else properties.cross(),
    )

private fun Properties.cross(): MessageProperties =
    MessageProperties(
        payloadIsUtf8 = payloadIsUtf8,
        contentType = contentType?.let { text("content type", it) },
        responseTopic = responseTopic?.let { text("response topic", it) },
        correlationData = correlationData,
        user = user.map { FfiUserProperty(text("user property name", it.name), text("user property value", it.value)) },
        subscriptionIds = emptyList(),
        expiryS = null,
    )

private fun MessageProperties.public(): Properties =
    Properties(
        payloadIsUtf8 = payloadIsUtf8,
        contentType = contentType,
        responseTopic = responseTopic,
        correlationData = correlationData,
        user = user.map { UserProperty(it.name, it.value) },
        subscriptionIds = subscriptionIds.map(UInt::toInt),
        expiry = expiryS?.toLong()?.seconds,
    )

internal fun ReceivedMessage.public(store: String): Message =
    Message(
        position = Position(store, seq.toLong()),
        topic = topic,
        payload = payload,
        qos = qos.public(),
        retained = retained,
        replay = replay,
        maybeDuplicate = dup,
        receivedAt = Instant.ofEpochMilli(receivedMs),
        properties = properties?.public() ?: Properties.None,
    )

internal fun Subscription.cross(): Wish =
    Wish(
        filter = text("filter", filter),
        qos = qos.cross(),
        noLocal = noLocal,
        retainAsPublished = retainAsPublished,
        retainHandling =
            when (retainHandling) {
                RetainHandling.Always -> FfiRetainHandling.ALWAYS
                RetainHandling.IfNew -> FfiRetainHandling.IF_NEW
                RetainHandling.Never -> FfiRetainHandling.NEVER
            },
        id = id?.let { number("subscription identifier", it.toLong(), 1L..268_435_455L).toUInt() },
    )
