// Reader and mailbox, beside a client that drives the store.

import Foundation
import Testing

@testable import Homing

@Suite struct ReaderTests {
    let folder: Folder

    init() throws {
        folder = try Folder()
    }

    @Test func aReaderSeesWhatIsThere() async throws {
        let broker = try Broker()
        defer { broker.end() }
        let store = folder.file("store")
        let client = try await HomingClient(.init(test: store, broker: broker.url))
        try await client.subscribe("r/#")
        let ids = try await client.publish(all: (0..<5).map { OutgoingMessage("r/\($0 % 2)", "\($0)") })
        for id in ids { _ = try await bounded { try await client.settled(id) } }
        let reader = try await Reader(store: store)
        #expect(reader.storeID == client.storeID)
        try await until("the messages") { try await reader.status().inboxMessages == 5 }

        let last = try await everyLast(reader, "r/+")
        #expect(last.map(\.message.topic) == ["r/0", "r/1"] && last.map(\.message.text) == ["4", "3"])
        let one = try await reader.last(limit: 1)
        #expect(one.values.count == 1 && one.next == "r/0")
        #expect(try await reader.last(after: one.next).values.map(\.message.topic) == ["r/1"])

        let page = try await reader.history("r/#", order: .newestFirst, limit: 2)
        #expect(page.messages.map(\.text) == ["4", "3"])
        let more = try await reader.history("r/#", order: .newestFirst, after: page.next, limit: 10)
        #expect(more.messages.map(\.text) == ["2", "1", "0"] && more.next == nil)
        #expect(try await reader.history("r/#", until: .distantPast).messages.isEmpty)
        #expect(try await reader.history("r/#", since: Date(timeIntervalSince1970: .infinity)).messages.isEmpty)

        #expect(try await reader.fate(of: ids[0]).isDelivered)
        #expect(try await reader.gaps().isEmpty)
        #expect(try await reader.outbox().isEmpty)
        #expect(try await reader.incidents().isEmpty)
        let status = try await reader.status()
        #expect(status.consumers.map(\.name) == ["default"] && status.consumers[0].behind == 5)
        #expect(status.subscriptions.map(\.filter) == ["r/#"] && status.storage == .ok)
        #expect(await failure { _ = try await reader.last("a#") }?.code == .invalid)
        #expect(await failure { _ = try await reader.last(limit: -1) }?.code == .invalid)
        #expect(await failure { _ = try await reader.history("#", limit: .max) }?.code == .invalid)
        let other = Position(store: String(repeating: "0", count: 32), sequence: 1)
        #expect(await failure { _ = try await reader.history("#", after: other) }?.code == .invalid)
        try await client.close()
    }

    /// A page ends after some time, also on a slow machine.
    private func everyLast(_ reader: Reader, _ filter: String) async throws -> [Reader.LastValue] {
        var (values, after): ([Reader.LastValue], String?) = ([], nil)
        repeat {
            let page = try await reader.last(filter, after: after)
            values += page.values
            after = page.next
        } while after != nil
        return values
    }

    @Test func whatIsLeftInTheMailboxIsPublished() async throws {
        let broker = try Broker()
        defer { broker.end() }
        let store = folder.file("store")
        let client = try await HomingClient(.init(test: store, broker: broker.url))
        try await client.subscribe("m")
        let mailbox = try await Mailbox(store: store)
        try await mailbox.post(OutgoingMessage("m", "by mail"))
        #expect(await failure { try await mailbox.post(OutgoingMessage("+", "")) }?.code == .invalid)
        #expect(try await bounded { try await client.consumer().messages.first { _ in true } }?.text == "by mail")
        try await client.close()
    }

    @Test func widgetsReadTheGlance() async throws {
        let broker = try Broker()
        defer { broker.end() }
        let store = folder.file("store")
        #expect(throws: HomingError.self) { try GlanceFile(store: store) }
        var options = HomingClient.Options(test: store, broker: broker.url)
        options.glance = .init(filters: ["g/#"], alerts: ["alarm/#"])
        let client = try await HomingClient(options)
        try await client.subscribe("#")
        try await client.publish("g/1", "21.5")
        try await client.publish("alarm/door", "open")
        try await until("the glance") {
            guard let glance = try? GlanceFile(store: store) else { return false }
            return glance.last.first?.text == "21.5" && glance.alerts.first?.text == "open"
        }
        let glance = try GlanceFile(store: store)
        #expect(glance.last.map(\.topic) == ["g/1"] && glance.alerts.map(\.topic) == ["alarm/door"])
        #expect(glance.connection == .connected && glance.omitted == 0)
        #expect(abs(glance.date.timeIntervalSinceNow) < 60)
        try await client.close()
        #expect(try GlanceFile(store: store).connection == .disconnected)
        try Data("{".utf8).write(to: URL(fileURLWithPath: store.path + "-glance"))
        #expect(throws: HomingError.self) { try GlanceFile(store: store) }
    }
}
