// Connection, background, suspension and end of a client.

import Foundation
internal import HomingGenerated

/// What a catch-up did.
public struct SyncReport: Hashable, Sendable {
    /// Messages that came to their end at the broker.
    public let sent: Int
    /// Messages that were stored.
    public let received: Int
    /// Messages that still wait.
    public let waiting: Int
    /// Nothing was left to do.
    public let isDrained: Bool
    /// The broker was reached.
    public let wasConnected: Bool
    /// What was in the way.
    public let trouble: Trouble?

    init(_ raw: HomingGenerated.SyncSummary) {
        sent = Int(clamping: raw.sent)
        received = Int(clamping: raw.received)
        waiting = Int(clamping: raw.waiting)
        isDrained = raw.drained
        wasConnected = raw.connected
        trouble = raw.trouble.map(Trouble.init)
    }
}

/// What the platform says of the network.
public enum Network: Hashable, Sendable {
    /// There is none: no attempts are made.
    case offline
    /// There is one; another `id` is another network, and the link is tried anew.
    case online(id: String? = nil)
}

extension HomingClient {
    /// Opens a client for the time of `body`, and closes it whatever happens.
    public static func with<T: Sendable>(
        _ options: Options, isolation: isolated (any Actor)? = #isolation, _ body: (HomingClient) async throws -> T
    ) async throws -> T {
        let client = try await HomingClient(options)
        let result: T
        do {
            result = try await body(client)
        } catch {
            // What `body` threw is what the app wants to know.
            try? await client.close()
            throw error
        }
        try await client.close()
        return result
    }

    /// Wanted: connected. A client is opened so, unless ``Options/connects`` is false.
    public func connect() async throws(HomingError) {
        try await call { try await raw.connect() }
    }

    /// Wanted: not connected. The session is kept; `withWill`: the broker publishes the will.
    public func disconnect(withWill: Bool = false) async throws(HomingError) {
        try await call { try await raw.disconnect(withWill: withWill) }
    }

    /// The credentials provider has others now: they are asked for, and used on the link that stands if the broker can.
    public func credentialsChanged() async throws(HomingError) {
        try await call { try await raw.credentialsChanged() }
    }

    /// One bounded catch-up, as in the background: connects, sends what waits, receives what the broker has, and disconnects
    /// unless the app wanted to be connected before. The deadline holds for everything; being killed loses nothing. That the
    /// broker was not reached is no error: see ``SyncReport/wasConnected``.
    public func sync(within deadline: Duration) async throws(HomingError) -> SyncReport {
        SyncReport(try await wait { try await raw.sync(deadlineMs: deadline.milliseconds, cancel: $0) })
    }

    /// Lets go of every file, lock and socket, as iOS wants it of an app that is suspended. Until ``resume()`` calls throw
    /// ``HomingError/Code/paused``, those that begin to read messages as well; those that read already wait on. Pausing twice
    /// is one pause.
    public func pause(within deadline: Duration = .seconds(2)) async throws(HomingError) {
        try await call { try await raw.pause(deadlineMs: deadline.milliseconds) }
    }

    /// Takes the store again after ``pause(within:)``; true: somebody else drove it meanwhile.
    @discardableResult
    public func resume() async throws(HomingError) -> Bool {
        try await call { try await raw.resume() }
    }

    /// Tells what the platform says of the network; only the newest counts.
    public func networkChanged(_ network: Network) throws(HomingError) {
        try call {
            switch network {
            case .offline: try raw.networkChanged(online: false, id: nil)
            case .online(let id): try raw.networkChanged(online: true, id: id)
            }
        }
    }

    /// Whether the store is a copy whose outbox waits for the app's word: see ``releaseOutbox()``, ``discardOutbox()``.
    public var isOutboxHeld: Bool {
        get async throws(HomingError) {
            try await call { try await raw.held() }
        }
    }

    /// Encrypts the store under another key of 32 bytes: every page is written anew, in one transaction.
    ///
    /// ``Options/key`` has to give the new one from the moment this returns; readers opened before have to be opened again.
    /// Keep the old key until then: after a kill in between, the store is whole under one of the two.
    /// ``HomingError/Code/invalid`` for a store that is not encrypted.
    public func rekey(_ key: Data) async throws(HomingError) {
        try await call { try await raw.rekey(key: key) }
    }

    /// The outbox of a copy is to be sent; false: none was held.
    @discardableResult
    public func releaseOutbox() async throws(HomingError) -> Bool {
        try await call { try await raw.releaseOutbox() }
    }

    /// The outbox of a copy is not to be sent; false: none was held.
    @discardableResult
    public func discardOutbox() async throws(HomingError) -> Bool {
        try await call { try await raw.discardOutbox() }
    }

    /// Says goodbye to the broker and frees the store; what waits stays in it. Calls after it, and waits under way, throw
    /// ``HomingError/Code/closed``; ``state``, ``counters`` and ``reader()`` still answer. Closing twice is no error.
    public func close(within deadline: Duration = .seconds(5)) async throws(HomingError) {
        do throws(HomingError) {
            try await call { try await raw.shutDown(deadlineMs: deadline.milliseconds) }
        } catch {
            if error.code != .closed { throw error }
        }
    }
}
