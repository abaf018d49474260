// Every wait ends when its task is cancelled, and takes nothing with it.

import Foundation
import Testing

@testable import Homing

@Suite struct WaitsTests {
    let folder: Folder

    init() throws {
        folder = try Folder()
    }

    /// Begins a wait, cancels it, and returns what it threw; far quicker than any timeout.
    func cancelled(
        _ wait: @escaping @Sendable () async throws -> Void, location: SourceLocation = #_sourceLocation
    ) async throws {
        let begun = Guarded(false)
        let task = Task {
            begun.with { $0 = true }
            try await wait()
        }
        try await until("the task") { begun.with { $0 } }
        try await Task.sleep(for: .milliseconds(50))
        let clock = ContinuousClock.now
        task.cancel()
        let error = await failure(location: location) { try await bounded { try await task.value } }
        #expect(error?.code == .cancelled, sourceLocation: location)
        #expect(error?.text == "cancelled", sourceLocation: location)
        #expect(ContinuousClock.now - clock < .seconds(10), sourceLocation: location)
    }

    @Test func everyWaitEndsWithItsTask() async throws {
        let client = try await HomingClient(.init(test: folder.file("store")))
        let id = try await client.publish("t", "x")
        try await cancelled { _ = try await client.settled(id) }
        try await cancelled { _ = try await client.flush(within: .seconds(600)) }
        try await cancelled { for try await _ in try await client.consumer().messages {} }
        try await cancelled { try await client.consume { _ in } }
        #expect(try await client.fate(of: id) == .waiting)
        try await client.close()
    }

    @Test func aCatchUpEndsWithItsTask() async throws {
        // A listener that never answers: the attempt hangs.
        let silent = try Silence()
        defer { silent.end() }
        var options = HomingClient.Options(test: folder.file("store"), broker: silent.url)
        options.connects = false
        let client = try await HomingClient(options)
        try await client.publish("t", "x")
        try await cancelled { _ = try await client.sync(within: .seconds(600)) }
        try await client.close(within: .milliseconds(100))
    }

    @Test func sequencesThatCannotThrowEnd() async throws {
        let client = try await HomingClient(.init(test: folder.file("store")))
        let events = try client.events()
        let tasks = [
            Task { for await _ in client.states {} },
            Task { for await _ in events {} },
        ]
        try await Task.sleep(for: .milliseconds(50))
        for task in tasks {
            task.cancel()
            try await bounded { await task.value }
        }
        // And once the client is closed.
        let watching = Task { for await _ in client.states {} }
        let listening = Task { for await _ in events {} }
        try await client.close()
        try await bounded { await watching.value }
        try await bounded { await listening.value }
    }

    @Test func aWaitThatIsCancelledBeforeItBeginsTakesNothing() async throws {
        let broker = try Broker()
        defer { broker.end() }
        let client = try await HomingClient(.init(test: folder.file("store"), broker: broker.url))
        try await client.subscribe("t")
        try await client.publish("t", "x")
        let consumer = try await client.consumer()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            for try await _ in consumer.messages {}
        }
        #expect(await failure { try await task.value }?.code == .cancelled)
        #expect(try await bounded { try await consumer.messages.first { _ in true } }?.text == "x")
        try await client.close()
    }

    @Test func eachListenerSeesTheStates() async throws {
        let broker = try Broker()
        defer { broker.end() }
        var options = HomingClient.Options(test: folder.file("store"), broker: broker.url)
        options.connects = false
        let client = try await HomingClient(options)
        let seen = (0..<3).map { _ in
            Task {
                for await state in client.states where state.isOnline { return }
            }
        }
        try await client.connect()
        for task in seen { try await bounded { await task.value } }
        #expect(try client.state.isOnline)
        try await client.close()
    }
}
