package io.github.homingmqtt.internal

import io.github.homingmqtt.AwsAccess
import io.github.homingmqtt.Credentials
import io.github.homingmqtt.CredentialsProvider
import io.github.homingmqtt.Durability
import io.github.homingmqtt.ForeignSession
import io.github.homingmqtt.InboxFull
import io.github.homingmqtt.Limit
import io.github.homingmqtt.MqttVersion
import io.github.homingmqtt.Options
import io.github.homingmqtt.OutboxFull
import io.github.homingmqtt.Profile
import io.github.homingmqtt.Proxy
import io.github.homingmqtt.Qos0Offline
import io.github.homingmqtt.Tls
import io.github.homingmqtt.TlsVersion
import io.github.homingmqtt.Trust
import io.github.homingmqtt.TrustCheck
import io.github.homingmqtt.ffi.BrokerProfile
import io.github.homingmqtt.ffi.GlanceFile
import io.github.homingmqtt.ffi.ProxyChoice
import io.github.homingmqtt.ffi.QueueLimit
import io.github.homingmqtt.ffi.Settings
import io.github.homingmqtt.ffi.TlsMinimum
import io.github.homingmqtt.ffi.TlsSettings
import io.github.homingmqtt.ffi.TlsTrust
import io.github.homingmqtt.ffi.WillMessage
import java.util.ServiceLoader
import io.github.homingmqtt.ffi.AwsAccess as FfiAwsAccess
import io.github.homingmqtt.ffi.ClientCertificate as FfiClientCertificate
import io.github.homingmqtt.ffi.Durability as FfiDurability
import io.github.homingmqtt.ffi.ForeignSession as FfiForeignSession
import io.github.homingmqtt.ffi.Header as FfiHeader
import io.github.homingmqtt.ffi.InboxFull as FfiInboxFull
import io.github.homingmqtt.ffi.MqttVersion as FfiMqttVersion
import io.github.homingmqtt.ffi.OutboxFull as FfiOutboxFull
import io.github.homingmqtt.ffi.Qos0Offline as FfiQos0Offline

internal fun Options.cross(): Settings =
    Settings(
        store = file(store),
        broker = broker?.let { text("broker", it) },
        otherAddresses = texts("other addresses", otherAddresses),
        sameBroker = sameBroker,
        clientId = clientId?.let { text("client id", it) },
        tls = (tls ?: Tls().takeIf { system != null })?.cross(),
        credentials = (credentials as? Credentials)?.cross(),
        provider = (credentials as? CredentialsProvider)?.let(::CredentialsAsked),
        profile = profile.cross(),
        proxy =
            when (val proxy = proxy) {
                Proxy.Direct -> ProxyChoice.Direct
                Proxy.System -> ProxyChoice.System
                is Proxy.Url -> ProxyChoice.Url(text("proxy", proxy.url))
            },
        websocketHeaders =
            webSocketHeaders.map { FfiHeader(text("header name", it.name), text("header value", it.value)) },
        version =
            when (version) {
                MqttVersion.Auto -> FfiMqttVersion.AUTO
                MqttVersion.V311 -> FfiMqttVersion.V311
                MqttVersion.V5 -> FfiMqttVersion.V5
            },
        keepAliveMs = milliseconds("keep alive", keepAlive),
        sessionExpiryMs = milliseconds("session expiry", sessionExpiry),
        durability =
            when (durability) {
                Durability.PowerLoss -> FfiDurability.POWER_LOSS
                Durability.ProcessKill -> FfiDurability.PROCESS_KILL
            },
        inflight = short("inflight", inflight),
        inflightQos2 = short("inflight QoS 2", inflightQos2),
        receiveMaximum = short("receive maximum", receiveMaximum),
        maxPacket = number("max packet", maxPacket, 1_024L..268_435_460L).toUInt(),
        maxPayload = number("max payload", maxPayload, 0L..268_000_000L).toULong(),
        outboxLimit = limit("outbox limit", outboxLimit),
        outboxFull =
            when (outboxFull) {
                OutboxFull.Refuse -> FfiOutboxFull.REFUSE
                OutboxFull.DropOldest -> FfiOutboxFull.DROP_OLDEST
                OutboxFull.DropNewest -> FfiOutboxFull.DROP_NEWEST
            },
        qos0Offline =
            when (qos0Offline) {
                Qos0Offline.Queue -> FfiQos0Offline.QUEUE
                Qos0Offline.Refuse -> FfiQos0Offline.REFUSE
                Qos0Offline.Drop -> FfiQos0Offline.DROP
            },
        inboxLimit = limit("inbox limit", inboxLimit),
        inboxFull =
            when (inboxFull) {
                InboxFull.Pause -> FfiInboxFull.PAUSE
                InboxFull.DropOldest -> FfiInboxFull.DROP_OLDEST
            },
        brokerKeepsMs = brokerKeeps?.let { milliseconds("broker keeps", it) },
        retentionMs = milliseconds("retention", retention),
        foreignSession =
            when (foreignSession) {
                ForeignSession.Discard -> FfiForeignSession.DISCARD
                ForeignSession.Adopt -> FfiForeignSession.ADOPT
            },
        will = will?.let { WillMessage(it.message.cross(), milliseconds("will delay", it.delay)) },
        retryMinMs = milliseconds("retry", retry.shortest),
        retryMaxMs = milliseconds("retry", retry.longest),
        connectPaceMs = milliseconds("connect pace", connectPace),
        firstConsumer = text("first consumer", firstConsumer),
        firstConsumerFilters = texts("first consumer filters", firstConsumerFilters),
        key = key?.let(::StoreKeyAsked),
        deviceToken = deviceToken,
        glance = glance?.let { GlanceFile(texts("glance", it.filters), texts("glance alerts", it.alerts)) },
        connect = connect,
    )

