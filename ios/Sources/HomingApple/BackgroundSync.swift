// A catch-up now and then while the app is in the background.

#if canImport(BackgroundTasks) && os(iOS)
    import BackgroundTasks
    import Foundation
    import UIKit

    /// Catches up in a background task of the system's: register it before the app has finished launching, schedule it when
    /// the app goes to the background, and name the identifier under `BGTaskSchedulerPermittedIdentifiers` in Info.plist.
    ///
    /// The system decides when, and gives about 30 s; being killed in it loses nothing. Unless the app has come to the
    /// foreground meanwhile, the client is paused afterwards: see ``Lifecycle``, which resumes it.
    @available(iOSApplicationExtension, unavailable)
    public struct BackgroundSync: Sendable {
        private let identifier: String
        private let pause: Duration
        private let limit: Duration

        /// - Parameters:
        ///   - identifier: As in Info.plist.
        ///   - pause: Not sooner than this after it was scheduled.
        ///   - limit: For the catch-up; less than the system gives.
        public init(identifier: String, every pause: Duration = .seconds(15 * 60), within limit: Duration = .seconds(20)) {
            self.identifier = identifier
            self.pause = pause
            self.limit = limit
        }

        /// Registers the task; `client` answers with the app's client, or opens one. False: the identifier is not in
        /// Info.plist, or was registered before.
        @discardableResult
        public func register(client: @escaping @Sendable () async throws -> HomingClient) -> Bool {
            let (identifier, limit) = (identifier, limit)
            return BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil) { task in
                // First: whatever happens to this one, there is a next one.
                try? schedule()
                // The scheduler gives the task away, and calls may come from any thread.
                nonisolated(unsafe) let task = task
                let work = Task {
                    let drained = try? await Self.catchUp(client(), within: limit)
                    task.setTaskCompleted(success: drained ?? false)
                }
                task.expirationHandler = { work.cancel() }
            }
        }

        private static func catchUp(_ client: HomingClient, within limit: Duration) async -> Bool {
            var drained = false
            do {
                // Nothing to one that is not paused.
                try await client.resume()
                drained = try await client.sync(within: limit).isDrained
            } catch {
                // Out of time, or an extension drives the store: there is a next one.
            }
            // Whatever came of it: an app that is suspended with the store open is killed. A cancelled task does not cut it.
            if await UIApplication.shared.applicationState == .background {
                try? await client.pause(within: .seconds(1))
                // Somebody who has come back meanwhile found nothing to resume.
                if await UIApplication.shared.applicationState != .background { _ = try? await client.resume() }
            }
            return drained
        }

        /// Asks the system for the next one.
        public func schedule() throws {
            let request = BGAppRefreshTaskRequest(identifier: identifier)
            request.earliestBeginDate = Date(timeIntervalSinceNow: pause / .seconds(1))
            try BGTaskScheduler.shared.submit(request)
        }
    }
#endif
