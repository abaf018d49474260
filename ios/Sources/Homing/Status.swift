// Counters, and the store at a glance.

import Foundation
internal import HomingGenerated

/// Whether the store takes more.
public enum Storage: Hashable, Sendable, CaseIterable {
    /// Yes.
    case ok
    /// The disk is full.
    case full
    /// A reader holds the write-ahead log at its bound.
    case heldByReader

    init(_ raw: HomingGenerated.StorageState) {
        self =
            switch raw {
            case .ok: .ok
            case .full: .full
            case .reader: .heldByReader
            }
    }
}

/// Counters since the client was opened.
public struct Counters: Hashable, Sendable {
    /// Commits.
    public let commits: Int
    /// Messages accepted.
    public let published: Int
    /// Messages stored in the inbox.
    public let received: Int
    /// PUBLISH packets sent.
    public let sent: Int
    /// Of them again.
    public let resent: Int
    /// Messages that came to their end.
    public let settled: Int
    /// Bytes sent.
    public let bytesOut: Int
    /// Bytes received.
    public let bytesIn: Int
    /// Connections tried.
    public let attempts: Int
    /// Connections accepted.
    public let connects: Int
    /// Messages in the outbox now.
    public let outboxMessages: Int
    /// Messages in the inbox now.
    public let inboxMessages: Int
    /// Whether the store takes more.
    public let storage: Storage

    init(_ raw: HomingGenerated.Counters) {
        commits = Int(clamping: raw.commits)
        published = Int(clamping: raw.published)
        received = Int(clamping: raw.received)
        sent = Int(clamping: raw.sent)
        resent = Int(clamping: raw.resent)
        settled = Int(clamping: raw.settled)
        bytesOut = Int(clamping: raw.bytesOut)
        bytesIn = Int(clamping: raw.bytesIn)
        attempts = Int(clamping: raw.linkAttempts)
        connects = Int(clamping: raw.connects)
        outboxMessages = Int(clamping: raw.outboxMessages)
        inboxMessages = Int(clamping: raw.inboxMessages)
        storage = Storage(raw.storage)
    }
}

/// Store and session at a glance.
public struct StoreStatus: Hashable, Sendable {
    /// A durable consumer.
    public struct Consumer: Hashable, Sendable {
        /// Its name.
        public let name: String
        /// What it wants; empty: every message.
        public let filters: [String]
        /// Done with everything through this position.
        public let cursor: Position
        /// Messages that it is not done with.
        public let behind: Int
        /// What happens when it falls behind.
        public let lag: Lag
        /// Messages that it was moved over before it was done with them, ever.
        public let skipped: Int
    }

    /// A subscription.
    public struct Subscription: Hashable, Sendable {
        /// Which.
        public let filter: String
        /// Asked for.
        public let qos: QoS
        /// Granted; nil: not yet.
        public let granted: QoS?
    }

    /// The store's id.
    public let store: String
    /// MQTT client id.
    public let clientID: String
    /// The broker that the session is with.
    public let broker: String?
    /// The connection in a word.
    public let connection: String
    /// Whether the broker knew the session at the last connect.
    public let sessionPresent: Bool?
    /// When the last connection was made.
    public let lastConnect: Date?
    /// Messages that wait.
    public let waiting: Int
    /// Messages in flight.
    public let inFlight: Int
    /// Messages set aside.
    public let parked: Int
    /// Bytes of the outbox.
    public let outboxBytes: Int
    /// Messages in the inbox.
    public let inboxMessages: Int
    /// Bytes of the inbox.
    public let inboxBytes: Int
    /// Durable consumers.
    public let consumers: [Consumer]
    /// Subscriptions.
    public let subscriptions: [Subscription]
    /// Number of gaps.
    public let gaps: Int
    /// Whether the store takes more.
    public let storage: Storage
    /// The store is a copy whose outbox waits for the app's word.
    public let isOutboxHeld: Bool

    init(_ raw: HomingGenerated.StoreStatus) {
        store = raw.store
        clientID = raw.clientId
        broker = raw.broker
        connection = raw.connection
        sessionPresent = raw.sessionPresent
        lastConnect = raw.lastConnectMs.map(Date.init(milliseconds:))
        waiting = Int(clamping: raw.waiting)
        inFlight = Int(clamping: raw.inFlight)
        parked = Int(clamping: raw.parked)
        outboxBytes = Int(clamping: raw.outboxBytes)
        inboxMessages = Int(clamping: raw.inboxMessages)
        inboxBytes = Int(clamping: raw.inboxBytes)
        consumers = raw.consumers.map {
            Consumer(
                name: $0.name, filters: $0.filters, cursor: Position(store: raw.store, sequence: $0.cursor),
                behind: Int(clamping: $0.behind), lag: Lag($0.lag), skipped: Int(clamping: $0.skipped))
        }
        subscriptions = raw.subscriptions.map {
            Subscription(filter: $0.filter, qos: QoS($0.qos), granted: $0.granted.map(QoS.init))
        }
        gaps = Int(clamping: raw.gaps)
        storage = Storage(raw.storage)
        isOutboxHeld = raw.held
    }
}
