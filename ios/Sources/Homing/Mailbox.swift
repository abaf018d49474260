// Leaves messages in a store that another process drives.

import Foundation
internal import HomingGenerated

/// A slot in a store's door, for a widget, an intent or an extension: what is left is on disk when the call returns, and is
/// published when somebody drives the store.
public final class Mailbox: Sendable {
    private let raw: HomingGenerated.Mailbox

    /// Of a store that exists; `key` for an encrypted one.
    public init(store: URL, key: (@Sendable () throws -> Data)? = nil) async throws(HomingError) {
        let path = try path(of: store)
        raw = try await blocking { try .open(store: path, key: key.map(KeyCallback.init)) }
    }

    /// Leaves a message; committed when this returns.
    public func post(_ message: OutgoingMessage) async throws(HomingError) {
        try checkSize(message.size)
        let raw = raw
        try await blocking { try raw.post(message: message.raw) }
    }
}
