// A whole process is killed, and another one goes on (P1, P3, P4).

import Foundation
import Testing

@testable import Homing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// `HomingChild`, with what it said so far.
final class Child: @unchecked Sendable {
    private let process = Process()
    private let output: URL

    init(_ what: String, store: URL, broker: Broker, folder: Folder) throws {
        output = folder.file("said-\(UUID().uuidString)")
        try Data().write(to: output)
        process.executableURL = Self.products.appendingPathComponent("HomingChild")
        process.arguments = [what, store.path, broker.url.absoluteString]
        process.standardOutput = try FileHandle(forWritingTo: output)
        try runUnblocked(process)
    }

    deinit { kill() }

    /// Beside the tests.
    private static var products: URL {
        #if canImport(Darwin)
            for bundle in Bundle.allBundles where bundle.bundlePath.hasSuffix(".xctest") {
                return bundle.bundleURL.deletingLastPathComponent()
            }
        #endif
        return URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    }

    func said() throws -> [String] {
        // The last part is empty, or a line that the kill cut short.
        try String(contentsOf: output, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
            .dropLast().map(String.init)
    }

    /// SIGKILL: no code of the process runs any more.
    func kill() {
        #if canImport(Glibc)
            Glibc.kill(process.processIdentifier, SIGKILL)
        #else
            Darwin.kill(process.processIdentifier, SIGKILL)
        #endif
        while process.isRunning { usleep(1_000) }
    }
}

@Suite struct ProcessTests {
    let broker: Broker
    let folder: Folder

    init() throws {
        broker = try Broker()
        folder = try Folder()
    }

    @Test func whatAKilledProcessPublishedArrivesOnce() async throws {
        let receiver = try await HomingClient(.init(test: folder.file("receiver"), broker: broker.url))
        try await receiver.subscribe("kill/#", qos: .exactlyOnce)
        try await until("the grant") { try await receiver.reader().status().subscriptions.first?.granted != nil }

        let store = folder.file("store")
        let child = try Child("publish", store: store, broker: broker, folder: folder)
        try await until("100 messages of the child") { try child.said().count > 100 }
        child.kill()
        let ids = try child.said().map { try MessageID(parsing: $0) }

        let client = try await HomingClient(.init(test: store, broker: broker.url))
        #expect(client.storeID == ids[0].store)
        try await bounded("the verdicts") {
            for id in ids {
                let fate = try await client.settled(id)
                #expect(fate.isDelivered, "\(id): \(fate)")
            }
        }
        let got = Guarded<[Int]>([])
        let consuming = Task {
            try await receiver.consume { message in got.with { $0.append(Int(message.text ?? "") ?? -1) } }
        }
        try await until("the messages") { got.with { $0.count } >= ids.count }
        consuming.cancel()
        let numbers = got.with { $0 }
        #expect(numbers == Array(0..<numbers.count), "each once, in order")
        try await client.close()
        try await receiver.close()
    }

    @Test(arguments: ["done", "consume"])
    func whatAKilledProcessWasNotDoneWithComesAgain(how: String) async throws {
        let store = folder.file("store")
        let before = try await HomingClient(.init(test: store, broker: broker.url))
        try await before.subscribe("kill/#", qos: .exactlyOnce)
        try await until("the grant") { try await before.reader().status().subscriptions.first?.granted != nil }
        try await before.close()

        let sender = try await HomingClient(.init(test: folder.file("sender"), broker: broker.url))
        let count = 20_000
        for start in stride(from: 0, to: count, by: 1_000) {
            try await sender.publish(
                all: (start..<start + 1_000).map { OutgoingMessage("kill/n", "\($0)", qos: .exactlyOnce) })
        }
        let child = try Child(how, store: store, broker: broker, folder: folder)
        try await until("100 messages of the child") { try child.said().count > 100 }
        child.kill()
        let said = try child.said().map { try Position(parsing: $0).sequence }
        #expect(said == Array(1...UInt64(said.count)))
        #expect(said.count < count, "the child was killed in the middle")

        let client = try await HomingClient(.init(test: store, broker: broker.url))
        let got = Guarded<[(UInt64, String?)]>([])
        let consuming = Task {
            try await client.consume { message in got.with { $0.append((message.position.sequence, message.text)) } }
        }
        try await until("the last message") { got.with { $0.last?.1 } == "\(count - 1)" }
        consuming.cancel()
        let rest = got.with { $0 }
        let first = try #require(rest.first).0
        if how == "done" {
            #expect(first > said.count, "what was committed as done does not come again")
            // The last one was perhaps committed, and the child killed before it said so.
            #expect(first <= said.count + 2, "nothing was skipped")
        } else {
            #expect(first <= said.count + 1, "nothing was skipped")
        }
        #expect(rest.map(\.0) == Array(first...UInt64(count)), "no hole, none twice")
        #expect(rest.map(\.1) == (Int(first) - 1..<count).map { "\($0)" })
        try await sender.close()
        try await client.close()
    }
}
