// How calls reach Rust: their errors, their cancellation, and threads that may block.

import Dispatch
internal import HomingGenerated

/// A call that answers at once, or after a commit.
func call<T: Sendable>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> T
) async throws(HomingError) -> T {
    do {
        return try await body()
    } catch {
        throw HomingError(error)
    }
}

/// The same without a wait.
func call<T>(_ body: () throws -> T) throws(HomingError) -> T {
    do {
        return try body()
    } catch {
        throw HomingError(error)
    }
}

/// A wait without a bound of its own: a cancelled task of Swift does not reach Rust, so the canceller carries the word.
func wait<T: Sendable>(
    isolation: isolated (any Actor)? = #isolation, _ body: (HomingGenerated.Canceller) async throws -> T
) async throws(HomingError) -> T {
    let canceller = HomingGenerated.Canceller()
    do {
        return try await withTaskCancellationHandler {
            try await body(canceller)
        } onCancel: {
            canceller.cancel()
        }
    } catch {
        throw HomingError(error)
    }
}

/// Where calls go that read or write files in place: the threads of Swift's tasks are few, and must not block.
private let files = DispatchQueue(label: "homing.files", attributes: .concurrent)

func blocking<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws(HomingError) -> T {
    do {
        return try await withCheckedThrowingContinuation { continuation in
            files.async { continuation.resume(with: Result(catching: work)) }
        }
    } catch {
        throw HomingError(error)
    }
}
