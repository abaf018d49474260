// What an app implements: credentials, trust, keys, the log; and what happens when it throws or blocks.

import Foundation
import Testing

@testable import Homing

/// A provider that does what a test says.
private struct Provider: CredentialsProvider {
    let make: @Sendable (CredentialsRequest) async throws -> Credentials

    func credentials(for request: CredentialsRequest) async throws -> Credentials {
        try await make(request)
    }
}

@Suite struct CallbacksTests {
    let folder: Folder

    init() throws {
        folder = try Folder()
    }

    /// A trouble that the client tells of. States are the newest, never all: it has to last until it was seen.
    func trouble(_ client: HomingClient) async throws -> Trouble {
        try await bounded("trouble") {
            for await state in client.states {
                switch state {
                // As a client is in the moment before it tries.
                case .offline(let why) where why.kind == .asked: continue
                case .waiting(_, let why), .offline(let why): return why
                default: continue
                }
            }
            throw Setup(description: "the states ended")
        }
    }

    @Test func credentialsThatThrowAreAskedAgain() async throws {
        struct OurOwn: Error { let secret = "hunter2" }
        let broker = try Broker()
        defer { broker.end() }
        let (seen, asked) = (Guarded(false), Guarded(0))
        var options = HomingClient.Options(test: folder.file("store"), broker: broker.url)
        options.credentials = .provider(
            Provider { request in
                #expect(request.host == "127.0.0.1" && request.port == Int(broker.port))
                guard seen.with({ $0 }) else { throw OurOwn() }
                let count = asked.with { count in
                    count += 1
                    return count
                }
                if count == 1 { throw CredentialsError.unavailable }
                return Credentials(user: "u", password: "p", expires: .distantFuture)
            })
        let client = try await HomingClient(options)
        let why = try await trouble(client)
        #expect(why.kind == .credentials)
        #expect(!why.text.contains("hunter2") && why.text.contains("provider"), "\(why)")
        seen.with { $0 = true }
        try await client.online()
        #expect(asked.with { $0 } == 2)
        try await client.close()
    }

    @Test func signedOutWaitsForTheApp() async throws {
        let broker = try Broker()
        defer { broker.end() }
        let signedIn = Guarded(false)
        var options = HomingClient.Options(test: folder.file("store"), broker: broker.url)
        options.credentials = .provider(
            Provider { _ in
                guard signedIn.with({ $0 }) else { throw CredentialsError.signedOut }
                return Credentials(user: "u", password: "p")
            })
        let client = try await HomingClient(options)
        #expect(try await trouble(client).kind == .credentials)
        signedIn.with { $0 = true }
        try await client.credentialsChanged()
        try await client.online()
        try await client.close()
    }

    @Test func trustThatRefusesKeepsTheClientOffline() async throws {
        let broker = try Broker(tls: try Certificates())
        defer { broker.end() }
        let seen = Guarded<[(Int, String)]>([])
        var options = HomingClient.Options(test: folder.file("store"), broker: broker.url)
        options.tls.trust = .custom { chain, host in
            seen.with { $0.append((chain.count, host)) }
            throw TrustRefused("the app knows another key")
        }
        let client = try await HomingClient(options)
        let why = try await trouble(client)
        #expect(why.kind == .tls)
        #expect(why.text.contains("the app knows another key"), "\(why)")
        #expect(seen.with { $0.first?.0 ?? 0 } >= 1)
        #expect(seen.with { $0.first?.1 } == "127.0.0.1")
        try await client.close()
    }

    @Test func trustThatThrowsAnythingElseRefusesToo() async throws {
        struct OurOwn: Error {}
        let broker = try Broker(tls: try Certificates())
        defer { broker.end() }
        var options = HomingClient.Options(test: folder.file("store"), broker: broker.url)
        options.tls.trust = .custom { _, _ in throw OurOwn() }
        let client = try await HomingClient(options)
        #expect(try await trouble(client).kind == .tls)
        try await client.close()
    }

    @Test func trustThatAcceptsAndRootsConnect() async throws {
        let certificates = try Certificates()
        let broker = try Broker(tls: certificates)
        defer { broker.end() }
        let roots = TLS.Trust.roots(pem: try Data(contentsOf: certificates.authority))
        for (name, trust) in [("custom", .custom { _, _ in }), ("roots", roots)] {
            var options = HomingClient.Options(test: folder.file(name), broker: broker.url)
            options.tls.trust = trust
            let client = try await HomingClient(options)
            try await client.online()
            try await client.close()
        }
        var options = HomingClient.Options(test: folder.file("bad"), broker: broker.url)
        options.tls.trust = .roots(pem: Data("nothing".utf8))
        #expect(await failure { _ = try await HomingClient(options) }?.code == .invalid)
    }

    @Test func callbacksThatBlockHoldNothingElseUp() async throws {
        let broker = try Broker(tls: try Certificates())
        defer { broker.end() }
        let (asked, free) = (Guarded(false), DispatchSemaphore(value: 0))
        defer { free.signal() }
        var options = HomingClient.Options(test: folder.file("store"), broker: broker.url)
        options.tls.trust = .dangerouslyAcceptAnyServer
        options.credentials = .provider(
            Provider { _ in
                asked.with { $0 = true }
                // Blocks a thread of a queue, as a call into a system does; the client waits for it, the app does not.
                await withCheckedContinuation { continuation in
                    DispatchQueue.global().async {
                        free.wait()
                        continuation.resume()
                    }
                }
                return Credentials(user: "u", password: "p")
            })
        let client = try await HomingClient(options)
        try await until("the question") { asked.with { $0 } }
        let id = try await bounded(within: .seconds(10)) { try await client.publish("t", "x") }
        #expect(try await bounded(within: .seconds(10)) { try await client.fate(of: id) } == .waiting)
        try await bounded(within: .seconds(10)) { try await client.close(within: .milliseconds(100)) }
    }

    @Test func theLogIsToldOnceAndHoldsNoPayload() async throws {
        let broker = try Broker()
        defer { broker.end() }
        let lines = Guarded<[String]>([])
        try Log.send(.trace) { _, target, text in lines.with { $0.append("\(target): \(text)") } }
        #expect(failureOfSecondLog()?.code == .invalid)
        var options = HomingClient.Options(test: folder.file("store"), broker: broker.url)
        options.credentials = .fixed(Credentials(user: "nobody", password: "s business"))
        let client = try await HomingClient(options)
        let id = try await client.publish("log/topic", "a payload that is nobody's business")
        _ = try await bounded { try await client.settled(id) }
        try await client.close()
        try await until("packets") {
            let said = lines.with { $0.joined(separator: "\n") }
            return said.contains("sent packet=Publish") && said.contains("log/topic") && said.contains("received packet=PubAck")
        }
        #expect(!lines.with { $0.joined() }.contains("s business"))
    }

    private func failureOfSecondLog() -> HomingError? {
        do throws(HomingError) {
            try Log.send { _, _, _ in }
            return nil
        } catch {
            return error
        }
    }
}
