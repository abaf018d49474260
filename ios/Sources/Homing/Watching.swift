// States and events as sequences.

internal import HomingGenerated

/// The state of the connection: as it is, then each change; see ``HomingClient/states``. It ends when the client is closed or
/// let go of, and when its task is cancelled. Slow ones miss states, never the newest.
public struct States: AsyncSequence, Sendable {
    public typealias Element = HomingClient.State
    public typealias Failure = Never

    /// Does not keep the client; nil: it has failed.
    let stream: HomingGenerated.StateStream?

    /// One listener.
    public struct Iterator: AsyncIteratorProtocol {
        public typealias Element = HomingClient.State
        public typealias Failure = Never

        let stream: HomingGenerated.StateStream?

        public mutating func next() async -> HomingClient.State? {
            guard let stream else { return nil }
            // What can be thrown here is that the task was cancelled, or the client is gone: the end.
            let state = try? await wait { try await stream.next(cancel: $0) }
            return state.flatMap { $0 }.map(HomingClient.State.init)
        }
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(stream: try? stream?.again())
    }
}

/// What happens, from the call of ``HomingClient/events()`` on. It ends when the client is closed or let go of, and when its
/// task is cancelled. Several loops over one of these share its events; take one each.
public struct Events: AsyncSequence, Sendable {
    public typealias Element = Event
    public typealias Failure = Never

    let stream: HomingGenerated.EventStream
    let store: String

    /// One listener.
    public struct Iterator: AsyncIteratorProtocol {
        public typealias Element = Event
        public typealias Failure = Never

        let stream: HomingGenerated.EventStream
        let store: String
        var read: ArraySlice<HomingGenerated.Event> = []

        public mutating func next() async -> Event? {
            if Task.isCancelled { return nil }
            if read.isEmpty {
                let stream = stream
                // What can be thrown here is that the task was cancelled: the end.
                read = (try? await wait { try await stream.next(cancel: $0) }).map { $0[...] } ?? []
            }
            return read.popFirst().map { Event($0, store: store) }
        }
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(stream: stream, store: store)
    }
}
