// Bad input throws, says what is wrong, and never traps.

import Foundation
import Testing

@testable import Homing

@Suite struct BadInputTests {
    let folder: Folder

    init() throws {
        folder = try Folder()
    }

    /// Opening with options that something is wrong with.
    func opening(_ change: (inout HomingClient.Options) -> Void) async -> HomingError? {
        var options = HomingClient.Options(test: folder.file(UUID().uuidString))
        change(&options)
        return await failure { _ = try await HomingClient(options) }
    }

    @Test func badOptions() async throws {
        let negative = Duration.milliseconds(-1)
        #expect(await opening { $0.keepAlive = negative }?.code == .invalid)
        #expect(await opening { $0.keepAlive = .nanoseconds(-1) }?.code == .invalid)
        #expect(await opening { $0.keepAlive = .seconds(Int64.min) }?.code == .invalid)
        #expect(await opening { $0.keepAlive = .seconds(Int64.max) }?.code == .invalid)
        #expect(await opening { $0.sessionExpiry = negative }?.code == .invalid)
        #expect(await opening { $0.retention = negative }?.code == .invalid)
        #expect(await opening { $0.brokerKeeps = negative }?.code == .invalid)
        #expect(await opening { $0.minimumRetry = negative }?.code == .invalid)
        #expect(await opening { $0.maximumRetry = negative }?.code == .invalid)
        #expect(await opening { $0.connectPace = negative }?.code == .invalid)
        #expect(await opening { $0.will = .init(OutgoingMessage("t", ""), delay: negative) }?.code == .invalid)
        #expect(await opening { $0.will = .init(OutgoingMessage("+", "")) }?.code == .invalid)
        #expect(await opening { $0.inflight = -1 }?.code == .invalid)
        #expect(await opening { $0.inflight = 65_536 }?.code == .invalid)
        #expect(await opening { $0.receiveMaximum = 0 }?.code == .invalid)
        #expect(await opening { $0.maximumPacket = .max }?.code == .invalid)
        #expect(await opening { $0.maximumPayload = -1 }?.code == .invalid)
        #expect(await opening { $0.outboxLimit.messages = .min }?.code == .invalid)
        #expect(await opening { $0.inboxLimit.bytes = -1 }?.code == .invalid)
        #expect(await opening { $0.clientID = "a\0b" }?.code == .invalid)
        #expect(await opening { $0.firstConsumer = "" }?.code == .invalid)
        #expect(await opening { $0.firstConsumerFilters = ["a/#/b"] }?.code == .invalid)
        #expect(await opening { $0.deviceToken = Data() }?.code == .invalid)
        #expect(await opening { $0.broker = URL(string: "http://127.0.0.1") }?.code == .invalid)
        #expect(await opening { $0.broker = URL(string: "mqtt:") }?.code == .invalid)
        #expect(await opening { $0.otherAddresses = [URL(fileURLWithPath: "/")] }?.code == .invalid)
        #expect(await opening { $0.proxy = .url(URL(fileURLWithPath: "/")) }?.code == .invalid)
        #expect(await opening { $0.webSocketHeaders = [HTTPHeader("a b", "c\r\n")] }?.code == .invalid)
        #expect(await opening { $0.tls.pins = ["md5/x"] }?.code == .invalid)
        #expect(await opening { $0.tls.serverName = "" }?.code == .invalid)
        #expect(await opening { $0.tls.identity = .init(certificates: Data(), key: Data()) }?.code == .invalid)
        #expect(await opening { $0.glance = .init(filters: ["#/a"]) }?.code == .invalid)
        #expect(await opening { $0.profile = .tencent(productID: "", deviceName: "d", secret: "!") }?.code == .invalid)
        #expect(
            await opening {
                $0.profile = .azureIoTHub(hub: "h", deviceID: "d", key: "a2V5", lifetime: negative)
            }?.code == .invalid)
        #expect(
            await opening {
                $0.credentials = .fixed(
                    Credentials(user: "u", password: "p", expires: Date(timeIntervalSince1970: .nan)))
            }?.code == .invalid)
    }

    @Test func badStores() async throws {
        func opening(_ store: URL) async -> HomingError? {
            await failure { _ = try await HomingClient(.init(test: store)) }
        }
        #expect(await opening(URL(string: "https://example.org/store")!)?.code == .invalid)
        #expect(await opening(folder.url)?.code == .notAStore)
        #expect(await opening(URL(fileURLWithPath: "/proc/none/store"))?.code == .storeUnavailable)
        // Foundation ends such a path at the NUL on some systems; where it does not, it is refused.
        let cut = URL(fileURLWithPath: folder.url.path + "/a\0b")
        if cut.path.contains("\0") { #expect(await opening(cut)?.code == .storeUnavailable) }
        let other = folder.file("other")
        try Data(repeating: 0x41, count: 8_192).write(to: other)
        #expect(await opening(other)?.code == .notAStore)
        #expect(await failure { _ = try await Reader(store: folder.file("none")) } != nil)
        #expect(await failure { _ = try await Mailbox(store: folder.file("none")) } != nil)
        #expect(await failure { _ = try await Reader(store: URL(string: "mqtt://h")!) }?.code == .invalid)
    }

    @Test func badCalls() async throws {
        let client = try await HomingClient(.init(test: folder.file("store")))
        func publishing(_ message: OutgoingMessage) async -> HomingError.Code? {
            await failure { try await client.publish(message) }?.code
        }
        for topic in ["", "a/+", "#", "a\0b", String(repeating: "t", count: 65_536)] {
            #expect(await publishing(OutgoingMessage(topic, "")) == .invalid)
        }
        let huge = Data(count: (16 << 20) + 1)
        #expect(await publishing(OutgoingMessage("t", huge)) == .payloadTooLarge)
        #expect(await publishing(OutgoingMessage("t", Data(), timeToLive: .seconds(-1))) == .invalid)
        #expect(await publishing(OutgoingMessage("t", Data(), supersede: "")) == .invalid)
        #expect(await publishing(OutgoingMessage("t", Data(), idempotency: "")) == .invalid)
        let properties = MessageProperties(responseTopic: "a/#")
        #expect(await publishing(OutgoingMessage("t", Data(), properties: properties)) == .invalid)
        let all = [OutgoingMessage("good", "x"), OutgoingMessage("+", "x")]
        #expect(await failure { try await client.publish(all: all) }?.code == .invalid)
        #expect(try await client.reader().status().waiting == 0, "all or none")

        for filter in ["", "a#", "a\0b", "+a/b"] {
            #expect(await failure { try await client.subscribe(filter) }?.code == .invalid)
            #expect(await failure { try await client.unsubscribe(filter) }?.code == .invalid)
        }
        for identifier in [0, -1, 268_435_456, Int.max] {
            #expect(await failure { try await client.subscribe("t", identifier: identifier) }?.code == .invalid)
        }
        #expect(await failure { _ = try await client.flush(within: .seconds(-1)) }?.code == .invalid)
        #expect(await failure { _ = try await client.sync(within: .seconds(-1)) }?.code == .invalid)
        #expect(await failure { try await client.pause(within: .seconds(-1)) }?.code == .invalid)
        #expect(await failure { try await client.close(within: .seconds(-1)) }?.code == .invalid)
        #expect(await failure { _ = try await client.consumer("") }?.code == .invalid)
        #expect(await failure { _ = try await client.consumer("c", lag: .skip(messages: -1)) }?.code == .invalid)
        #expect(await failure { _ = try await client.consumer("c", lag: .skip(messages: 0)) }?.code == .invalid)
        #expect(await failure { _ = try await client.consumer("c", lag: .expire(after: .seconds(-1))) }?.code == .invalid)
        let consumer = try await client.consumer()
        for batch in [0, -1, Int.max] {
            let messages = consumer.messages(batch: batch)
            #expect(await failure { for try await _ in messages {} }?.code == .invalid)
            #expect(await failure { try await consumer.consume(batch: batch) { _ in } }?.code == .invalid)
        }
        let other = Position(store: String(repeating: "0", count: 32), sequence: 1)
        #expect(await failure { try await consumer.done(other) }?.code == .invalid)
        #expect(await failure { _ = try await client.consumer("c", start: .at(other)) }?.code == .invalid)
        let beyond = Position(store: client.storeID, sequence: .max)
        #expect(await failure { try await consumer.doneThrough(beyond) }?.code == .invalid)
        let empty = MessageID(store: "", number: 0)
        #expect(await failure { _ = try await client.fate(of: empty) }?.code == .invalid)
        #expect(await failure { _ = try await client.settled(empty) }?.code == .invalid)
        try await client.close()
    }

    @Test func identifiersParseAndSaySo() throws {
        let text = "00112233445566778899aabbccddeeff-18446744073709551615"
        #expect(try MessageID(parsing: text).description == text)
        #expect(try Position(parsing: text).sequence == .max)
        #expect(MessageID(text.uppercased())?.description == text)
        for bad in ["", "-", "x-1", "00112233445566778899aabbccddeeff", text + "0", text + "\0", "-1"] {
            #expect(MessageID(bad) == nil && Position(bad) == nil)
            #expect(throws: HomingError.self) { try MessageID(parsing: bad) }
        }
    }

    @Test func timesAtTheirLimits() {
        #expect(Duration.nanoseconds(-1).milliseconds == -1)
        #expect(Duration.milliseconds(-1_500).milliseconds == -1_500)
        #expect(Duration.microseconds(1_999).milliseconds == 1)
        #expect(Duration.seconds(Int64.max).milliseconds == .max)
        #expect(Duration.seconds(Int64.min).milliseconds == .min)
        #expect(Date(timeIntervalSince1970: .infinity).milliseconds == .max)
        #expect(Date(timeIntervalSince1970: -.infinity).milliseconds == .min)
        #expect(Date(timeIntervalSince1970: .nan).milliseconds == .min)
        #expect(Date(milliseconds: 1_500).timeIntervalSince1970 == 1.5)
    }

    @Test func textsThatAreNotUnicodeBecomeUnicode() async throws {
        // Swift's strings hold no lone surrogates: they are replaced before Homing sees them.
        let text = String(decoding: [0x61, 0xD800, 0x62] as [UInt16], as: UTF16.self)
        let client = try await HomingClient(.init(test: folder.file("store")))
        try await client.publish(OutgoingMessage("t/\(text)", text))
        #expect(try await client.reader().outbox().first?.topic == "t/a\u{FFFD}b")
        try await client.close()
    }

    @Test func errorsAreReadable() async throws {
        let error = try #require(await opening { $0.keepAlive = .seconds(-1) })
        #expect("\(error)" == error.text && error.localizedDescription == error.text)
        #expect(error.text.contains("keep_alive") || error.text.contains("keepAlive"), "\(error)")
        #expect(error.text.contains("negative"), "\(error)")
        #expect("\(error.code)" == "invalid")
        struct Odd: Error {}
        #expect(HomingError(Odd()).code == .internal)
        #expect(HomingError(CancellationError()).code == .cancelled)
    }
}
