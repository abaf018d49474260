// Where a store lives on an Apple system: protected, out of backups, shared with extensions.

#if canImport(Darwin)
    import Foundation

    /// A place for a store's file.
    ///
    /// The folder is made, kept out of backups (a store that comes back from a backup is a copy: see
    /// ``HomingClient/Options/deviceToken``), and on iOS protected until the first unlock after a start, so that a background
    /// task may open the store while the device is locked.
    public enum AppStore {
        /// In the app's own folder, under Application Support.
        public static func `private`(name: String = "homing.db") throws(HomingError) -> URL {
            var folder: URL
            do {
                folder = try FileManager.default.url(
                    for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
            } catch {
                throw unavailable(error)
            }
            #if os(macOS) || targetEnvironment(macCatalyst)
                // Without a sandbox it is the same one for every app.
                let process = ProcessInfo.processInfo.processName
                folder.appendPathComponent(Bundle.main.bundleIdentifier ?? process, isDirectory: true)
            #endif
            return try prepared(folder, name)
        }

        /// In the container of an app group, where the app's extensions reach it: they read it with a `Reader`, leave
        /// messages in a `Mailbox`, and drive it only while the app does not. An app that is suspended with it open is
        /// killed by iOS (0xdead10cc): see ``Lifecycle``.
        public static func shared(group: String, name: String = "homing.db") throws(HomingError) -> URL {
            guard let container = FileManager.default.containerURL(forSecurityApplicationGroupIdentifier: group) else {
                throw HomingError(
                    code: .storeUnavailable,
                    text: "app group \(group): this target may not use it; add it to the target's App Groups capability")
            }
            return try prepared(container, name)
        }

        private static func prepared(_ parent: URL, _ name: String) throws(HomingError) -> URL {
            do {
                var folder = parent.appendingPathComponent("Homing", isDirectory: true)
                var attributes: [FileAttributeKey: Any] = [:]
                #if os(iOS) || os(tvOS) || os(watchOS) || os(visionOS)
                    attributes[.protectionKey] = FileProtectionType.completeUntilFirstUserAuthentication
                #endif
                try FileManager.default.createDirectory(
                    at: folder, withIntermediateDirectories: true, attributes: attributes)
                // A folder that an earlier version made.
                try FileManager.default.setAttributes(attributes, ofItemAtPath: folder.path)
                var values = URLResourceValues()
                values.isExcludedFromBackup = true
                try folder.setResourceValues(values)
                return folder.appendingPathComponent(name)
            } catch {
                throw unavailable(error)
            }
        }

        private static func unavailable(_ error: any Error) -> HomingError {
            HomingError(code: .storeUnavailable, text: "store: \(error.localizedDescription)")
        }
    }
#endif
