// Certificates for TLS on loopback, and a listener that says nothing.

import Foundation

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// An authority and a certificate of its for 127.0.0.1, made by openssl (3 or newer).
final class Certificates: Sendable {
    private let folder: Folder
    var authority: URL { folder.file("authority.pem") }
    var certificate: URL { folder.file("certificate.pem") }
    var key: URL { folder.file("key.pem") }

    init() throws {
        folder = try Folder()
        let authorityKey = folder.file("authority-key.pem").path
        let common = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
        try Self.openssl(
            common + [
                "-subj", "/CN=Homing test authority", "-addext", "keyUsage=critical,keyCertSign", "-keyout", authorityKey,
                "-out", authority.path,
            ])
        try Self.openssl(
            common + [
                "-subj", "/CN=Homing test", "-addext", "basicConstraints=critical,CA:FALSE", "-addext",
                "subjectAltName=IP:127.0.0.1", "-CA", authority.path, "-CAkey", authorityKey, "-keyout", key.path, "-out",
                certificate.path,
            ])
    }

    private static func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = try program("openssl")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try runUnblocked(process)
        while process.isRunning { usleep(1_000) }
        guard process.terminationStatus == 0 else {
            throw Setup(description: "openssl \(arguments) ended with \(process.terminationStatus)")
        }
    }
}

/// Accepts connections, as the system's queue does, and never answers.
final class Silence: Sendable {
    private let socket: Int32
    let url: URL

    init() throws {
        let (socket, port) = try listening()
        self.socket = socket
        url = URL(string: "mqtt://127.0.0.1:\(port)")!
    }

    /// At the end of a test, so that it is not let go of before.
    func end() { close(socket) }
}
