// Quality of service, and what else a message may ask for.

internal import HomingGenerated

/// Quality of service [4.3].
public enum QoS: Int, Hashable, Sendable, CaseIterable {
    /// QoS 0: sent once if connected, or queued while offline; it may be lost on the way.
    case atMostOnce = 0
    /// QoS 1: reaches the broker, perhaps more than once.
    case atLeastOnce = 1
    /// QoS 2: reaches the broker exactly once, for as long as the broker keeps the session (P3).
    case exactlyOnce = 2

    var raw: HomingGenerated.QosLevel {
        switch self {
        case .atMostOnce: .atMostOnce
        case .atLeastOnce: .atLeastOnce
        case .exactlyOnce: .exactlyOnce
        }
    }

    init(_ raw: HomingGenerated.QosLevel) {
        self =
            switch raw {
            case .atMostOnce: .atMostOnce
            case .atLeastOnce: .atLeastOnce
            case .exactlyOnce: .exactlyOnce
            }
    }
}

/// Which of the two queues a message waits in.
public enum Lane: Hashable, Sendable, CaseIterable {
    /// The usual one.
    case normal
    /// Its messages go before those of the usual one.
    case urgent

    var raw: HomingGenerated.Lane {
        self == .urgent ? .urgent : .normal
    }
}

/// What becomes of a message that the broker does not support as it is, such as QoS 2 where the broker takes QoS 1.
public enum IfUnsupported: Hashable, Sendable, CaseIterable {
    /// Its end is ``Fate/refused(_:)``.
    case refuse
    /// It goes with less, and its verdict says so.
    case downgrade
    /// It waits aside, until ``HomingClient/unpark(_:)``.
    case park

    var raw: HomingGenerated.IfUnsupported {
        switch self {
        case .refuse: .refuse
        case .downgrade: .downgrade
        case .park: .park
        }
    }
}

/// When the broker sends retained messages for a subscription [3.8.3.1].
public enum RetainHandling: Hashable, Sendable, CaseIterable {
    /// Each time that the subscription is made.
    case always
    /// Only if the subscription is new.
    case ifNew
    /// Not at all.
    case never

    var raw: HomingGenerated.RetainHandling {
        switch self {
        case .always: .always
        case .ifNew: .ifNew
        case .never: .never
        }
    }
}
