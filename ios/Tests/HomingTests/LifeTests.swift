// Opening, closing, pausing, letting go; two clients on one store.

import Foundation
import Testing

@testable import Homing

@Suite struct LifeTests {
    let folder: Folder

    init() throws {
        folder = try Folder()
    }

    @Test func twoClientsCannotDriveOneStore() async throws {
        let store = folder.file("store")
        let first = try await HomingClient(.init(test: store))
        let error = await failure { _ = try await HomingClient(.init(test: store)) }
        #expect(error?.code == .storeInUse)
        #expect(error?.text.contains("store") == true)
        try await first.close()
        try await HomingClient(.init(test: store)).close()
    }

    @Test func closingInTheMiddleEndsEveryWait() async throws {
        let client = try await HomingClient(.init(test: folder.file("store")))
        let id = try await client.publish("t", "x")
        let consumer = try await client.consumer()
        let waits: [Task<Void, any Error>] = [
            Task { _ = try await client.settled(id) },
            Task { _ = try await client.flush(within: .seconds(600)) },
            Task { for try await _ in consumer.messages {} },
            Task { try await client.consume { _ in } },
        ]
        try await Task.sleep(for: .milliseconds(100))
        try await client.close()
        for wait in waits {
            #expect(await failure { try await bounded { try await wait.value } }?.code == .closed)
        }
    }

    @Test func useAfterCloseIsAClearError() async throws {
        let client = try await HomingClient(.init(test: folder.file("store")))
        let id = try await client.publish("t", "x")
        let consumer = try await client.consumer()
        try await client.close()
        try await client.close()
        let calls: [@Sendable () async throws -> Void] = [
            { try await client.publish("t", "x") },
            { try await client.publish(all: [OutgoingMessage("t", "x")]) },
            { _ = try await client.fate(of: id) },
            { _ = try await client.settled(id) },
            { try await client.cancel(id) },
            { try await client.unpark(id) },
            { _ = try await client.flush(within: .seconds(1)) },
            { try await client.subscribe("t") },
            { try await client.unsubscribe("t") },
            { _ = try await client.consumer() },
            { try await client.removeConsumer("default") },
            { try await client.connect() },
            { try await client.disconnect() },
            { _ = try await client.sync(within: .seconds(1)) },
            { try await client.pause() },
            { try await client.resume() },
            { _ = try await client.isOutboxHeld },
            { try await client.releaseOutbox() },
            { try await client.discardOutbox() },
            { _ = try await consumer.messages.first { _ in true } },
            { try await consumer.done(Position(store: client.storeID, sequence: 1)) },
        ]
        for (number, call) in calls.enumerated() {
            let error = await failure("call \(number)") { try await bounded { try await call() } }
            #expect(error?.code == .closed, "call \(number)")
            #expect(error?.text.contains("closed") == true, "call \(number)")
        }
        // These end, or say what they knew; none of them traps.
        try await bounded { for await _ in client.states {} }
        try await bounded { for await _ in try client.events() {} }
        _ = try client.state
        _ = try client.counters
        try client.networkChanged(.offline)
    }

    @Test func pausesAtOnceAreOneAndClosesAtOnceAreOne() async throws {
        func four(_ call: @escaping @Sendable () async throws -> Void) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await call() } }
                try await group.waitForAll()
            }
        }
        let client = try await HomingClient(.init(test: folder.file("store")))
        try await four { try await client.pause() }
        try await four { try await client.resume() }
        try await client.publish("t", "x")
        try await four { try await client.close() }
    }

    @Test func lettingGoFreesTheStore() async throws {
        let store = folder.file("store")
        var number = 0
        do {
            let client = try await HomingClient(.init(test: store))
            try await client.publish("t", "kept")
            let consumer = try await client.consumer()
            number = consumer.name.count
        }
        #expect(number > 0)
        // The driver ends by itself a moment later.
        let again = Guarded<HomingClient?>(nil)
        try await until("the lock") {
            do throws(HomingError) {
                let client = try await HomingClient(.init(test: store))
                again.with { $0 = client }
                return true
            } catch {
                #expect(error.code == .storeInUse)
                return false
            }
        }
        let client = try #require(again.with { $0.take() })
        #expect(try await client.reader().status().waiting == 1)
        try await client.close()
    }

    @Test func aTaskThatListensIsNoOwner() async throws {
        let store = folder.file("store")
        let listening: Task<Void, Never>
        do {
            let client = try await HomingClient(.init(test: store))
            let (states, events) = (client.states, try client.events())
            listening = Task { for await _ in events {} }
            _ = states
        }
        try await bounded("the end of the events") { await listening.value }
    }

    @Test func pausingFreesTheStoreAndResumingTakesIt() async throws {
        let broker = try Broker()
        defer { broker.end() }
        let store = folder.file("store")
        let client = try await HomingClient(.init(test: store, broker: broker.url))
        try await client.online()
        try await client.pause()
        #expect(try client.state == .paused)
        #expect(await failure { try await client.publish("t", "x") }?.code == .paused)
        #expect(await failure { _ = try await client.reader() }?.code == .paused)
        try await HomingClient(.init(test: store)).close()
        #expect(try await client.resume())
        try await client.online()
        #expect(try await client.resume() == false)
        try await client.close()
    }

    @Test func theNetworkComesAndGoes() async throws {
        let broker = try Broker()
        defer { broker.end() }
        let client = try await HomingClient(.init(test: folder.file("store"), broker: broker.url))
        try await client.online()
        try await client.disconnect()
        try await until("the end of the link") { try !client.state.isOnline }
        let report = try await client.sync(within: .seconds(20))
        #expect(report.wasConnected && report.isDrained && report.trouble == nil)
        try client.networkChanged(.offline)
        try client.networkChanged(.online(id: "wifi"))
        try await client.connect()
        try await client.online()
        #expect(try client.counters.connects >= 3)
        try await client.close()
    }

    @Test func aBrokerThatComesBackFindsTheMessages() async throws {
        let broker = try Broker()
        defer { broker.end() }
        let client = try await HomingClient(.init(test: folder.file("store"), broker: broker.url))
        try await client.subscribe("t", qos: .exactlyOnce)
        try await client.online()
        try broker.stop()
        try await until("the end of the link") { try !client.state.isOnline }
        let id = try await client.publish("t", "kept", qos: .exactlyOnce)
        try broker.restart()
        #expect(try await bounded { try await client.settled(id) }.isDelivered)
        #expect(try await bounded { try await client.consumer().messages.first { _ in true } }?.text == "kept")
        try await client.close()
    }

    @Test func withClosesWhateverHappens() async throws {
        struct Enough: Error {}
        let options = HomingClient.Options(test: folder.file("store"))
        #expect(try await HomingClient.with(options) { try await $0.publish("t", "x").number } == 1)
        await #expect(throws: Enough.self) { try await HomingClient.with(options) { _ in throw Enough() } }
        try await HomingClient(options).close()
    }
}
