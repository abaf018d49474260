// Credentials: fixed ones, and a provider that makes them for each CONNECT.

import Foundation
internal import HomingGenerated

/// User name and password for a CONNECT, or what enhanced authentication begins with.
public struct Credentials: Hashable, Sendable {
    /// Enhanced authentication of MQTT 5 [4.12].
    public struct Enhanced: Hashable, Sendable {
        /// The method's name.
        public var method: String
        /// Data of the CONNECT.
        public var data: Data?

        /// Both.
        public init(method: String, data: Data? = nil) {
            self.method = method
            self.data = data
        }
    }

    /// User name.
    public var user: String
    /// Password.
    public var password: Data?
    /// Till when they are good; the provider is asked again ahead of it.
    public var expires: Date?
    /// Enhanced authentication.
    public var enhanced: Enhanced?

    /// Fixed or for one CONNECT.
    public init(user: String, password: Data?, expires: Date? = nil, enhanced: Enhanced? = nil) {
        self.user = user
        self.password = password
        self.expires = expires
        self.enhanced = enhanced
    }

    /// The same with a text as password.
    public init(user: String, password: String, expires: Date? = nil) {
        self.init(user: user, password: Data(password.utf8), expires: expires)
    }

    var raw: HomingGenerated.CredentialSet {
        .init(
            user: user, password: password, expiresAtMs: expires?.milliseconds,
            enhanced: enhanced.map { .init(method: $0.method, data: $0.data) })
    }

    fileprivate var size: Int { (password?.count ?? 0) + (enhanced?.data?.count ?? 0) }
}

/// Where the credentials of each CONNECT come from.
public enum CredentialsSource: Sendable {
    /// Always these.
    case fixed(Credentials)
    /// Those that it makes.
    case provider(any CredentialsProvider)

    var raw: (HomingGenerated.CredentialSet?, HomingGenerated.CredentialsProvider?) {
        switch self {
        case .fixed(let credentials): (credentials.raw, nil)
        case .provider(let provider): (nil, ProviderCallback(provider))
        }
    }

    var size: Int {
        if case .fixed(let credentials) = self { credentials.size } else { 0 }
    }
}

/// What a provider is told.
public struct CredentialsRequest: Hashable, Sendable {
    /// Why it is asked.
    public enum Cause: Hashable, Sendable {
        /// The first time since the client was opened.
        case first
        /// For another connection; the last ones were good.
        case reconnect
        /// The last ones have expired, or will soon.
        case expired
        /// The broker refused the last ones, with this reason code.
        case refused(code: UInt8)
    }

    /// Why it is asked.
    public let cause: Cause
    /// The broker's host.
    public let host: String
    /// And port.
    public let port: Int

    init(_ raw: HomingGenerated.CredentialsAsk) {
        cause =
            switch raw.reason {
            case .first: .first
            case .reconnect: .reconnect
            case .expired: .expired
            case .refused: .refused(code: raw.refused ?? 0)
            }
        host = raw.host
        port = Int(raw.port)
    }
}

/// A step of the broker's in an exchange of enhanced authentication.
public struct AuthenticationChallenge: Hashable, Sendable {
    /// The method.
    public let method: String
    /// The broker's data.
    public let data: Data?
    /// Counted from 1.
    public let round: Int

    init(_ raw: HomingGenerated.AuthChallenge) {
        method = raw.method
        data = raw.data
        round = Int(raw.round)
    }
}

/// What a provider may throw; anything else counts as ``unavailable``. The words of an app's own error are not passed on: they
/// might hold a secret (P12).
public enum CredentialsError: Error, Hashable, Sendable, CaseIterable {
    /// Not now; the provider is asked again after the usual back-off.
    case unavailable
    /// Not before somebody does something; it is not asked again by itself: see ``HomingClient/credentialsChanged()``.
    case signedOut
    /// The broker could not prove who it is.
    case brokerNotTrusted
}

/// Makes credentials for each CONNECT. One call is made at a time, and what is cancelled meanwhile cancels its task.
public protocol CredentialsProvider: Sendable {
    /// Before each CONNECT, and ahead of the expiry of those in use.
    func credentials(for request: CredentialsRequest) async throws -> Credentials
    /// The answer to a step of the broker's; without one of its own a provider ends the exchange.
    func answer(_ challenge: AuthenticationChallenge) async throws -> Data?
    /// Throws if the broker's last word is not to be trusted; without one of its own a provider trusts it.
    func finish(_ challenge: AuthenticationChallenge) async throws
}

extension CredentialsProvider {
    public func answer(_ challenge: AuthenticationChallenge) async throws -> Data? {
        throw CredentialsError.brokerNotTrusted
    }

    public func finish(_ challenge: AuthenticationChallenge) async throws {}
}

private final class ProviderCallback: HomingGenerated.CredentialsProvider {
    private let provider: any CredentialsProvider

    init(_ provider: any CredentialsProvider) {
        self.provider = provider
    }

    func credentials(ask: HomingGenerated.CredentialsAsk) async throws -> HomingGenerated.CredentialSet {
        try await told {
            let credentials = try await provider.credentials(for: CredentialsRequest(ask))
            try checkSize(credentials.size)
            return credentials.raw
        }
    }

    func continueExchange(challenge: HomingGenerated.AuthChallenge) async throws -> Data? {
        try await told {
            let answer = try await provider.answer(AuthenticationChallenge(challenge))
            try checkSize(answer?.count ?? 0)
            return answer
        }
    }

    func finishExchange(challenge: HomingGenerated.AuthChallenge) async throws {
        try await told { try await provider.finish(AuthenticationChallenge(challenge)) }
    }
}

/// The one kind of error that crosses back.
func told<T>(_ body: () async throws -> T) async throws(HomingGenerated.CallbackError) -> T {
    do {
        return try await body()
    } catch {
        throw switch error as? CredentialsError {
        case .unavailable: .Unavailable
        case .signedOut: .SignedOut
        case .brokerNotTrusted: .NotTrusted
        case nil: .Failed
        }
    }
}

/// The key of an encrypted store, from the app.
final class KeyCallback: HomingGenerated.StoreKeyProvider {
    private let provide: @Sendable () throws -> Data

    init(_ provide: @escaping @Sendable () throws -> Data) {
        self.provide = provide
    }

    func key() throws -> Data {
        do {
            let key = try provide()
            try checkSize(key.count)
            return key
        } catch {
            throw HomingGenerated.CallbackError.Failed
        }
    }
}

extension Credentials: CustomStringConvertible, CustomReflectable {
    public var description: String { "Credentials(redacted)" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension Credentials.Enhanced: CustomStringConvertible, CustomReflectable {
    public var description: String { "Enhanced(\(method), redacted)" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension AuthenticationChallenge: CustomStringConvertible, CustomReflectable {
    public var description: String { "AuthenticationChallenge(\(method), round \(round), redacted)" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
