// The app comes and goes: its client lets go of the store before the system suspends the process.

#if canImport(UIKit) && os(iOS)
    import UIKit

    /// Pauses a client when the app goes to the background and resumes it when it comes back, for as long as this is kept.
    ///
    /// An app that is suspended while it holds a lock in a shared container is killed (0xdead10cc). Pausing says goodbye to
    /// the broker, closes every file and frees the lock; what the broker has meanwhile it keeps for the session.
    @available(iOSApplicationExtension, unavailable)
    @MainActor
    public final class Lifecycle {
        private let client: HomingClient
        private let deadline: Duration
        private var observers: [any NSObjectProtocol] = []
        private var last: Task<Void, Never>?

        /// `deadline`: for the goodbye to the broker; the system gives some seconds.
        public init(_ client: HomingClient, pausingWithin deadline: Duration = .seconds(2)) {
            self.client = client
            self.deadline = deadline
            observe(UIApplication.didEnterBackgroundNotification) { $0.pause() }
            observe(UIApplication.willEnterForegroundNotification) { $0.resume() }
        }

        /// Ends it; the client stays as it is.
        public func end() {
            for observer in observers { NotificationCenter.default.removeObserver(observer) }
            observers = []
            last?.cancel()
        }

        deinit {
            last?.cancel()
        }

        private func observe(_ name: Notification.Name, _ act: @escaping @MainActor @Sendable (Lifecycle) -> Void) {
            observers.append(
                NotificationCenter.default.addObserver(forName: name, object: nil, queue: .main) { [weak self] _ in
                    MainActor.assumeIsolated {
                        if let self { act(self) }
                    }
                })
        }

        private func pause() {
            let time = BackgroundTime()
            time.begin()
            let (client, deadline, before) = (client, deadline, last)
            // A resume that still waits for the store gives way.
            before?.cancel()
            last = Task {
                await before?.value
                // One that is closed has let go already.
                try? await client.pause(within: deadline)
                time.end()
            }
        }

        private func resume() {
            let (client, before) = (client, last)
            before?.cancel()
            last = Task {
                await before?.value
                while !Task.isCancelled {
                    do throws(HomingError) {
                        try await client.resume()
                        return
                    } catch {
                        // An extension may be at it for a moment.
                        guard error.code == .storeInUse else { return }
                        try? await Task.sleep(for: .milliseconds(200))
                    }
                }
            }
        }
    }

    /// The time that the system gives one pause.
    @available(iOSApplicationExtension, unavailable)
    @MainActor
    private final class BackgroundTime {
        private var identifier = UIBackgroundTaskIdentifier.invalid

        func begin() {
            identifier = UIApplication.shared.beginBackgroundTask(withName: "homing.pause") {
                // Out of time: what is left of it is not worth the app.
                MainActor.assumeIsolated { self.end() }
            }
        }

        func end() {
            guard identifier != .invalid else { return }
            UIApplication.shared.endBackgroundTask(identifier)
            identifier = .invalid
        }
    }
#endif
