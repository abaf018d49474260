// What a client is opened with.

import Foundation
internal import HomingGenerated

extension HomingClient {
    /// Which version of MQTT to speak.
    public enum Version: Hashable, Sendable, CaseIterable {
        /// 5, or 3.1.1 if the broker does not know 5. Decided once per broker, and stored.
        case automatic
        /// MQTT 3.1.1.
        case v311
        /// MQTT 5.0.
        case v5
    }

    /// When a commit counts as done.
    public enum Durability: Hashable, Sendable, CaseIterable {
        /// When it would survive a power cut.
        case powerLoss
        /// When it would survive the death of the process; a power cut may lose the last commits, a kill never does.
        case processKill
    }

    /// What to do with a session at the broker that the store does not know.
    public enum ForeignSession: Hashable, Sendable, CaseIterable {
        /// End it and begin our own.
        case discard
        /// Take it over, with the messages that the broker holds for it.
        case adopt
    }

    /// What happens at the inbox's limit.
    public enum InboxFull: Hashable, Sendable, CaseIterable {
        /// The broker has to wait.
        case pause
        /// The oldest go, and a gap says so.
        case dropOldest
    }

    /// What happens at the outbox's limit.
    public enum OutboxFull: Hashable, Sendable, CaseIterable {
        /// Publishing throws ``HomingError/Code/limitReached``.
        case refuse
        /// The oldest that were never sent go: ``Fate/dropped``.
        case dropOldest
        /// The new one gets an id and goes at once: ``Fate/dropped``.
        case dropNewest
    }

    /// QoS 0 without a connection.
    public enum OfflineQoS0: Hashable, Sendable, CaseIterable {
        /// It waits like any other.
        case queue
        /// Publishing throws ``HomingError/Code/offline``.
        case refuse
        /// It gets an id and goes at once: ``Fate/dropped``.
        case drop
    }

    /// A queue's limit; whichever is reached first counts.
    public struct QueueLimit: Hashable, Sendable {
        /// Number of messages.
        public var messages: Int
        /// Their size in bytes: topic, payload and properties.
        public var bytes: Int

        /// Both.
        public init(messages: Int, bytes: Int) {
            self.messages = messages
            self.bytes = bytes
        }
    }

    /// The message that the broker publishes when this client is gone without a DISCONNECT [3.1.2.5].
    public struct Will: Hashable, Sendable {
        /// Its time to live becomes the message expiry interval.
        public var message: OutgoingMessage
        /// How long the broker waits; MQTT 5 only, whole seconds.
        public var delay: Duration

        /// A will.
        public init(_ message: OutgoingMessage, delay: Duration = .zero) {
            self.message = message
            self.delay = delay
        }
    }

    /// How the broker is reached.
    public enum Proxy: Hashable, Sendable {
        /// Straight.
        case direct
        /// As the variables of the environment say.
        case system
        /// Through this one: `http://` or `socks5://`, with user name and password if it wants them.
        case url(URL)
    }

    /// A small file beside the store with last values, for widgets and extensions.
    public struct Glance: Hashable, Sendable {
        /// Last values of these topics.
        public var filters: [String]
        /// The newest messages of these.
        public var alerts: [String]

        /// What it holds.
        public init(filters: [String], alerts: [String] = []) {
            self.filters = filters
            self.alerts = alerts
        }
    }

