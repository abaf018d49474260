// The one error that Homing throws.

import Foundation
internal import HomingGenerated

/// What went wrong: a stable code for programs, and a text for people that says what, where, and how to mend it.
///
/// No text holds a payload, a credential or a token (promise P12).
public struct HomingError: Error, Hashable, Sendable {
    /// What kind of error it is. More may come: keep a `default` in a `switch`.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// The code as it may be written down.
        public let rawValue: String

        /// A code from its name.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        public var description: String { rawValue }

        /// An argument or an option that cannot be used; the text says which, and what would do.
        public static let invalid = Code(rawValue: "invalid")
        /// The service or the broker's profile does not take it, or this build cannot do it.
        public static let unsupported = Code(rawValue: "unsupported")
        /// Another client or process drives the store (P11).
        public static let storeInUse = Code(rawValue: "store_in_use")
        /// The store was written by a newer version of Homing.
        public static let storeTooNew = Code(rawValue: "store_too_new")
        /// The file is something else.
        public static let notAStore = Code(rawValue: "not_a_store")
        /// The store cannot be opened or used now.
        public static let storeUnavailable = Code(rawValue: "store_unavailable")
        /// The store is damaged (P10).
        public static let storeDamaged = Code(rawValue: "store_damaged")
        /// The store is encrypted, and the key is missing or another one.
        public static let wrongKey = Code(rawValue: "wrong_key")
        /// The store belongs to another client id.
        public static let clientIDMismatch = Code(rawValue: "client_id_mismatch")
        /// The payload is over the limit.
        public static let payloadTooLarge = Code(rawValue: "payload_too_large")
        /// The outbox or the mailbox is full (P7).
        public static let limitReached = Code(rawValue: "limit_reached")
        /// There is no room on the disk (P10).
        public static let storageFull = Code(rawValue: "storage_full")
        /// The store failed to read or to commit; nothing was accepted.
        public static let storage = Code(rawValue: "storage")
        /// The store failed in the middle of a commit: accepted or not.
        public static let unknown = Code(rawValue: "unknown")
        /// There is no connection, and this is refused without one.
        public static let offline = Code(rawValue: "offline")
        /// The client is closed.
        public static let closed = Code(rawValue: "closed")
        /// The client is paused.
        public static let paused = Code(rawValue: "paused")
        /// The task that waited was cancelled; nothing was taken.
        public static let cancelled = Code(rawValue: "cancelled")
        /// There is no consumer of this name.
        public static let noSuchConsumer = Code(rawValue: "no_such_consumer")
        /// The consumer exists with other filters.
        public static let consumerDiffers = Code(rawValue: "consumer_differs")
        /// There is no message of this id.
        public static let noSuchMessage = Code(rawValue: "no_such_message")
        /// The message is not parked.
        public static let notParked = Code(rawValue: "not_parked")
        /// A fault of Homing itself; please report it.
        public static let `internal` = Code(rawValue: "internal")
    }

    /// What kind.
    public let code: Code
    /// What, where, and how to mend it.
    public let text: String

    /// An error of an app's own making, as for a test.
    public init(code: Code, text: String) {
        self.code = code
        self.text = text
    }
}

extension HomingError: CustomStringConvertible, LocalizedError {
    public var description: String { text }
    public var errorDescription: String? { text }
}

extension HomingError {
    static func invalid(_ text: String) -> HomingError {
        HomingError(code: .invalid, text: text)
    }

    /// Whatever the layer below threw.
    init(_ error: any Error) {
        switch error {
        case let error as HomingError:
            self = error
        case let HomingGenerated.FfiError.Failed(code, text):
            self.init(code: Code(code), text: text)
        case is CancellationError:
            self.init(code: .cancelled, text: "cancelled")
        default:
            self.init(code: .internal, text: "fault of Homing, please report it: \(error.localizedDescription)")
        }
    }
}

extension HomingError.Code {
    init(_ code: HomingGenerated.ErrorCode) {
        self =
            switch code {
            case .invalid: .invalid
            case .unsupported: .unsupported
            case .storeInUse: .storeInUse
            case .storeTooNew: .storeTooNew
            case .notAStore: .notAStore
            case .storeUnavailable: .storeUnavailable
            case .storeDamaged: .storeDamaged
            case .wrongKey: .wrongKey
            case .clientIdMismatch: .clientIDMismatch
            case .payloadTooLarge: .payloadTooLarge
            case .limitReached: .limitReached
            case .storageFull: .storageFull
            case .storage: .storage
            case .unknown: .unknown
            case .offline: .offline
            case .closed: .closed
            case .paused: .paused
            case .cancelled: .cancelled
            case .noSuchConsumer: .noSuchConsumer
            case .consumerDiffers: .consumerDiffers
            case .noSuchMessage: .noSuchMessage
            case .notParked: .notParked
            case .internal: .internal
            }
    }
}
