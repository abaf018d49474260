// The app comes and goes: its client lets go of the store before the system suspends the process.

#if canImport(UIKit) && os(iOS)
    import UIKit

    /// Pauses a client when the app goes to the background and resumes it when it comes back, for as long as this is kept.
    ///
    /// An app that is suspended while it holds a lock in a shared container is killed (0xdead10cc). Pausing says goodbye to
    /// the broker, closes every file and frees the lock; what the broker has meanwhile it keeps for the session.
    @MainActor
    public final class Lifecycle {
        private let client: HomingClient
        private let deadline: Duration
        private var observers: [any NSObjectProtocol] = []
        private var pausing: UIBackgroundTaskIdentifier = .invalid
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
            finishPausing()
            pausing = UIApplication.shared.beginBackgroundTask(withName: "homing.pause") { [weak self] in
                // Out of time: what is left of it is not worth the app.
                MainActor.assumeIsolated { self?.finishPausing() }
            }
            let (client, deadline, before) = (client, deadline, last)
            last = Task {
                await before?.value
                // One that is closed has let go already.
                try? await client.pause(within: deadline)
                finishPausing()
            }
        }

        private func finishPausing() {
            guard pausing != .invalid else { return }
            UIApplication.shared.endBackgroundTask(pausing)
            pausing = .invalid
        }

        private func resume() {
            let (client, before) = (client, last)
            last = Task {
                await before?.value
                // An extension may be at it for a moment.
                for _ in 0..<50 {
                    do throws(HomingError) {
                        try await client.resume()
                        return
                    } catch {
                        guard error.code == .storeInUse else { return }
                        try? await Task.sleep(for: .milliseconds(200))
                    }
                }
            }
        }
    }
#endif
