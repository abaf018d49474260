// A durable place in the inbox.

internal import HomingGenerated

/// What happens when a consumer falls behind.
public enum Lag: Hashable, Sendable {
    /// The inbox fills up to its limit, then the broker has to wait.
    case pause
    /// About so many messages stay, older ones are skipped: 1 to 100,000.
    case skip(messages: Int)
    /// What is older is skipped.
    case expire(after: Duration)
}

/// Where a new consumer begins.
public enum ConsumerStart: Hashable, Sendable {
    /// With the oldest message of the inbox.
    case oldest
    /// With the next message that is received.
    case now
    /// With this message, or the first one behind it that is still kept.
    case at(Position)
}

/// A durable consumer: what it is not done with stays in the inbox, across restarts, and comes again (P4).
///
/// Each loop over ``messages``, and each ``consume(batch:isolation:_:)``, begins with the first message that is not done. Two
/// at the same time on one consumer both get every message; give each its own consumer.
public struct Consumer: Sendable {
    let client: HomingClient
    let settings: HomingGenerated.ConsumerSettings
    private let progress: HomingGenerated.Consumer

    /// Its name.
    public var name: String { settings.name }

    init(_ client: HomingClient, _ settings: HomingGenerated.ConsumerSettings) async throws(HomingError) {
        self.client = client
        self.settings = settings
        progress = try await call { try await client.raw.consumer(settings: settings) }
    }

    /// Its messages, in order of arrival, from the first that is not done; say ``done(_:)-(Message)`` or
    /// ``doneThrough(_:)-(Message)``, or they come again.
    public var messages: Messages { messages(batch: 100) }

    /// The same with so many messages read ahead: 1 to 500.
    public func messages(batch: Int) -> Messages {
        Messages(client: client, settings: settings, batch: batch)
    }

    /// Done with one message, in any order; committed when this returns.
    public func done(_ message: Message) async throws(HomingError) {
        try await done(message.position)
    }

    /// Done with one message, by its position.
    public func done(_ position: Position) async throws(HomingError) {
        try check(store: position.store, is: client.storeID, of: "position \(position)")
        try await call { try await progress.done(seq: position.sequence) }
    }

    /// Done with this message and all before it; committed when this returns. One call for many is much faster.
    public func doneThrough(_ message: Message) async throws(HomingError) {
        try await doneThrough(message.position)
    }

    /// Done with everything up to this position.
    public func doneThrough(_ position: Position) async throws(HomingError) {
        try check(store: position.store, is: client.storeID, of: "position \(position)")
        try await doneThrough(sequence: position.sequence)
    }

    func doneThrough(sequence: UInt64) async throws(HomingError) {
        try await call { try await progress.doneThrough(seq: sequence) }
    }
}

extension HomingClient {
    /// Opens a durable consumer, or makes it; a new store has one, `default`, that wants everything.
    ///
    /// - Parameters:
    ///   - name: 1 to 255 bytes.
    ///   - filters: What a new one wants; empty: every message. An existing one is widened by them.
    ///   - start: Where a new one begins.
    ///   - lag: What happens when it falls behind. Nil: what it has, or ``Lag/pause``.
    ///   - exact: An existing one with other filters is an error, and not widened.
    public func consumer(
        _ name: String = "default", filters: [String] = [], start: ConsumerStart = .oldest, lag: Lag? = nil,
        exact: Bool = false
    ) async throws(HomingError) -> Consumer {
        let settings = HomingGenerated.ConsumerSettings(
            name: name, filters: filters, start: start.raw, lag: try lag?.raw(), exact: exact)
        return try await Consumer(self, settings)
    }

    /// Removes a consumer; what it alone wanted may go.
    public func removeConsumer(_ name: String) async throws(HomingError) {
        try await call { try await raw.removeConsumer(name: name) }
    }

    /// Gives the messages of the consumer `default` to `body`: see ``Consumer/consume(batch:isolation:_:)``.
    public func consume(
        isolation: isolated (any Actor)? = #isolation, _ body: (Message) async throws -> Void
    ) async throws {
        try await consumer().consume(isolation: isolation, body)
    }
}

extension ConsumerStart {
    fileprivate var raw: HomingGenerated.StartAt {
        switch self {
        case .oldest: .oldest
        case .now: .now
        case .at(let position): .at(position: position.raw)
        }
    }
}

extension Lag {
    fileprivate func raw() throws(HomingError) -> HomingGenerated.LagPolicy {
        switch self {
        case .pause: .pause
        case .skip(let messages): .skip(messages: try narrow("lag", messages))
        case .expire(let after): .expire(afterMs: after.milliseconds)
        }
    }

    init(_ raw: HomingGenerated.LagPolicy) {
        self =
            switch raw {
            case .pause: .pause
            case .skip(let messages): .skip(messages: Int(clamping: messages))
            case .expire(let after): .expire(after: .milliseconds(after))
            }
    }
}
