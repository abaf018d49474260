// The key of an encrypted store, and the token that names an installation: 32 random bytes in the keychain.

#if canImport(Security)
    import Foundation
    import Security

    /// 32 random bytes that are made once and stay in this device's keychain: never in a backup, never on another device,
    /// readable after the first unlock.
    ///
    ///     options.key = KeychainItem("store-key", group: "group.example").bytes
    ///     options.deviceToken = try KeychainItem("device-token").bytes()
    public struct KeychainItem: Sendable {
        private let service: String
        private let name: String
        private let group: String?

        /// `group`: a keychain access group, for an app and its extensions.
        public init(_ name: String, service: String = "io.github.homing-mqtt", group: String? = nil) {
            self.name = name
            self.service = service
            self.group = group
        }

        /// The bytes; made at the first call.
        @Sendable public func bytes() throws -> Data {
            if let found = try read() { return found }
            var made = Data(count: 32)
            let status = made.withUnsafeMutableBytes { buffer in
                buffer.baseAddress.map { SecRandomCopyBytes(kSecRandomDefault, buffer.count, $0) } ?? errSecAllocate
            }
            guard status == errSecSuccess else { throw failed("no random bytes", status) }
            var item = query
            item[kSecValueData] = made
            item[kSecAttrAccessible] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
            switch SecItemAdd(item as CFDictionary, nil) {
            case errSecSuccess: return made
            case errSecDuplicateItem:
                // Another process of the group was quicker: its bytes count.
                guard let found = try read() else { throw failed("cannot be read", errSecItemNotFound) }
                return found
            case let status: throw failed("cannot be kept", status)
            }
        }

        /// Removes the bytes: what is encrypted with them cannot be read any more.
        public func remove() throws(HomingError) {
            let status = SecItemDelete(query as CFDictionary)
            guard status == errSecSuccess || status == errSecItemNotFound else { throw failed("cannot be removed", status) }
        }

        private var query: [CFString: Any] {
            var query: [CFString: Any] = [
                kSecClass: kSecClassGenericPassword, kSecAttrService: service, kSecAttrAccount: name,
                kSecUseDataProtectionKeychain: true,
            ]
            if let group { query[kSecAttrAccessGroup] = group }
            return query
        }

        private func read() throws(HomingError) -> Data? {
            var query = query
            query[kSecReturnData] = true
            query[kSecMatchLimit] = kSecMatchLimitOne
            var found: CFTypeRef?
            switch SecItemCopyMatching(query as CFDictionary, &found) {
            case errSecSuccess: return found as? Data
            case errSecItemNotFound: return nil
            case let status: throw failed("cannot be read", status)
            }
        }

        private func failed(_ what: String, _ status: OSStatus) -> HomingError {
            let words = SecCopyErrorMessageString(status, nil).map { $0 as String } ?? "status \(status)"
            return HomingError(code: .storeUnavailable, text: "keychain item \(name) \(what): \(words)")
        }
    }
#endif
