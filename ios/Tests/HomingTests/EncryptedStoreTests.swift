// Encrypted stores, with both variants of the native library: ios/test says which one was linked.

import Foundation
import Testing

@testable import Homing

@Suite struct EncryptedStoreTests {
    let folder: Folder

    init() throws {
        folder = try Folder()
    }

    private var store: URL { folder.file("store") }

    private func key(_ byte: UInt8) -> @Sendable () throws -> Data {
        { Data(repeating: byte, count: 32) }
    }

    private func options(_ key: (@Sendable () throws -> Data)?) -> HomingClient.Options {
        var options = HomingClient.Options(test: store)
        options.key = key
        return options
    }

    @Test func aKeyProtectsTheStoreOrIsRefused() async throws {
        if ProcessInfo.processInfo.environment["HOMING_ENCRYPTION"] == "1" { try await protects() } else { try await refused() }
    }

    private func protects() async throws {
        let secret = "nobody reads this on the disk"
        let client = try await HomingClient(options(key(1)))
        let id = try await client.publish(OutgoingMessage("home/light", secret))
        try await client.close()
        for name in ["store", "store-wal"] {
            guard let content = try? Data(contentsOf: folder.file(name)) else { continue }
            #expect(content.range(of: Data(secret.utf8)) == nil && content.range(of: Data("home/light".utf8)) == nil)
        }
        #expect(await failure { _ = try await HomingClient(options(key(2))) }?.code == .wrongKey)
        #expect(await failure { _ = try await HomingClient(options(nil)) }?.code == .wrongKey)
        #expect(await failure { _ = try await Reader(store: store, key: key(2)) }?.code == .wrongKey)
        #expect(await failure { _ = try await HomingClient(options { Data(count: 31) }) } != nil)
        #expect(await failure { _ = try await HomingClient(options { throw CocoaError(.fileReadNoPermission) }) } != nil)
        #expect(try await Reader(store: store, key: key(1)).fate(of: id) == .waiting)
        try await Mailbox(store: store, key: key(1)).post(OutgoingMessage("home/door", "open"))

        let current = Guarded<UInt8>(1)
        let again = try await HomingClient(options { Data(repeating: current.with { $0 }, count: 32) })
        #expect(await failure { try await again.rekey(Data(count: 16)) }?.code == .invalid)
        try await again.rekey(key(3)())
        current.with { $0 = 3 }
        try await again.pause(within: .seconds(1))
        try await again.resume()
        try await until("what lay in the mailbox") { try again.counters.outboxMessages == 2 }
        try await again.close()
        #expect(await failure { _ = try await HomingClient(options(key(1))) }?.code == .wrongKey)
        let last = try await HomingClient(options(key(3)))
        #expect(try last.counters.outboxMessages == 2)
        try await last.close()
    }

    private func refused() async throws {
        let error = await failure { _ = try await HomingClient(options(key(1))) }
        #expect(error?.code == .unsupported && error?.text.contains("encryption") == true)
        #expect(!FileManager.default.fileExists(atPath: store.path))
        let client = try await HomingClient(options(nil))
        #expect(await failure { try await client.rekey(key(1)()) }?.code == .unsupported)
        #expect(await failure { _ = try await Reader(store: store, key: key(1)) }?.code == .unsupported)
        #expect(await failure { _ = try await Mailbox(store: store, key: key(1)) }?.code == .unsupported)
        try await client.close()
    }
}
