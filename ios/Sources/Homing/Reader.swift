// Reads a store beside whoever drives it.

import Foundation
internal import HomingGenerated

/// A connection of its own to a store: last values, history, outbox, gaps and status, also while another process drives it,
/// as in a widget or a notification extension. Its calls read files, on threads that may block.
///
/// One that is kept open also keeps files open: let go of it before the app is suspended.
public final class Reader: Sendable {
    /// In which order history comes.
    public enum Order: Hashable, Sendable, CaseIterable {
        /// Oldest first.
        case oldestFirst
        /// Newest first.
        case newestFirst
    }

    /// The last message of a topic.
    public struct LastValue: Hashable, Sendable {
        /// The message.
        public let message: Message
        /// When the broker last said so.
        public let heard: Date
    }

    /// A page of last messages.
    public struct LastValues: Hashable, Sendable {
        /// By topic.
        public let values: [LastValue]
        /// The topic behind which the next page begins; nil: there is none.
        public let next: String?
    }

    /// A page of history.
    public struct History: Hashable, Sendable {
        /// In order.
        public let messages: [Message]
        /// Where the next page begins; nil: there is none.
        public let next: Position?
    }

    /// A row of the outbox.
    public struct OutboxEntry: Hashable, Sendable {
        /// Its id.
        public let id: MessageID
        /// Waiting, in flight or parked.
        public let fate: Fate
        /// Where to.
        public let topic: String
        /// Bytes of its payload.
        public let payloadBytes: Int
        /// Quality of service.
        public let qos: QoS
        /// Retained.
        public let retain: Bool
    }

    /// Something that happened to the file.
    public struct Incident: Hashable, Sendable {
        /// When.
        public let date: Date
        /// What kind.
        public let kind: String
        /// In words.
        public let detail: String
    }

    private let raw: HomingGenerated.Reader
    /// The store's id.
    public let storeID: String

    init(_ raw: HomingGenerated.Reader) throws(HomingError) {
        self.raw = raw
        storeID = try call { try raw.storeId() }
    }

    /// Opens a store that exists; `key` for an encrypted one.
    public convenience init(store: URL, key: (@Sendable () throws -> Data)? = nil) async throws(HomingError) {
        let path = try path(of: store)
        try self.init(await blocking { try .open(store: path, key: key.map(KeyCallback.init)) })
    }

    /// Last values by topic: at most 500 a page. `filter` nil: all topics; `after`: ``LastValues/next`` of the page before;
    /// a page ends after about 50 ms, so it may hold fewer although there is a next one.
    public func last(
        _ filter: String? = nil, after: String? = nil, limit: Int = 100
    ) async throws(HomingError) -> LastValues {
        let (raw, limit): (_, UInt32) = (raw, try narrow("limit", limit, from: 1))
        let page = try await blocking { try raw.last(topicFilter: filter, after: after, max: limit) }
        return LastValues(
            values: page.values.map {
                LastValue(message: Message($0.message, store: storeID), heard: Date(milliseconds: $0.heardMs))
            }, next: page.next)
    }

    /// Messages that the inbox still keeps, done or not: at most 500 a page. `after`: ``History/next`` of the page before;
    /// a page may hold nothing although there is a next one.
    public func history(
        _ filter: String, since: Date? = nil, until: Date? = nil, order: Order = .oldestFirst, after: Position? = nil,
        limit: Int = 100
    ) async throws(HomingError) -> History {
        let (raw, limit): (_, UInt32) = (raw, try narrow("limit", limit, from: 1))
        if let after { try check(store: after.store, is: storeID, of: "position \(after)") }
        let page = try await blocking {
            try raw.history(
                topicFilter: filter, sinceMs: since?.milliseconds, untilMs: until?.milliseconds,
                order: order == .oldestFirst ? .oldestFirst : .newestFirst, after: after?.sequence, max: limit)
        }
        return History(
            messages: page.messages.map { Message($0, store: storeID) },
            next: page.next.map { Position(store: storeID, sequence: $0) })
    }

    /// What may be missing (P8).
    public func gaps() async throws(HomingError) -> [Gap] {
        let raw = raw
        return try await blocking { try raw.gaps() }.map { Gap($0, store: storeID) }
    }

    /// What waits, in order: at most 500 a page. `after`: the last id of the page before.
    public func outbox(after: MessageID? = nil, limit: Int = 100) async throws(HomingError) -> [OutboxEntry] {
        let (raw, limit): (_, UInt32) = (raw, try narrow("limit", limit, from: 1))
        if let after { try check(store: after.store, is: storeID, of: "message \(after)") }
        return try await blocking { try raw.outbox(after: after?.number ?? 0, max: limit) }.map {
            OutboxEntry(
                id: MessageID(store: storeID, number: $0.n), fate: Fate($0.fate, store: storeID), topic: $0.topic,
                payloadBytes: Int(clamping: $0.payloadBytes), qos: QoS($0.qos), retain: $0.retain)
        }
    }

    /// What became of a message (P9).
    public func fate(of id: MessageID) async throws(HomingError) -> Fate {
        let raw = raw
        return Fate(try await blocking { try raw.fate(id: id.raw) }, store: storeID)
    }

    /// Store and session at a glance.
    public func status() async throws(HomingError) -> StoreStatus {
        let raw = raw
        return StoreStatus(try await blocking { try raw.status() })
    }

    /// What happened to the file, newest first.
    public func incidents() async throws(HomingError) -> [Incident] {
        let raw = raw
        return try await blocking { try raw.incidents() }.map {
            Incident(date: Date(milliseconds: $0.atMs), kind: $0.kind, detail: $0.detail)
        }
    }
}

extension HomingClient {
    /// Reads the store that this client drives.
    public func reader() async throws(HomingError) -> Reader {
        let raw = raw
        return try Reader(await blocking { try raw.reader() })
    }
}