    /// Everything that a client is opened with. Start from ``init(store:broker:)`` and set what differs; it is checked when
    /// the client is opened, and nothing is stored of what is refused.
    public struct Options: Sendable {
        /// The store's file, as a file URL. Its folder is made if it is missing; files of the same name with `-wal`, `-shm`,
        /// `-lock`, `-wake` and `-glance` stand beside it.
        public var store: URL
        /// The broker: `mqtt://`, `mqtts://`, `ws://` or `wss://`. Nil: the one that the store knows.
        public var broker: URL?
        /// More addresses of the same broker, tried in this order when `broker` does not answer; at most 15.
        public var otherAddresses: [URL] = []
        /// The broker has moved: it is the one that the store knows, although no address is the same.
        public var isSameBroker = false
        /// MQTT client id. Nil: the store's own; a new store makes a random one.
        public var clientID: String?
        /// Trust, certificate and pins, for `mqtts://` and `wss://`.
        public var tls = TLS()
        /// For every CONNECT; nil: none.
        public var credentials: CredentialsSource?
        /// The cloud service that the broker belongs to.
        public var profile = Profile.generic
        /// How the broker is reached.
        public var proxy = Proxy.direct
        /// Further headers of the WebSocket request.
        public var webSocketHeaders: [HTTPHeader] = []
        /// The MQTT version.
        public var version = Version.automatic
        /// Zero turns it off; at most 65,535 s.
        public var keepAlive = Duration.seconds(60)
        /// How long the broker should keep the session while this client is away (MQTT 5). Zero: it is not kept.
        public var sessionExpiry = Duration.seconds(7 * 24 * 3_600)
        /// When a commit counts.
        public var durability = Durability.powerLoss
        /// The bound of unfinished outgoing messages of QoS 1 and 2.
        public var inflight = 1_000
        /// Of them QoS 2, with MQTT 3.1.1.
        public var inflightQoS2 = 20
        /// How many unacknowledged messages the broker may send.
        public var receiveMaximum = 1_024
        /// The largest packet that is taken, in bytes.
        public var maximumPacket = 16 << 20
        /// The largest payload that can be published, in bytes.
        public var maximumPayload = 16 << 20
        /// The outbox's limit.
        public var outboxLimit = QueueLimit(messages: 2_000_000, bytes: 1 << 30)
        /// What happens there.
        public var outboxFull = OutboxFull.refuse
        /// QoS 0 without a connection.
        public var offlineQoS0 = OfflineQoS0.queue
        /// The inbox's limit.
        public var inboxLimit = QueueLimit(messages: 2_000_000, bytes: 1 << 30)
        /// What happens there.
        public var inboxFull = InboxFull.pause
        /// How long the broker keeps messages, if less than the session: a longer absence is a gap.
        public var brokerKeeps: Duration?
        /// Messages that every consumer is done with leave the inbox so long after they were received.
        public var retention = Duration.seconds(30 * 24 * 3_600)
        /// What to do with a session that is not ours.
        public var foreignSession = ForeignSession.discard
        /// The will.
        public var will: Will?
        /// The shortest time between two attempts to connect.
        public var minimumRetry = Duration.milliseconds(500)
        /// The longest one.
        public var maximumRetry = Duration.seconds(120)
        /// The shortest time between two CONNECTs, whatever asks for the second one; at most an hour.
        public var connectPace = Duration.zero
        /// The name of the first consumer of a new store.
        public var firstConsumer = "default"
        /// What it wants; empty: every message.
        public var firstConsumerFilters: [String] = []
        /// The key of an encrypted store, 32 bytes, asked for at each opening. Nil: the store is plain. A build without
        /// encryption refuses a key with ``HomingError/Code/unsupported``.
        public var key: (@Sendable () throws -> Data)?
        /// Names this installation, 1 to 64 bytes: a store that was driven under another one is a copy.
        public var deviceToken: Data?
        /// A file with last values for widgets.
        public var glance: Glance?
        /// Connect at once.
        public var connects = true

        /// The defaults, for a store file.
        public init(store: URL, broker: URL? = nil) {
            self.store = store
            self.broker = broker
        }
    }
}

extension HomingClient.Options: CustomStringConvertible, CustomReflectable {
    /// Names the store only: everything else may lead to credentials or payloads (P12).
    public var description: String { "Options(store: \(store.path))" }
    public var customMirror: Mirror { Mirror(self, children: ["store": store.path]) }
}

extension HomingClient.Will: CustomStringConvertible, CustomReflectable {
    public var description: String { "Will(\(message))" }
    public var customMirror: Mirror { Mirror(self, children: ["message": message]) }
}

extension HomingClient.Proxy: CustomStringConvertible, CustomReflectable {
    /// Without the user name and the password that it may hold (P12).
    public var description: String {
        switch self {
        case .direct: "direct"
        case .system: "system"
        case .url(let url): "\(url.scheme ?? "")://\(url.host ?? "")"
        }
    }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
