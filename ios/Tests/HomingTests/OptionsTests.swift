// The defaults are those of the core; what is secret is not said.

import Foundation
import HomingGenerated
import Testing

@testable import Homing

@Suite struct OptionsTests {
    @Test func theDefaultsAreThoseOfTheCore() throws {
        let ours = try HomingClient.Options(store: URL(fileURLWithPath: "/store")).raw()
        let core = try HomingGenerated.defaultSettings(store: "/store")
        // TLS apart: none and the defaults are the same to the core.
        let (left, right) = (Mirror(reflecting: ours).children, Mirror(reflecting: core).children)
        #expect(left.count == right.count && left.count > 30)
        for (ours, core) in zip(left, right) where ours.label != "tls" {
            #expect("\(ours.value)" == "\(core.value)", "\(ours.label ?? "")")
        }
    }

    @Test func secretsAreNotSaid() {
        let secret = "hunter2"
        let credentials = Credentials(
            user: secret, password: secret, expires: nil)
        let enhanced = Credentials.Enhanced(method: "m", data: Data(secret.utf8))
        let keys = AWSKeys(accessKeyID: secret, secretAccessKey: secret, sessionToken: secret)
        var authorizer = AWSAuthorizer(user: secret)
        authorizer.token = secret
        let profile = Profile.tencent(productID: secret, deviceName: "d", secret: secret)
        var options = HomingClient.Options(store: URL(fileURLWithPath: "/s"), broker: URL(string: "mqtt://u:\(secret)@h"))
        options.credentials = .fixed(credentials)
        options.profile = profile
        options.proxy = .url(URL(string: "http://u:\(secret)@proxy:1")!)
        options.tls.identity = TLS.Identity(certificates: Data(), key: Data(secret.utf8))
        options.webSocketHeaders = [HTTPHeader("Authorization", secret)]
        options.will = .init(OutgoingMessage("t", secret))
        options.deviceToken = Data(secret.utf8)
        let values: [Any] = [
            credentials, enhanced, keys, authorizer, profile, options, options.credentials as Any, options.proxy,
            options.tls, options.webSocketHeaders, options.will as Any, OutgoingMessage("t", secret),
            MessageProperties(user: [UserProperty("k", secret)]), Profile.AWSAccess.authorizer(authorizer),
        ]
        let (bytes, hex) = ("\(Array(secret.utf8))", "68756e74")
        for value in values {
            var dumped = ""
            dump(value, to: &dumped)
            for said in ["\(value)", String(reflecting: value), dumped] {
                #expect(!said.contains(secret) && !said.contains(bytes) && !said.contains(hex), "\(type(of: value))")
            }
        }
    }
}
