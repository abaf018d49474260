// What a notification extension, a widget or an intent needs of the app's store.

#if canImport(Darwin)
    import Foundation

    /// The app's store, seen from an extension: it reads what is there and leaves messages, and never drives it, so that the
    /// app and its extensions do not meet. Opens the file for each call, and lets go of it again: nothing is held when the
    /// system suspends the extension.
    ///
    ///     let store = ExtensionStore(try AppStore.shared(group: "group.example"))
    ///     content.body = try await store.latest("alarm/#", since: sent)?.text ?? content.body
    public struct ExtensionStore: Sendable {
        private let store: URL
        private let key: (@Sendable () throws -> Data)?

        /// `key`: for an encrypted store, as ``KeychainItem/bytes()`` of a keychain group.
        public init(_ store: URL, key: (@Sendable () throws -> Data)? = nil) {
            self.store = store
            self.key = key
        }

        /// The newest message that matches and was received since then; nil: there is none (yet).
        public func latest(_ filter: String, since: Date? = nil) async throws(HomingError) -> Message? {
            let reader = try await Reader(store: store, key: key)
            var page: Reader.History
            var after: Position?
            repeat {
                // A page may hold nothing although there is a next one.
                page = try await reader.history(filter, since: since, order: .newestFirst, after: after, limit: 1)
                after = page.next
            } while page.messages.isEmpty && after != nil
            return page.messages.first
        }

        /// Last values by topic.
        public func last(_ filter: String, limit: Int = 100) async throws(HomingError) -> [Message] {
            let reader = try await Reader(store: store, key: key)
            var (messages, after): ([Message], String?) = ([], nil)
            repeat {
                let page = try await reader.last(filter, after: after, limit: limit - messages.count)
                messages += page.values.map(\.message)
                after = page.next
            } while messages.count < limit && after != nil
            return messages
        }

        /// Leaves a message for the app; committed when this returns, and sent as soon as the app drives the store.
        public func post(_ message: OutgoingMessage) async throws(HomingError) {
            try await Mailbox(store: store, key: key).post(message)
        }

        /// What the app wrote for widgets, without opening the store.
        public func glance() throws(HomingError) -> GlanceFile {
            try GlanceFile(store: store)
        }
    }
#endif
