// State of the connection, and why there is none.

internal import HomingGenerated

/// A reason code of MQTT 5 [2.4], with its name.
public struct Reason: Hashable, Sendable, CustomStringConvertible {
    /// The number.
    public let code: UInt8
    /// Its name in words.
    public let text: String

    init(_ raw: HomingGenerated.Reason) {
        code = raw.code
        text = raw.text
    }

    public var description: String { "\(text) (0x\(String(code, radix: 16, uppercase: true)))" }
}

/// Why there is no connection, for programs and for people.
public struct Trouble: Hashable, Sendable, CustomStringConvertible {
    /// What kind of trouble it is. More may come: keep a `default` in a `switch`.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// The broker could not be reached.
        case unreachable
        /// TLS failed.
        case tls
        /// The WebSocket server refused the credentials.
        case refused
        /// The proxy refused its own credentials, or wants some.
        case proxyRefused
        /// The link broke.
        case cut
        /// The broker closed the link.
        case closedByBroker
        /// Nothing was heard for the keep alive.
        case keepAlive
        /// The broker took no bytes.
        case writeTimeout
        /// The broker did not answer CONNECT in time.
        case connackTimeout
        /// The broker refused, or said goodbye, with a reason code.
        case broker
        /// Somebody broke the protocol.
        case protocolError
        /// The store failed.
        case store
        /// The inbox is full.
        case inboxFull
        /// The app asked for it.
        case asked
        /// No broker is known.
        case noBroker
        /// The platform said that there is no network.
        case noNetwork
        /// The network has changed.
        case networkChanged
        /// Credentials could not be had.
        case credentials
        /// Something else; see the text.
        case other
    }

    /// What kind.
    public let kind: Kind
    /// In words.
    public let text: String
    /// The broker's word, if there is one.
    public let reason: Reason?

    init(_ raw: HomingGenerated.Trouble) {
        kind = Kind(raw.kind)
        text = raw.text
        reason = raw.reason.map(Reason.init)
    }

    public var description: String { text }
}

extension Trouble.Kind {
    init(_ raw: HomingGenerated.TroubleKind) {
        self =
            switch raw {
            case .unreachable: .unreachable
            case .tls: .tls
            case .refused: .refused
            case .proxyRefused: .proxyRefused
            case .cut: .cut
            case .closedByBroker: .closedByBroker
            case .keepAlive: .keepAlive
            case .writeTimeout: .writeTimeout
            case .connackTimeout: .connackTimeout
            case .broker: .broker
            case .protocol: .protocolError
            case .store: .store
            case .inboxFull: .inboxFull
            case .asked: .asked
            case .noBroker: .noBroker
            case .noNetwork: .noNetwork
            case .networkChanged: .networkChanged
            case .credentials: .credentials
            case .other: .other
            }
    }
}

extension HomingClient {
    /// State of the connection. A full store is no state of the connection: see ``Counters/storage``.
    public enum State: Hashable, Sendable {
        /// Not connected, and not trying.
        case offline(Trouble)
        /// Connecting; attempts are counted from 1.
        case connecting(attempt: Int)
        /// Connected; `sessionPresent`: the broker knew the session.
        case online(sessionPresent: Bool)
        /// Waiting before the next attempt.
        case waiting(retryIn: Duration, Trouble)
        /// Another client has taken the session over.
        case takenOver
        /// Paused: see ``HomingClient/pause(within:)``.
        case paused

        /// Whether the broker is connected.
        public var isOnline: Bool {
            if case .online = self { true } else { false }
        }

        init(_ raw: HomingGenerated.LinkState) {
            self =
                switch raw {
                case .offline(let why): .offline(Trouble(why))
                case .connecting(let attempt): .connecting(attempt: Int(attempt))
                case .online(let sessionPresent): .online(sessionPresent: sessionPresent)
                case .waiting(let retryInMs, let why):
                    .waiting(retryIn: .milliseconds(Int64(clamping: retryInMs)), Trouble(why))
                case .takenOver: .takenOver
                case .paused: .paused
                }
        }
    }
}
