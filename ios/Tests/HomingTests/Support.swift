// What the tests share: clients on stores of their own, and waits with a bound.

import Foundation
import Testing

@testable import Homing

/// Far above what is normal: it only bounds a test that hangs.
let patience = Duration.seconds(60)

/// What `body` answers, or an error when it takes too long.
func bounded<T: Sendable>(
    _ what: String = "the wait", within limit: Duration = patience, _ body: @escaping @Sendable () async throws -> T
) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { group in
        group.addTask(operation: body)
        group.addTask {
            try await Task.sleep(for: limit)
            throw Setup(description: "\(what) took over \(limit)")
        }
        defer { group.cancelAll() }
        return try await group.next()!
    }
}

/// Waits until `condition` holds.
func until(_ what: String, _ condition: @escaping @Sendable () async throws -> Bool) async throws {
    try await bounded(what) {
        while try await !condition() { try await Task.sleep(for: .milliseconds(10)) }
    }
}

/// Runs `body`, and returns the error that it throws.
func failure(
    _ comment: Comment? = nil, location: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async -> HomingError? {
    do {
        try await body()
        Issue.record(comment ?? "no error was thrown", sourceLocation: location)
    } catch let error as HomingError {
        return error
    } catch {
        Issue.record(error, comment, sourceLocation: location)
    }
    return nil
}

extension HomingClient {
    /// Waits until the broker is connected.
    func online() async throws {
        try await bounded("connecting") { [self] in
            for await state in states where state.isOnline { return }
            throw Setup(description: "the states ended before the client was online")
        }
    }
}

extension HomingClient.Options {
    /// Attempts in quick succession: a test does not wait for a phone's battery.
    init(test store: URL, broker: URL? = nil) {
        self.init(store: store, broker: broker)
        minimumRetry = .milliseconds(50)
        maximumRetry = .milliseconds(200)
    }
}