private fun limit(
    what: String,
    limit: Limit,
): QueueLimit {
    val most = 1L..Long.MAX_VALUE
    return QueueLimit(
        number("$what, messages", limit.messages, most).toULong(),
        number("$what, bytes", limit.bytes, most).toULong(),
    )
}

/** The system's own judgement, where it is asked by way of the app: the module `homing-android` brings it. */
private val system: TrustCheck? by lazy {
    ServiceLoader.load(TrustCheck::class.java, TrustCheck::class.java.classLoader).firstOrNull()
}

private fun Tls.cross(): TlsSettings =
    TlsSettings(
        trust =
            when (val trust = trust) {
                Trust.Platform -> system?.let { TlsTrust.System(TrustAsked(it)) } ?: TlsTrust.Platform
                is Trust.Roots -> TlsTrust.Roots(trust.pem)
                is Trust.Custom -> TlsTrust.Custom(TrustAsked(trust.check))
                Trust.DangerousAcceptAnyServer -> TlsTrust.DangerousAcceptAnyServer
            },
        identity = certificate?.let { FfiClientCertificate(it.certificatesPem, it.keyPem) },
        pins = texts("pins", pins),
        serverName = serverName?.let { text("server name", it) },
        alpn = texts("ALPN", alpn),
        minimum =
            when (minimum) {
                TlsVersion.Tls12 -> TlsMinimum.TLS12
                TlsVersion.Tls13 -> TlsMinimum.TLS13
            },
    )

private fun Profile.cross(): BrokerProfile =
    when (this) {
        Profile.Generic -> {
            BrokerProfile.Generic
        }

        is Profile.Tencent -> {
            BrokerProfile.Tencent(
                text("product id", productId),
                text("device name", deviceName),
                text("secret", secret),
                sha1,
                host?.let { text("host", it) },
                lifetime?.let { milliseconds("lifetime", it) },
            )
        }

        is Profile.Aws -> {
            BrokerProfile.Aws(text("endpoint", endpoint), access.cross())
        }

        is Profile.AzureIotHub -> {
            BrokerProfile.AzureIotHub(
                text("hub", hub),
                text("device id", deviceId),
                text("key", key),
                lifetime?.let { milliseconds("lifetime", it) },
            )
        }

        is Profile.AzureEventGrid -> {
            BrokerProfile.AzureEventGrid(text("host", host), text("client id", clientId))
        }
    }

private fun AwsAccess.cross(): FfiAwsAccess =
    when (this) {
        AwsAccess.X509 -> {
            FfiAwsAccess.X509
        }

        AwsAccess.X509On443 -> {
            FfiAwsAccess.X509On443
        }

        is AwsAccess.CustomAuthorizer -> {
            FfiAwsAccess.CustomAuthorizer(
                text("user", user),
                name?.let { text("authorizer", it) },
                tokenKey?.let { text("token key", it) },
                token?.let { text("token", it) },
                signature?.let { text("signature", it) },
                password,
            )
        }

        is AwsAccess.SigV4 -> {
            FfiAwsAccess.SigV4(region?.let { text("region", it) }, AwsKeysAsked(keys))
        }
    }
