// Options as they cross.

import Foundation
internal import HomingGenerated

extension HomingClient.Options {
    func raw() throws(HomingError) -> HomingGenerated.Settings {
        let store = try path(of: store)
        let bytes = tls.size + (credentials?.size ?? 0) + profile.size + (deviceToken?.count ?? 0)
        guard bytes <= largestCall else {
            throw .invalid(
                "options: \(bytes) bytes of certificates, keys, passwords and device token; at most \(largestCall) are taken")
        }
        let (fixed, provider) = credentials?.raw ?? (nil, nil)
        return HomingGenerated.Settings(
            store: store, broker: broker?.absoluteString,
            otherAddresses: otherAddresses.map(\.absoluteString), sameBroker: isSameBroker, clientId: clientID,
            tls: tls.raw, credentials: fixed, provider: provider, profile: profile.raw, proxy: proxy.raw,
            websocketHeaders: webSocketHeaders.map { .init(name: $0.name, value: $0.value) },
            version: version.raw, keepAliveMs: keepAlive.milliseconds, sessionExpiryMs: sessionExpiry.milliseconds,
            durability: durability == .powerLoss ? .powerLoss : .processKill,
            inflight: try narrow("inflight", inflight), inflightQos2: try narrow("inflightQoS2", inflightQoS2),
            receiveMaximum: try narrow("receiveMaximum", receiveMaximum),
            maxPacket: try narrow("maximumPacket", maximumPacket),
            maxPayload: try narrow("maximumPayload", maximumPayload),
            outboxLimit: try outboxLimit.raw("outboxLimit"), outboxFull: outboxFull.raw,
            qos0Offline: offlineQoS0.raw, inboxLimit: try inboxLimit.raw("inboxLimit"),
            inboxFull: inboxFull == .pause ? .pause : .dropOldest, brokerKeepsMs: brokerKeeps?.milliseconds,
            retentionMs: retention.milliseconds, foreignSession: foreignSession == .discard ? .discard : .adopt,
            will: try will?.raw(), retryMinMs: minimumRetry.milliseconds, retryMaxMs: maximumRetry.milliseconds,
            connectPaceMs: connectPace.milliseconds, firstConsumer: firstConsumer,
            firstConsumerFilters: firstConsumerFilters, key: key.map(KeyCallback.init), deviceToken: deviceToken,
            glance: glance.map { .init(filters: $0.filters, alerts: $0.alerts) }, connect: connects)
    }
}

extension HomingClient.QueueLimit {
    fileprivate func raw(_ what: String) throws(HomingError) -> HomingGenerated.QueueLimit {
        .init(
            messages: try narrow("\(what).messages", messages), bytes: try narrow("\(what).bytes", bytes))
    }
}

extension HomingClient.Will {
    fileprivate func raw() throws(HomingError) -> HomingGenerated.WillMessage {
        try checkSize(message.size)
        return .init(message: message.raw, delayMs: delay.milliseconds)
    }
}

extension HomingClient.Version {
    fileprivate var raw: HomingGenerated.MqttVersion {
        switch self {
        case .automatic: .auto
        case .v311: .v311
        case .v5: .v5
        }
    }
}

extension HomingClient.OutboxFull {
    fileprivate var raw: HomingGenerated.OutboxFull {
        switch self {
        case .refuse: .refuse
        case .dropOldest: .dropOldest
        case .dropNewest: .dropNewest
        }
    }
}

extension HomingClient.OfflineQoS0 {
    fileprivate var raw: HomingGenerated.Qos0Offline {
        switch self {
        case .queue: .queue
        case .refuse: .refuse
        case .drop: .drop
        }
    }
}

extension HomingClient.Proxy {
    fileprivate var raw: HomingGenerated.ProxyChoice {
        switch self {
        case .direct: .direct
        case .system: .system
        case .url(let url): .url(url: url.absoluteString)
        }
    }
}
