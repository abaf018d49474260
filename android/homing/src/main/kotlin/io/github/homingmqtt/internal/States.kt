package io.github.homingmqtt.internal

import io.github.homingmqtt.CancelResult
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Event
import io.github.homingmqtt.Fate
import io.github.homingmqtt.Gap
import io.github.homingmqtt.MessageId
import io.github.homingmqtt.Position
import io.github.homingmqtt.Reason
import io.github.homingmqtt.Settled
import io.github.homingmqtt.Trouble
import io.github.homingmqtt.ffi.GapInfo
import io.github.homingmqtt.ffi.LinkState
import io.github.homingmqtt.ffi.MessageFate
import io.github.homingmqtt.ffi.TroubleKind
import java.time.Instant
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import io.github.homingmqtt.ffi.CancelResult as FfiCancelResult
import io.github.homingmqtt.ffi.Event as FfiEvent
import io.github.homingmqtt.ffi.Reason as FfiReason
import io.github.homingmqtt.ffi.Trouble as FfiTrouble

/** Milliseconds as they come: never negative, and no more than a Long holds. */
internal fun ULong.asMilliseconds(): Duration = coerceAtMost(Long.MAX_VALUE.toULong()).toLong().milliseconds

internal fun FfiReason.public(): Reason = Reason(code.toInt(), text)

internal fun FfiTrouble.public(): Trouble = Trouble(kind.public(), text, reason?.public())

private fun TroubleKind.public(): Trouble.Kind =
    when (this) {
        TroubleKind.UNREACHABLE -> Trouble.Kind.Unreachable
        TroubleKind.TLS -> Trouble.Kind.Tls
        TroubleKind.REFUSED -> Trouble.Kind.Refused
        TroubleKind.PROXY_REFUSED -> Trouble.Kind.ProxyRefused
        TroubleKind.CUT -> Trouble.Kind.Cut
        TroubleKind.CLOSED_BY_BROKER -> Trouble.Kind.ClosedByBroker
        TroubleKind.KEEP_ALIVE -> Trouble.Kind.KeepAlive
        TroubleKind.WRITE_TIMEOUT -> Trouble.Kind.WriteTimeout
        TroubleKind.CONNACK_TIMEOUT -> Trouble.Kind.ConnackTimeout
        TroubleKind.BROKER -> Trouble.Kind.Broker
        TroubleKind.PROTOCOL -> Trouble.Kind.Protocol
        TroubleKind.STORE -> Trouble.Kind.Store
        TroubleKind.INBOX_FULL -> Trouble.Kind.InboxFull
        TroubleKind.ASKED -> Trouble.Kind.Asked
        TroubleKind.NO_BROKER -> Trouble.Kind.NoBroker
        TroubleKind.NO_NETWORK -> Trouble.Kind.NoNetwork
        TroubleKind.NETWORK_CHANGED -> Trouble.Kind.NetworkChanged
        TroubleKind.CREDENTIALS -> Trouble.Kind.Credentials
        TroubleKind.OTHER -> Trouble.Kind.Other
    }

internal fun LinkState.public(): ConnectionState =
    when (this) {
        is LinkState.Offline -> ConnectionState.Offline(why.public())
        is LinkState.Connecting -> ConnectionState.Connecting(attempt.toInt())
        is LinkState.Online -> ConnectionState.Online(sessionPresent)
        is LinkState.Waiting -> ConnectionState.Waiting(retryInMs.asMilliseconds(), why.public())
        LinkState.TakenOver -> ConnectionState.TakenOver
        LinkState.Paused -> ConnectionState.Paused
    }

internal fun MessageFate.public(store: String): Fate =
    when (this) {
        MessageFate.Waiting -> Fate.Waiting
        MessageFate.InFlight -> Fate.InFlight
        MessageFate.Sent -> Fate.Sent
        is MessageFate.Delivered -> Fate.Delivered(maybeTwice, maybeLost, downgraded)
        is MessageFate.Refused -> Fate.Refused(reason.public())
        MessageFate.Expired -> Fate.Expired
        is MessageFate.Parked -> Fate.Parked(reason.public())
        is MessageFate.Superseded -> Fate.Superseded(MessageId(store, by.toLong()))
        MessageFate.Cancelled -> Fate.Cancelled
        MessageFate.Dropped -> Fate.Dropped
        MessageFate.Unknown -> Fate.Unknown
        MessageFate.Forgotten -> Fate.Forgotten
        MessageFate.OtherStore -> Fate.OtherStore
    }

internal fun FfiCancelResult.public(store: String): CancelResult =
    when (this) {
        FfiCancelResult.Cancelled -> CancelResult.Cancelled
        FfiCancelResult.TooLate -> CancelResult.TooLate
        is FfiCancelResult.Settled -> CancelResult.Settled(fate.public(store))
    }

internal fun GapInfo.public(store: String): Gap =
    Gap(
        filters = filters,
        cause = cause,
        from = Instant.ofEpochMilli(fromMs),
        to = toMs?.let(Instant::ofEpochMilli),
        after = Position(store, afterSeq.toLong()),
        bytes = bytes?.toLong(),
    )

internal fun FfiEvent.public(store: String): Event =
    when (this) {
        is FfiEvent.State -> {
            Event.StateChanged(state.public())
        }

        is FfiEvent.Settled -> {
            Event.MessagesSettled(messages.map { Settled(MessageId(store, it.n.toLong()), it.fate.public(store)) })
        }

        is FfiEvent.SessionLost -> {
            Event.SessionLost(Instant.ofEpochMilli(atMs))
        }

        is FfiEvent.Gap -> {
            Event.GapFound(gap.public(store))
        }

        is FfiEvent.Skipped -> {
            Event.Skipped(
                consumer,
                messages.toLong(),
                Position(store, fromSeq.toLong()),
                Position(store, throughSeq.toLong()),
            )
        }

        is FfiEvent.Subscribed -> {
            Event.Subscribed(filter, qos.public())
        }

        is FfiEvent.Unsubscribed -> {
            Event.Unsubscribed(filter)
        }

        is FfiEvent.SubscribeRefused -> {
            Event.SubscribeRefused(filter, reason.public())
        }

        is FfiEvent.CredentialsRefreshed -> {
            Event.CredentialsRefreshed(inPlace)
        }

        is FfiEvent.CredentialsRefused -> {
            Event.CredentialsRefused(reason.public(), retryInMs.asMilliseconds())
        }

        is FfiEvent.CredentialsFailed -> {
            Event.CredentialsFailed(text)
        }

        is FfiEvent.Warning -> {
            Event.Warning(code, text)
        }

        is FfiEvent.Missed -> {
            Event.Missed(count.toLong())
        }

        is FfiEvent.Other -> {
            Event.Other(text)
        }
    }
