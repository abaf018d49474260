// What happens, for those who want to know.

import Foundation
internal import HomingGenerated

/// What may be missing (P8).
public struct Gap: Hashable, Sendable {
    /// Why it may be missing; more may come.
    public struct Cause: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// The cause as it may be written down.
        public let rawValue: String

        /// A cause from its name.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        public var description: String { rawValue }

        /// The broker had lost the session.
        public static let sessionLost = Cause(rawValue: "session_lost")
        /// A message was over our maximum.
        public static let tooLarge = Cause(rawValue: "too_large")
        /// QoS 0 messages came while the inbox was full.
        public static let qos0Dropped = Cause(rawValue: "qos0_dropped")
        /// The oldest messages went at the inbox's limit.
        public static let inboxOverflow = Cause(rawValue: "inbox_overflow")
        /// We were away for longer than the broker keeps messages.
        public static let possiblyDropped = Cause(rawValue: "possibly_dropped")
        /// A copy of the store was put back.
        public static let restored = Cause(rawValue: "restored")
        /// The store was damaged.
        public static let storeDamaged = Cause(rawValue: "store_damaged")
    }

    /// Of which topics.
    public let filters: [String]
    /// Why.
    public let cause: Cause
    /// From when.
    public let from: Date
    /// Till when; nil: still open.
    public let to: Date?
    /// It stands behind this position of the inbox.
    public let after: Position
    /// The size of what was too large, in bytes.
    public let bytes: Int?

    init(_ raw: HomingGenerated.GapInfo, store: String) {
        filters = raw.filters
        cause = Cause(rawValue: raw.cause)
        from = Date(milliseconds: raw.fromMs)
        to = raw.toMs.map(Date.init(milliseconds:))
        after = Position(store: store, sequence: raw.afterSeq)
        bytes = raw.bytes.map(Int.init(clamping:))
    }
}

/// What happened. More may come: keep a `default` in a `switch`.
public enum Event: Hashable, Sendable {
    /// A message that came to its end.
    public struct Settled: Hashable, Sendable {
        /// Which message.
        public let id: MessageID
        /// Which end.
        public let fate: Fate
    }

    /// The state of the connection changed.
    case state(HomingClient.State)
    /// Messages came to their end.
    case settled([Settled])
    /// The broker had lost the session; it was found at this time.
    case sessionLost(Date)
    /// Something may be missing.
    case gap(Gap)
    /// A consumer was moved over so many messages before it was done with them.
    case skipped(consumer: String, messages: Int, from: Position, through: Position)
    /// The broker granted a subscription, at most with this.
    case subscribed(filter: String, qos: QoS)
    /// A subscription ended.
    case unsubscribed(filter: String)
    /// The broker refused a subscription.
    case subscribeRefused(filter: String, Reason)
    /// New credentials are in use; `inPlace`: on the link that stood.
    case credentialsRefreshed(inPlace: Bool)
    /// The broker refused the credentials.
    case credentialsRefused(Reason, retryIn: Duration)
    /// Credentials could not be had; why, in words.
    case credentialsFailed(String)
    /// Something to look at: a stable code, and words.
    case warning(code: String, text: String)
    /// The listener was too slow for so many events.
    case missed(Int)
    /// An event of a newer version, in words.
    case other(String)

    init(_ raw: HomingGenerated.Event, store: String) {
        func position(_ sequence: UInt64) -> Position { Position(store: store, sequence: sequence) }
        self =
            switch raw {
            case .state(let state): .state(HomingClient.State(state))
            case .settled(let messages):
                .settled(
                    messages.map {
                        Settled(id: MessageID(store: store, number: $0.n), fate: Fate($0.fate, store: store))
                    })
            case .sessionLost(let at): .sessionLost(Date(milliseconds: at))
            case .gap(let gap): .gap(Gap(gap, store: store))
            case .skipped(let consumer, let messages, let from, let through):
                .skipped(
                    consumer: consumer, messages: Int(clamping: messages), from: position(from),
                    through: position(through))
            case .subscribed(let filter, let qos): .subscribed(filter: filter, qos: QoS(qos))
            case .unsubscribed(let filter): .unsubscribed(filter: filter)
            case .subscribeRefused(let filter, let reason): .subscribeRefused(filter: filter, Reason(reason))
            case .credentialsRefreshed(let inPlace): .credentialsRefreshed(inPlace: inPlace)
            case .credentialsRefused(let reason, let retryInMs):
                .credentialsRefused(Reason(reason), retryIn: .milliseconds(Int64(clamping: retryInMs)))
            case .credentialsFailed(let text): .credentialsFailed(text)
            case .warning(let code, let text): .warning(code: code, text: text)
            case .missed(let count): .missed(Int(clamping: count))
            case .other(let text): .other(text)
            }
    }
}
