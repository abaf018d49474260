// The README's first example is what its test runs.

import Foundation
import Testing

@testable import Homing

@Suite struct ReadmeTests {
    @Test func theFirstExampleRuns() async throws {
        let (broker, folder) = (try Broker(), try Folder())
        defer { broker.end() }
        let shown = Guarded<[String]>([])
        let task = Task {
            try await watchHome(store: folder.file("store"), broker: broker.url) { topic, text in
                shown.with { $0.append("\(topic) \(text)") }
            }
        }
        try await until("the message") { shown.with { $0 } == ["home/door open"] }
        task.cancel()
        #expect(await failure { try await bounded { try await task.value } }?.code == .cancelled)
    }

    @Test func theFirstExampleIsTheReadmes() throws {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let readme = try String(
            contentsOf: here.appendingPathComponent("../../README.md").standardized, encoding: .utf8)
        let source = try String(contentsOf: here.appendingPathComponent("FirstExample.swift"), encoding: .utf8)
        let example = try #require(readme.components(separatedBy: "```swift\n").dropFirst().first)
            .components(separatedBy: "```")[0]
        let ours = source.components(separatedBy: "// begin\n")[1].components(separatedBy: "// end\n")[0]
        #expect(example == ours)
        #expect(example.split(separator: "\n").count <= 15)
    }
}
