// How `mqtts://` and `wss://` are secured.

import Foundation
internal import HomingGenerated

/// How `mqtts://` and `wss://` are secured.
public struct TLS: Sendable {
    /// Which servers are trusted.
    public enum Trust: Sendable {
        /// Those that the platform trusts.
        case platform
        /// Those of these authorities: certificates in PEM.
        case roots(pem: Data)
        /// The app decides: it gets the server's chain in DER, the server's own certificate first, and the host that it must
        /// be valid for, and throws to refuse; ``TrustRefused`` says why. Called on a thread that may block; without an answer
        /// in 10 s the server is refused, and as long as it takes, calls such as ``HomingClient/publish(_:)`` wait as well.
        case custom(@Sendable (_ chain: [Data], _ host: String) throws -> Void)
        /// Any server at all: a private one, in a test.
        case dangerouslyAcceptAnyServer
    }

    /// A certificate of our own and its key.
    public struct Identity: Sendable {
        /// The chain in PEM.
        public var certificates: Data
        /// The key in PEM.
        public var key: Data

        /// Both.
        public init(certificates: Data, key: Data) {
            self.certificates = certificates
            self.key = key
        }
    }

    /// The oldest version that is spoken.
    public enum Version: Hashable, Sendable, CaseIterable {
        /// TLS 1.2.
        case v12
        /// TLS 1.3.
        case v13
    }

    /// Which servers are trusted.
    public var trust = Trust.platform
    /// Our own certificate.
    public var identity: Identity?
    /// Keys that the server may have: `sha256/` and base64. Empty: any key that is trusted.
    public var pins: [String] = []
    /// The name to ask for, if not the URL's host.
    public var serverName: String?
    /// Application protocols, as for MQTT on port 443.
    public var applicationProtocols: [String] = []
    /// The oldest version.
    public var minimumVersion = Version.v12

    /// The platform's trust.
    public init(trust: Trust = .platform) {
        self.trust = trust
    }

    var raw: HomingGenerated.TlsSettings {
        .init(
            trust: trust.raw, identity: identity.map { .init(certificatesPem: $0.certificates, keyPem: $0.key) },
            pins: pins, serverName: serverName, alpn: applicationProtocols,
            minimum: minimumVersion == .v13 ? .tls13 : .tls12)
    }
}

extension TLS {
    var size: Int {
        let ours = (identity?.certificates.count ?? 0) + (identity?.key.count ?? 0)
        return if case .roots(let pem) = trust { ours + pem.count } else { ours }
    }
}

extension TLS.Trust {
    fileprivate var raw: HomingGenerated.TlsTrust {
        switch self {
        case .platform: .platform
        case .roots(let pem): .roots(pem: pem)
        case .custom(let check): .custom(check: TrustCallback(check: check))
        case .dangerouslyAcceptAnyServer: .dangerousAcceptAnyServer
        }
    }
}

/// Thrown by ``TLS/Trust/custom(_:)``: the server is not trusted, in words that may be shown and logged.
public struct TrustRefused: Error, Hashable, Sendable {
    /// Why.
    public var reason: String

    /// Refused for this reason.
    public init(_ reason: String) {
        self.reason = reason
    }
}

private final class TrustCallback: HomingGenerated.TrustCheck {
    private let check: @Sendable ([Data], String) throws -> Void

    init(check: @escaping @Sendable ([Data], String) throws -> Void) {
        self.check = check
    }

    func check(chain: [Data], host: String) throws -> String? {
        do {
            try check(chain, host)
            return nil
        } catch let refused as TrustRefused {
            return refused.reason
        } catch {
            throw HomingGenerated.CallbackError.NotTrusted
        }
    }
}

extension TLS.Identity: CustomStringConvertible, CustomReflectable {
    public var description: String { "Identity(redacted)" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
