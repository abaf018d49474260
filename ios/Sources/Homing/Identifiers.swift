// Ids of messages and positions in an inbox.

internal import HomingGenerated

/// Refuses what another store gave.
func check(store: String, is ours: String, of what: @autoclosure () -> String) throws(HomingError) {
    guard store == ours else {
        throw .invalid("\(what()): it is of another store; this one is \(ours)")
    }
}

/// The id of a published message: good across restarts, for as long as its store keeps it (P9).
public struct MessageID: Hashable, Sendable {
    /// The store that gave it: 32 hexadecimal digits.
    public let store: String
    /// Rises in the order of publishing.
    public let number: UInt64

    init(store: String, number: UInt64) {
        self.store = store
        self.number = number
    }

    /// An id from its ``description``.
    public init(parsing text: String) throws(HomingError) {
        let id = try call { try HomingGenerated.parseId(text: text) }
        self.init(store: id.store, number: id.n)
    }

    var raw: HomingGenerated.StoredId { .init(store: store, n: number) }
}

extension MessageID: CustomStringConvertible, LosslessStringConvertible {
    /// As it may be written down: the store, a hyphen, the number.
    public var description: String { "\(store)-\(number)" }

    public init?(_ description: String) {
        try? self.init(parsing: description)
    }
}

/// A place in the inbox of one store, in the order of arrival. An app that writes it down together with what it made of the
/// message has each message exactly once.
public struct Position: Hashable, Sendable {
    /// The store that gave it: 32 hexadecimal digits.
    public let store: String
    /// Rises in the order of receiving.
    public let sequence: UInt64

    init(store: String, sequence: UInt64) {
        self.store = store
        self.sequence = sequence
    }

    /// A position from its ``description``.
    public init(parsing text: String) throws(HomingError) {
        let id = try call { try HomingGenerated.parseId(text: text) }
        self.init(store: id.store, sequence: id.n)
    }

    var raw: HomingGenerated.StoredId { .init(store: store, n: sequence) }
}

extension Position: CustomStringConvertible, LosslessStringConvertible {
    /// As it may be written down: the store, a hyphen, the number.
    public var description: String { "\(store)-\(sequence)" }

    public init?(_ description: String) {
        try? self.init(parsing: description)
    }
}
