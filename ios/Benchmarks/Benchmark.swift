// How many messages of 1 KiB cross the boundary in batches, each way, and what memory they leave behind.
//
// HomingBenchmark [COUNT] [BATCH]
// crossing   publish(all:) on a client that is closed: everything is carried to Rust and translated there, and then refused.
// out        publish(all:) on a store without a broker: crossing, and a commit a batch.
// in         a consumer's messages out of an inbox that was filled before, read to the end in pages of BATCH.
// consumed   the same by consume, which marks them done as well.

import Foundation
import Homing

@main
struct Benchmark {
    let count: Int
    let batch: Int
    let folder: URL
    let payload = Data((0..<1_024).map { UInt8(truncatingIfNeeded: $0) })

    static func main() async throws {
        let numbers = CommandLine.arguments.dropFirst().map { Int($0) ?? 0 }
        let benchmark = Benchmark(
            count: numbers.first ?? 200_000, batch: numbers.dropFirst().first ?? 500,
            folder: FileManager.default.temporaryDirectory.appendingPathComponent("homing-benchmark-\(UUID().uuidString)"))
        defer { try? FileManager.default.removeItem(at: benchmark.folder) }
        try FileManager.default.createDirectory(at: benchmark.folder, withIntermediateDirectories: true)
        print("\(benchmark.count) messages of 1 KiB, in batches of \(benchmark.batch); resident memory at a tenth and at the end")
        try await benchmark.crossing()
        try await benchmark.out()
        try await benchmark.incoming()
    }

    private func options(_ name: String, broker: URL? = nil) -> HomingClient.Options {
        var options = HomingClient.Options(store: folder.appendingPathComponent(name), broker: broker)
        options.outboxLimit = .init(messages: 1 << 30, bytes: 1 << 40)
        options.inboxLimit = .init(messages: 1 << 30, bytes: 1 << 40)
        return options
    }

    private var outgoing: [OutgoingMessage] {
        (0..<batch).map { OutgoingMessage("benchmark/\($0 % 10)", payload) }
    }

    private func crossing() async throws {
        let client = try await HomingClient(options("closed"))
        try await client.close()
        var meter = Meter("crossing", count)
        for _ in 0..<count / batch {
            do throws(HomingError) {
                try await client.publish(all: outgoing)
            } catch {
                if error.code != .closed { throw error }
            }
            meter.add(batch)
        }
        meter.end()
    }

    private func out() async throws {
        let client = try await HomingClient(options("out"))
        var meter = Meter("out", count)
        for _ in 0..<count / batch {
            try await client.publish(all: outgoing)
            meter.add(batch)
        }
        meter.end()
        try await client.close()
    }

    private func incoming() async throws {
        let (mosquitto, broker) = try startBroker()
        // Not terminate(): a child may have inherited a mask that blocks it.
        defer { kill(mosquitto.processIdentifier, SIGKILL) }
        let client = try await HomingClient(options("in", broker: broker))
        let events = try client.events()
        try await client.subscribe("benchmark/#", qos: .atLeastOnce)
        for await event in events {
            if case .subscribed = event { break }
        }
        let total = count / batch * batch
        for _ in 0..<count / batch {
            try await client.publish(all: outgoing)
            // The broker's queue stays short: what it holds back it keeps in memory.
            while try client.counters.outboxMessages > 20_000 { try await Task.sleep(for: .milliseconds(5)) }
        }
        while try client.counters.received < total { try await Task.sleep(for: .milliseconds(20)) }
        try await client.disconnect()

        let consumer = try await client.consumer()
        var meter = Meter("in", total)
        for try await message in consumer.messages(batch: batch) {
            guard message.payload.count == 1_024 else { fatalError("a payload of \(message.payload.count) bytes") }
            meter.add(1)
            if meter.isDone { break }
        }
        meter.end()

        struct Enough: Error {}
        meter = Meter("consumed", total)
        do {
            try await consumer.consume(batch: batch) { _ in
                meter.add(1)
                if meter.isDone { throw Enough() }
            }
        } catch is Enough {}
        meter.end()
        try await client.close()
    }

    /// A real one, that drops nothing.
    private func startBroker() throws -> (Process, URL) {
        let port = UInt16.random(in: 20_000..<32_000)
        let configuration = folder.appendingPathComponent("mosquitto.conf")
        try """
        listener \(port) 127.0.0.1
        allow_anonymous true
        max_queued_messages 0
        max_inflight_messages 1000
        """.write(to: configuration, atomically: true, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["mosquitto", "-c", configuration.path]
        process.standardError = FileHandle.nullDevice
        try process.run()
        return (process, URL(string: "mqtt://127.0.0.1:\(port)")!)
    }
}

/// Counts, and tells the rate and the memory.
private struct Meter {
    private let name: String
    private let total: Int
    private let begun = ContinuousClock.now
    private var counted = 0
    private var early = 0

    init(_ name: String, _ total: Int) {
        self.name = name
        self.total = total
    }

    var isDone: Bool { counted >= total }

    mutating func add(_ count: Int) {
        counted += count
        if early == 0, counted >= total / 10 { early = resident() }
    }

    func end() {
        let time = begun.duration(to: .now) / .seconds(1)
        let rate = Int(Double(counted) / time)
        print("\(name): \(rate)/s, \(early) KiB, \(resident()) KiB")
    }

    /// In KiB; 0 where the system tells it otherwise.
    private func resident() -> Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }
}
