// Messages as a sequence: pages of the inbox behind it, never a call a message.

internal import HomingGenerated

/// The messages of a consumer, in order of arrival; see ``Consumer/messages``. It never ends by itself: it throws
/// ``HomingError/Code/cancelled`` when its task is cancelled, and ``HomingError/Code/closed`` when the client is closed.
public struct Messages: AsyncSequence, Sendable {
    public typealias Element = Message
    public typealias Failure = HomingError

    let client: HomingClient
    let settings: HomingGenerated.ConsumerSettings
    let batch: Int

    /// One walk through the messages, from the first that is not done.
    public struct Iterator: AsyncIteratorProtocol {
        public typealias Element = Message
        public typealias Failure = HomingError

        private let sequence: Messages
        private var page: Page?

        init(_ sequence: Messages) {
            self.sequence = sequence
        }

        public mutating func next() async throws(HomingError) -> Message? {
            if page == nil {
                page = try Page(client: sequence.client, settings: sequence.settings, batch: sequence.batch)
            }
            return try await page?.next()
        }
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(self)
    }
}

/// A place of its own in the inbox, and what was read ahead from there.
struct Page {
    private let client: HomingClient
    private let settings: HomingGenerated.ConsumerSettings
    private let batch: UInt32
    private var place: HomingGenerated.Consumer?
    private var messages: [HomingGenerated.ReceivedMessage] = []
    private var given = 0

    init(client: HomingClient, settings: HomingGenerated.ConsumerSettings, batch: Int) throws(HomingError) {
        self.client = client
        self.settings = settings
        self.batch = try narrow("batch", batch, from: 1)
    }

    /// What was read ahead is not given any more once the task is cancelled: it is not done, and comes again.
    mutating func next(isolation: isolated (any Actor)? = #isolation) async throws(HomingError) -> Message {
        if Task.isCancelled { throw HomingError(CancellationError()) }
        if given == messages.count {
            try await read()
        }
        defer { given += 1 }
        return Message(messages[given], store: client.storeID)
    }

    private mutating func read(isolation: isolated (any Actor)? = #isolation) async throws(HomingError) {
        let (client, settings, batch) = (client, settings, batch)
        let open: HomingGenerated.Consumer
        if let place {
            open = place
        } else {
            open = try await call { try await client.raw.consumer(settings: settings) }
            place = open
        }
        messages = try await wait { try await open.next(max: batch, cancel: $0) }
        given = 0
    }
}
