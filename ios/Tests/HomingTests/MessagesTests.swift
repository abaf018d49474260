// Publish and fate, subscribe and consume, order, limits of values.

import Foundation
import Testing

@testable import Homing

@Suite struct MessagesTests {
    let broker: Broker
    let folder: Folder

    init() throws {
        broker = try Broker()
        folder = try Folder()
    }

    func client(_ name: String = "store") async throws -> HomingClient {
        try await HomingClient(.init(test: folder.file(name), broker: broker.url))
    }

    @Test func aMessageIsPublishedConsumedAndDone() async throws {
        let client = try await client()
        try await client.subscribe("home/+", qos: .exactlyOnce)
        try await client.online()
        let id = try await client.publish("home/door", "open", qos: .exactlyOnce)
        #expect(try await bounded { try await client.settled(id) }.isDelivered)
        #expect(try await client.fate(of: id).isDelivered)

        let consumer = try await client.consumer()
        let message = try await bounded { try await consumer.messages.first { _ in true } }
        #expect(message?.topic == "home/door")
        #expect(message?.text == "open")
        #expect(message?.qos == .exactlyOnce)
        try await consumer.done(#require(message))
        try await client.close()
    }
}
