// The client.

import Foundation
internal import HomingGenerated

/// A client whose session lives on disk: what is published is committed before the call returns, what is received stays until
/// it is done, and both survive the death of the process.
///
/// One client drives a store at a time, in all processes (P11). Letting go of the last reference is as safe as a kill, and
/// frees the store; ``close(within:)`` is polite, for it says goodbye to the broker.
public final class HomingClient: Sendable {
    let raw: HomingGenerated.Client
    /// The store's id: 32 hexadecimal digits, made with the store.
    public let storeID: String

    /// Opens the store, and makes no connection before it returns.
    ///
    /// Throws ``HomingError/Code/invalid`` for an option that cannot be used, and then nothing was stored;
    /// ``HomingError/Code/storeInUse`` while another client or process drives the store; the others whose names begin with
    /// `store` if the file cannot be used.
    public init(_ options: Options) async throws(HomingError) {
        let settings = try options.raw()
        raw = try await call { try await HomingGenerated.Client.open(settings: settings) }
        let raw = raw
        storeID = try call { try raw.storeId() }
    }

    /// The same with the defaults.
    public convenience init(store: URL, broker: URL? = nil) async throws(HomingError) {
        try await self.init(Options(store: store, broker: broker))
    }

    // MARK: Outgoing

    /// Accepts a message: it is committed when this returns (P1), connected or not. A task that is cancelled meanwhile does
    /// not take it back: see ``cancel(_:)``.
    @discardableResult
    public func publish(_ message: OutgoingMessage) async throws(HomingError) -> MessageID {
        try checkSize(message.size)
        let number = try await call { try await raw.publish(message: message.raw) }
        return MessageID(store: storeID, number: number)
    }

    /// The same by its parts.
    @discardableResult
    public func publish(
        _ topic: String, _ payload: Data, qos: QoS = .atLeastOnce, retain: Bool = false
    ) async throws(HomingError) -> MessageID {
        try await publish(OutgoingMessage(topic, payload, qos: qos, retain: retain))
    }

    /// The same with a text as payload.
    @discardableResult
    public func publish(
        _ topic: String, _ text: String, qos: QoS = .atLeastOnce, retain: Bool = false
    ) async throws(HomingError) -> MessageID {
        try await publish(OutgoingMessage(topic, text, qos: qos, retain: retain))
    }

    /// Accepts messages in one transaction: all or none. Much faster than one by one. Their ids, in order.
    @discardableResult
    public func publish(all messages: [OutgoingMessage]) async throws(HomingError) -> [MessageID] {
        try checkSize(messages.reduce(0) { $0 + $1.size })
        let numbers = try await call { try await raw.publishAll(messages: messages.map(\.raw)) }
        return numbers.map { MessageID(store: storeID, number: $0) }
    }

    /// What became of a message, also one of an earlier process (P9).
    public func fate(of id: MessageID) async throws(HomingError) -> Fate {
        Fate(try await call { try await raw.fate(id: id.raw) }, store: storeID)
    }

    /// Waits until a message has come to its end.
    public func settled(_ id: MessageID) async throws(HomingError) -> Fate {
        Fate(try await wait { try await raw.settled(id: id.raw, cancel: $0) }, store: storeID)
    }

    /// Takes back a message that was not sent.
    @discardableResult
    public func cancel(_ id: MessageID) async throws(HomingError) -> CancelOutcome {
        CancelOutcome(try await call { try await raw.cancel(id: id.raw) }, store: storeID)
    }

    /// Publishes a parked message again, under a new id.
    @discardableResult
    public func unpark(_ id: MessageID) async throws(HomingError) -> MessageID {
        MessageID(store: storeID, number: try await call { try await raw.unpark(id: id.raw) })
    }

    /// Waits until every message so far has come to its end; false: the deadline came first.
    public func flush(within deadline: Duration) async throws(HomingError) -> Bool {
        try await wait { try await raw.flush(deadlineMs: deadline.milliseconds, cancel: $0) }
    }

    // MARK: Incoming

    /// Wishes a subscription: it is stored when this returns, and made as soon as the broker can be reached, and again
    /// whenever the broker has lost the session (P8). What the broker grants is an ``Event``.
    ///
    /// - Parameters:
    ///   - filter: A topic filter; `+` stands for one level, `#` for the rest.
    ///   - qos: At most with this.
    ///   - noLocal: Not what this client published itself; MQTT 5.
    ///   - retainAsPublished: Keep the retain flag as it was published; MQTT 5.
    ///   - retainHandling: When retained messages are sent; MQTT 5.
    ///   - identifier: 1 to 268,435,455; received messages name it; MQTT 5.
    public func subscribe(
        _ filter: String, qos: QoS = .atLeastOnce, noLocal: Bool = false, retainAsPublished: Bool = false,
        retainHandling: RetainHandling = .always, identifier: Int? = nil
    ) async throws(HomingError) {
        var id: UInt32?
        if let identifier { id = try narrow("subscription identifier", identifier, from: 1) }
        let wish = HomingGenerated.Wish(
            filter: filter, qos: qos.raw, noLocal: noLocal, retainAsPublished: retainAsPublished,
            retainHandling: retainHandling.raw, id: id)
        try await call { try await raw.subscribe(wish: wish) }
    }

    /// Ends a subscription; stored when this returns.
    public func unsubscribe(_ filter: String) async throws(HomingError) {
        try await call { try await raw.unsubscribe(topicFilter: filter) }
    }

    // MARK: What goes on

    /// State of the connection now.
    public var state: State {
        get throws(HomingError) {
            State(try call { try raw.state() })
        }
    }

    /// State of the connection: as it is, then each change. One that is slow misses states, never the newest.
    public var states: States { States(stream: try? raw.states()) }

    /// Everything that happens from now on. One that is slow gets ``Event/missed(_:)``.
    public func events() throws(HomingError) -> Events {
        Events(stream: try call { try raw.events() }, store: storeID)
    }

    /// Counters since the client was opened.
    public var counters: Counters {
        get throws(HomingError) {
            Counters(try call { try raw.counters() })
        }
    }
}
