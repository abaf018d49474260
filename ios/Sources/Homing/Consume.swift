// Messages given to a closure, and marked done behind it.

internal import HomingGenerated

extension Consumer {
    /// Gives each message to `body`, in order, and marks it done after `body` has returned: what a kill or an error
    /// interrupts comes again. Marks are bundled: a commit takes all that have become done since the last one.
    ///
    /// Ends only by an error: what `body` throws, ``HomingError/Code/cancelled`` once the task is cancelled,
    /// ``HomingError/Code/closed`` once the client is, and, behind the next message, what a mark threw. In each case everything
    /// that `body` has returned from is marked first, as far as the store still takes it. A pause does not end it: what `body`
    /// returns from meanwhile is marked with what comes after ``HomingClient/resume()``.
    public func consume(
        batch: Int = 100, isolation: isolated (any Actor)? = #isolation, _ body: (Message) async throws -> Void
    ) async throws {
        let marks = Marks(consumer: self)
        do {
            var page = try Page(client: client, settings: settings, batch: batch)
            while true {
                let message = try await page.next()
                try await body(message)
                marks.done(message.position.sequence)
                try marks.check()
            }
        } catch {
            await marks.settle()
            throw error
        }
    }
}

/// What has become done and is not marked yet; one commit is under way at a time.
private final class Marks: Sendable {
    private struct State {
        var newest: UInt64?
        var marking: Task<Void, Never>?
        var failed: HomingError?
    }

    private let consumer: Consumer
    private let state = Guarded(State())

    init(consumer: Consumer) {
        self.consumer = consumer
    }

    func done(_ sequence: UInt64) {
        state.with { state in
            state.newest = sequence
            if state.marking == nil {
                state.marking = Task { await mark() }
            }
        }
    }

    func check() throws(HomingError) {
        if let failed = state.with({ $0.failed }) { throw failed }
    }

    func settle() async {
        await state.with { $0.marking }?.value
        // What a pause, or a store that failed, kept from being marked.
        guard let left = state.with({ $0.newest.take() }) else { return }
        try? await consumer.doneThrough(sequence: left)
    }

    private func mark() async {
        while let sequence = next() {
            do {
                try await consumer.doneThrough(sequence: sequence)
            } catch {
                // Kept for the next mark, or the last one.
                state.with { state in
                    state.newest = state.newest ?? sequence
                    state.marking = nil
                    if error.code != .paused { state.failed = error }
                }
                return
            }
        }
    }

    private func next() -> UInt64? {
        state.with { state in
            let newest = state.newest.take()
            if newest == nil { state.marking = nil }
            return newest
        }
    }
}
