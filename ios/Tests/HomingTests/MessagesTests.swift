// Publish and fate, subscribe and consume, order, values at their limits.

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

    @Test func aMessageIsPublishedReceivedAndDone() async throws {
        let client = try await client()
        try await client.subscribe("home/+", qos: .exactlyOnce)
        let id = try await client.publish("home/door", "open", qos: .exactlyOnce)
        #expect(try await bounded { try await client.settled(id) }.isDelivered)
        #expect(try await client.fate(of: id).isDelivered)
        #expect(try await client.cancel(id) == .settled(try await client.fate(of: id)))

        let consumer = try await client.consumer()
        let message = try #require(try await bounded { try await consumer.messages.first { _ in true } })
        #expect(message.topic == "home/door")
        #expect(message.text == "open")
        #expect(message.qos == .exactlyOnce)
        #expect(abs(message.received.timeIntervalSinceNow) < 60)
        #expect(message.position.store == client.storeID)
        try await consumer.done(message)
        try await client.close()
    }

    @Test func whatIsNotDoneComesAgain() async throws {
        let client = try await client()
        try await client.subscribe("n")
        try await client.publish(all: (0..<10).map { OutgoingMessage("n", "\($0)") })
        let consumer = try await client.consumer()
        // A loop that is left has read ahead, and given nothing up.
        let first = try await bounded {
            for try await message in consumer.messages where message.text == "3" { return message }
            throw Setup(description: "the messages ended")
        }
        try await consumer.doneThrough(first)
        try await client.close()

        let again = try await self.client()
        let next = try await bounded { try await again.consumer().messages.first { _ in true } }
        #expect(next?.text == "4")
        try await again.close()
    }

    @Test func consumeMarksBehindItsBody() async throws {
        struct Enough: Error {}
        let client = try await client()
        try await client.subscribe("n")
        try await client.publish(all: (0..<10).map { OutgoingMessage("n", "\($0)") })
        await #expect(throws: Enough.self) {
            try await bounded {
                try await client.consume { message in
                    if message.text == "7" { throw Enough() }
                }
            }
        }
        try await client.close()

        let again = try await self.client()
        let next = try await bounded { try await again.consumer().messages.first { _ in true } }
        #expect(next?.text == "7", "everything before was marked, and what threw comes again")
        try await again.close()
    }

    @Test func whatCouldNotBeMarkedIsMarkedInTheEnd() async throws {
        let client = try await client()
        try await client.subscribe("n")
        try await client.publish("n", "x")
        let (consumer, removed) = (try await client.consumer("c"), Guarded(false))
        let consuming = Task {
            try await consumer.consume { _ in
                try await client.removeConsumer("c")
                removed.with { $0 = true }
            }
        }
        try await until("the message") { removed.with { $0 } }
        // Long enough for the mark to fail; one that is later than that does not.
        try await Task.sleep(for: .milliseconds(200))
        _ = try await client.consumer("c")
        consuming.cancel()
        #expect(await failure { try await bounded { try await consuming.value } }?.code == .cancelled)
        let status = try await client.reader().status()
        #expect(status.consumers.first { $0.name == "c" }?.behind == 0)
        try await client.close()
    }

    @Test func doneOutOfOrderIsKeptApart() async throws {
        let client = try await client()
        try await client.subscribe("n")
        try await client.publish(all: (0..<3).map { OutgoingMessage("n", "\($0)") })
        let consumer = try await client.consumer("two", filters: ["n"])
        let messages = try await bounded {
            var iterator = consumer.messages(batch: 1).makeAsyncIterator()
            var messages: [Message] = []
            while messages.count < 3, let message = try await iterator.next() { messages.append(message) }
            return messages
        }
        try await consumer.done(messages[1])
        let rest = try await bounded {
            var iterator = consumer.messages.makeAsyncIterator()
            return [try await iterator.next()?.text, try await iterator.next()?.text]
        }
        #expect(rest == ["0", "2"])
        try await client.removeConsumer("two")
        #expect(await failure { try await client.removeConsumer("two") }?.code == .noSuchConsumer)
        #expect(await failure { try await consumer.done(messages[0]) }?.code == .noSuchConsumer)
        try await client.close()
    }

    @Test func tenThousandMessagesArriveInOrder() async throws {
        let (sender, receiver) = (try await client("sender"), try await client("receiver"))
        try await receiver.subscribe("many/#", qos: .exactlyOnce)
        try await receiver.online()
        try await until("the grant") {
            try await receiver.reader().status().subscriptions.first?.granted == .exactlyOnce
        }
        let count = 10_000
        for start in stride(from: 0, to: count, by: 500) {
            try await sender.publish(
                all: (start..<start + 500).map { OutgoingMessage("many/\($0 % 3)", "\($0)", qos: .exactlyOnce) })
        }
        let got = Guarded<[Int]>([])
        let consuming = Task {
            try await receiver.consume { message in
                got.with { $0.append(Int(message.text ?? "") ?? -1) }
            }
        }
        try await until("10,000 messages") { got.with { $0.count } >= count }
        consuming.cancel()
        #expect(await failure { try await consuming.value }?.code == .cancelled)
        #expect(got.with { $0 } == Array(0..<count))
        let status = try await receiver.reader().status()
        #expect(status.consumers.first?.behind == 0, "all of them are marked")
        try await sender.close()
        try await receiver.close()
    }

    @Test func valuesAtTheirLimits() async throws {
        let client = try await client()
        try await client.subscribe("#", qos: .exactlyOnce)
        let topics = ["e", "big", "😀/🏳️‍🌈/日本語", String(repeating: "t", count: 65_535)]
        let payloads = [Data(), Data(repeating: 0xA5, count: 1 << 20), Data("👩‍👩‍👧‍👦".utf8), Data([0, 255])]
        let ids = try await client.publish(
            all: zip(topics, payloads).map { OutgoingMessage($0, $1, qos: .exactlyOnce) })
        #expect(ids.count == 4)
        let messages = try await bounded {
            var messages: [Message] = []
            for try await message in try await client.consumer().messages {
                messages.append(message)
                if messages.count == 4 { break }
            }
            return messages
        }
        #expect(messages.map(\.topic) == topics)
        #expect(messages.map(\.payload) == payloads)
        #expect(try await client.publish(all: []) == [])
        try await client.close()
    }

    @Test func propertiesComeThrough() async throws {
        let client = try await client()
        try await client.subscribe("p", retainHandling: .ifNew, identifier: 7)
        let properties = MessageProperties(
            payloadIsUTF8: true, contentType: "text/plain", responseTopic: "answers", correlationData: Data([1, 2]),
            user: [UserProperty("a", "1"), UserProperty("a", "2")])
        try await client.publish(
            OutgoingMessage("p", Data("x".utf8), timeToLive: .seconds(600), properties: properties))
        let message = try await bounded { try await client.consumer().messages.first { _ in true } }
        let got = try #require(message?.properties)
        #expect(got.payloadIsUTF8 && got.contentType == "text/plain" && got.responseTopic == "answers")
        #expect(got.correlationData == Data([1, 2]) && got.user == properties.user)
        #expect(got.subscriptionIDs == [7])
        #expect(try #require(got.expiry) <= .seconds(600))
        try await client.close()
    }

    @Test func fatesOfMessagesThatAreNotSent() async throws {
        let options = HomingClient.Options(test: folder.file("offline"))
        let client = try await HomingClient(options)
        let old = try await client.publish(OutgoingMessage("t", Data(), supersede: "k"))
        let new = try await client.publish(OutgoingMessage("t", Data(), supersede: "k"))
        #expect(try await client.fate(of: old) == .superseded(by: new))
        #expect(try await client.fate(of: new) == .waiting)
        #expect(try await client.cancel(new) == .cancelled)
        #expect(try await client.settled(new) == .cancelled)
        let twice = OutgoingMessage("t", Data(), lane: .urgent, idempotency: "once")
        #expect(try await client.publish(twice) == client.publish(twice))
        #expect(await failure { try await client.unpark(new) }?.code == .notParked)
        let other = MessageID(store: String(repeating: "0", count: 32), number: 1)
        #expect(try await client.fate(of: other) == .otherStore)
        try await client.close()
    }
}
