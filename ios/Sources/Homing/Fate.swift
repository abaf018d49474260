// What becomes of a message (P9).

internal import HomingGenerated

/// What became of a published message. It is never said that it was delivered on a guess.
public enum Fate: Hashable, Sendable {
    /// Stored, not sent.
    case waiting
    /// Sent, not acknowledged.
    case inFlight
    /// QoS 0: handed to the network.
    case sent
    /// Acknowledged by the broker. `maybeTwice`: the broker may have it twice; `maybeLost`: the broker may have lost it;
    /// `downgraded`: it went with less than was asked for.
    case delivered(maybeTwice: Bool, maybeLost: Bool, downgraded: Bool)
    /// Refused.
    case refused(Reason)
    /// Its time to live ended before it was sent.
    case expired
    /// Set aside until ``HomingClient/unpark(_:)`` or ``HomingClient/cancel(_:)``.
    case parked(Reason)
    /// A newer message with the same supersede key took its place.
    case superseded(by: MessageID)
    /// Cancelled by the app.
    case cancelled
    /// Dropped by a policy.
    case dropped
    /// Finished, and not known whether it arrived.
    case unknown
    /// Long settled; the verdict is no longer kept.
    case forgotten
    /// The id is of another store.
    case otherStore

    /// Whether the broker has acknowledged it.
    public var isDelivered: Bool {
        if case .delivered = self { true } else { false }
    }

    init(_ raw: HomingGenerated.MessageFate, store: String) {
        self =
            switch raw {
            case .waiting: .waiting
            case .inFlight: .inFlight
            case .sent: .sent
            case .delivered(let maybeTwice, let maybeLost, let downgraded):
                .delivered(maybeTwice: maybeTwice, maybeLost: maybeLost, downgraded: downgraded)
            case .refused(let reason): .refused(Reason(reason))
            case .expired: .expired
            case .parked(let reason): .parked(Reason(reason))
            case .superseded(let by): .superseded(by: MessageID(store: store, number: by))
            case .cancelled: .cancelled
            case .dropped: .dropped
            case .unknown: .unknown
            case .forgotten: .forgotten
            case .otherStore: .otherStore
            }
    }
}

/// What a cancellation did.
public enum CancelOutcome: Hashable, Sendable {
    /// It will not be sent.
    case cancelled
    /// It was sent, or may have been.
    case tooLate
    /// It had come to its end before.
    case settled(Fate)

    init(_ raw: HomingGenerated.CancelResult, store: String) {
        self =
            switch raw {
            case .cancelled: .cancelled
            case .tooLate: .tooLate
            case .settled(let fate): .settled(Fate(fate, store: store))
            }
    }
}
