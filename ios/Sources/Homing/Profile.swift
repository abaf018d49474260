// Cloud services that Homing knows the ways of.

import Foundation
internal import HomingGenerated

/// Keys of AWS for a signed URL.
public struct AWSKeys: Hashable, Sendable {
    /// Access key id.
    public var accessKeyID: String
    /// Secret access key.
    public var secretAccessKey: String
    /// Of temporary keys.
    public var sessionToken: String?

    /// Keys.
    public init(accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
    }
}

/// What an authorizer of an AWS account is told.
public struct AWSAuthorizer: Hashable, Sendable {
    /// User name.
    public var user: String
    /// The authorizer's name; nil: the account's default.
    public var name: String?
    /// The token's key.
    public var tokenKey: String?
    /// The token.
    public var token: String?
    /// Its signature.
    public var signature: String?
    /// Password.
    public var password: Data?

    /// By user name alone; set what else the authorizer wants.
    public init(user: String, name: String? = nil) {
        self.user = user
        self.name = name
    }
}

/// The service that the broker belongs to: its profile computes the credentials, knows the limits and keeps the pace.
public enum Profile: Sendable {
    /// How AWS IoT Core knows the device.
    public enum AWSAccess: Sendable {
        /// By its certificate (``TLS/identity``), on port 8883.
        case x509
        /// By its certificate, on port 443.
        case x509OnPort443
        /// By an authorizer of the account.
        case authorizer(AWSAuthorizer)
        /// By a signed URL, with keys for each connect; nil region: out of the endpoint.
        case signed(region: String? = nil, keys: @Sendable () async throws -> AWSKeys)
    }

    /// None of these.
    case generic
    /// Tencent IoT Hub; `secret` is the device's key in base64.
    case tencent(
        productID: String, deviceName: String, secret: String, sha1: Bool = false, host: String? = nil,
        lifetime: Duration? = nil)
    /// AWS IoT Core, by the account's endpoint.
    case aws(endpoint: String, AWSAccess)
    /// Azure IoT Hub; `key` is the device's key in base64.
    case azureIoTHub(hub: String, deviceID: String, key: String, lifetime: Duration? = nil)
    /// Azure Event Grid's MQTT 5 broker; the client id is its session name.
    case azureEventGrid(host: String, clientID: String)

    var raw: HomingGenerated.BrokerProfile {
        switch self {
        case .generic: .generic
        case .tencent(let productID, let deviceName, let secret, let sha1, let host, let lifetime):
            .tencent(
                productId: productID, deviceName: deviceName, secret: secret, sha1: sha1, host: host,
                lifetimeMs: lifetime?.milliseconds)
        case .aws(let endpoint, let access): .aws(endpoint: endpoint, access: access.raw)
        case .azureIoTHub(let hub, let deviceID, let key, let lifetime):
            .azureIotHub(hub: hub, deviceId: deviceID, key: key, lifetimeMs: lifetime?.milliseconds)
        case .azureEventGrid(let host, let clientID): .azureEventGrid(host: host, clientId: clientID)
        }
    }
}

extension Profile {
    var size: Int {
        if case .aws(_, .authorizer(let authorizer)) = self { authorizer.password?.count ?? 0 } else { 0 }
    }
}

extension Profile.AWSAccess {
    fileprivate var raw: HomingGenerated.AwsAccess {
        switch self {
        case .x509: .x509
        case .x509OnPort443: .x509On443
        case .authorizer(let authorizer):
            .customAuthorizer(
                user: authorizer.user, name: authorizer.name, tokenKey: authorizer.tokenKey, token: authorizer.token,
                signature: authorizer.signature, password: authorizer.password)
        case .signed(let region, let keys): .sigV4(region: region, keys: AWSKeysCallback(keys))
        }
    }
}

private final class AWSKeysCallback: HomingGenerated.AwsKeyProvider {
    private let provide: @Sendable () async throws -> AWSKeys

    init(_ provide: @escaping @Sendable () async throws -> AWSKeys) {
        self.provide = provide
    }

    func keys() async throws -> HomingGenerated.AwsKeySet {
        try await told {
            let keys = try await provide()
            return .init(
                accessKeyId: keys.accessKeyID, secretAccessKey: keys.secretAccessKey, sessionToken: keys.sessionToken)
        }
    }
}

/// A header of the WebSocket request; it may hold a token.
public struct HTTPHeader: Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Its value.
    public var value: String

    /// Both.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

extension Profile: CustomStringConvertible, CustomReflectable {
    public var description: String {
        switch self {
        case .generic: "generic"
        case .tencent: "tencent(redacted)"
        case .aws: "aws(redacted)"
        case .azureIoTHub: "azureIoTHub(redacted)"
        case .azureEventGrid: "azureEventGrid"
        }
    }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension AWSKeys: CustomStringConvertible, CustomReflectable {
    public var description: String { "AWSKeys(redacted)" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension AWSAuthorizer: CustomStringConvertible, CustomReflectable {
    public var description: String { "AWSAuthorizer(redacted)" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension HTTPHeader: CustomStringConvertible, CustomReflectable {
    public var description: String { "HTTPHeader(\(name), redacted)" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
