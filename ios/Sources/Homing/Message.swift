// Messages: to be published, and received.

import Foundation
internal import HomingGenerated

/// Name and value of a user property [3.3.2.3.7].
public struct UserProperty: Hashable, Sendable {
    /// The name.
    public var name: String
    /// The value.
    public var value: String

    /// Both.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// As it crosses, with two lengths.
    fileprivate var size: Int { 8 + name.utf8.count + value.utf8.count }
}

/// Properties of a message that MQTT 5 carries.
public struct MessageProperties: Hashable, Sendable {
    /// The payload is UTF-8 text.
    public var payloadIsUTF8: Bool
    /// Content type.
    public var contentType: String?
    /// Where an answer goes.
    public var responseTopic: String?
    /// What an answer is known by.
    public var correlationData: Data?
    /// User properties, in order.
    public var user: [UserProperty]
    /// Received messages: the identifiers of the subscriptions that they match. Not sent.
    public internal(set) var subscriptionIDs: [UInt32] = []
    /// Received messages: the expiry interval that the broker named. Not sent: see ``OutgoingMessage/timeToLive``.
    public internal(set) var expiry: Duration?

    /// Those that an app may send.
    public init(
        payloadIsUTF8: Bool = false, contentType: String? = nil, responseTopic: String? = nil,
        correlationData: Data? = nil, user: [UserProperty] = []
    ) {
        self.payloadIsUTF8 = payloadIsUTF8
        self.contentType = contentType
        self.responseTopic = responseTopic
        self.correlationData = correlationData
        self.user = user
    }

    init(_ raw: HomingGenerated.MessageProperties) {
        self.init(
            payloadIsUTF8: raw.payloadIsUtf8, contentType: raw.contentType, responseTopic: raw.responseTopic,
            correlationData: raw.correlationData, user: raw.user.map { UserProperty($0.name, $0.value) })
        subscriptionIDs = raw.subscriptionIds
        expiry = raw.expiryS.map { .seconds(Int64($0)) }
    }

    var raw: HomingGenerated.MessageProperties {
        .init(
            payloadIsUtf8: payloadIsUTF8, contentType: contentType, responseTopic: responseTopic,
            correlationData: correlationData, user: user.map { .init(name: $0.name, value: $0.value) },
            subscriptionIds: [], expiryS: nil)
    }

    var size: Int {
        let texts = (contentType?.utf8.count ?? 0) + (responseTopic?.utf8.count ?? 0)
        return user.reduce(texts + (correlationData?.count ?? 0)) { $0 + $1.size }
    }
}

/// A message to be published.
public struct OutgoingMessage: Hashable, Sendable {
    /// Topic name: no wildcards, 1 to 65,535 bytes of UTF-8, no NUL.
    public var topic: String
    /// At most ``HomingClient/Options/maximumPayload`` bytes.
    public var payload: Data
    /// Quality of service.
    public var qos: QoS
    /// The broker keeps it for those who subscribe later.
    public var retain: Bool
    /// How long it may wait before it is sent; what the broker does not know by then expires. Nil: for ever.
    public var timeToLive: Duration?
    /// What to do about a broker that does not support it.
    public var ifUnsupported: IfUnsupported
    /// Which queue.
    public var lane: Lane
    /// A newer message with the same key takes the place of one that still waits. 1 to 255 bytes.
    public var supersede: String?
    /// The same key twice is one message. 1 to 255 bytes.
    public var idempotency: String?
    /// Properties of MQTT 5.
    public var properties: MessageProperties?

    /// A message with the defaults of an app: QoS 1, not retained.
    public init(
        _ topic: String, _ payload: Data, qos: QoS = .atLeastOnce, retain: Bool = false, timeToLive: Duration? = nil,
        ifUnsupported: IfUnsupported = .refuse, lane: Lane = .normal, supersede: String? = nil,
        idempotency: String? = nil, properties: MessageProperties? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.timeToLive = timeToLive
        self.ifUnsupported = ifUnsupported
        self.lane = lane
        self.supersede = supersede
        self.idempotency = idempotency
        self.properties = properties
    }

    /// The same with a text as payload.
    public init(_ topic: String, _ text: String, qos: QoS = .atLeastOnce, retain: Bool = false) {
        self.init(topic, Data(text.utf8), qos: qos, retain: retain)
    }

    var raw: HomingGenerated.Outgoing {
        .init(
            topic: topic, payload: payload, qos: qos.raw, retain: retain, ttlMs: timeToLive?.milliseconds,
            ifUnsupported: ifUnsupported.raw, lane: lane.raw, supersede: supersede, idempotency: idempotency,
            properties: properties?.raw)
    }

    /// As it crosses: 64 is more than the fixed fields and the lengths take.
    var size: Int {
        let keys = (supersede?.utf8.count ?? 0) + (idempotency?.utf8.count ?? 0)
        return 64 + topic.utf8.count + payload.count + keys + (properties?.size ?? 0)
    }
}

/// A received message, as it stands in the inbox.
public struct Message: Hashable, Sendable {
    /// Its place in the inbox.
    public let position: Position
    /// Topic name.
    public let topic: String
    /// Payload; may be empty.
    public let payload: Data
    /// Quality of service that it came with.
    public let qos: QoS
    /// The broker had kept it.
    public let retained: Bool
    /// A retained one that the store knew already: the broker sent it again for a subscription that was made again.
    public let replay: Bool
    /// The broker may have sent it before.
    public let maybeDuplicate: Bool
    /// When it was received, by the clock of this machine.
    public let received: Date
    /// Properties of MQTT 5; nil: none.
    public let properties: MessageProperties?

    /// The payload as UTF-8; nil: it is something else.
    public var text: String? { String(data: payload, encoding: .utf8) }

    init(_ raw: HomingGenerated.ReceivedMessage, store: String) {
        position = Position(store: store, sequence: raw.seq)
        topic = raw.topic
        payload = raw.payload
        qos = QoS(raw.qos)
        retained = raw.retained
        replay = raw.replay
        maybeDuplicate = raw.dup
        received = Date(milliseconds: raw.receivedMs)
        properties = raw.properties.map(MessageProperties.init)
    }
}

// A log of messages is not a log of payloads (P12).

extension UserProperty: CustomStringConvertible, CustomReflectable {
    public var description: String { "UserProperty(\(name), redacted)" }
    public var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}

extension MessageProperties: CustomStringConvertible, CustomReflectable {
    public var description: String { "MessageProperties(\(user.count) user properties)" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension OutgoingMessage: CustomStringConvertible, CustomReflectable {
    public var description: String { "OutgoingMessage(\(topic), \(payload.count) bytes, QoS \(qos.rawValue))" }
    public var customMirror: Mirror { Mirror(self, children: ["topic": topic, "bytes": payload.count]) }
}

extension Message: CustomStringConvertible, CustomReflectable {
    public var description: String { "Message(\(position), \(topic), \(payload.count) bytes, QoS \(qos.rawValue))" }
    public var customMirror: Mirror { Mirror(self, children: ["position": position, "topic": topic]) }
}
