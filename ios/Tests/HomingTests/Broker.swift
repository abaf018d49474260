// A real mosquitto on a loopback port, with a folder of its own that a restart finds again.

import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Something that a test needs is missing or failed.
struct Setup: Error, CustomStringConvertible {
    let description: String
}

/// A folder that is gone with the test.
final class Folder: Sendable {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("homing-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    func file(_ name: String) -> URL { url.appendingPathComponent(name) }
}

/// A program of the system, or of one of the folders where package managers put servers.
func program(_ name: String) throws -> URL {
    let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
    for folder in path.split(separator: ":") {
        let file = URL(fileURLWithPath: String(folder)).appendingPathComponent(name)
        if FileManager.default.isExecutableFile(atPath: file.path) { return file }
    }
    throw Setup(description: "\(name) is missing; Debian: apt-get install mosquitto openssl; macOS: brew install mosquitto")
}

/// Starts a broker and waits until it accepts connections; it is killed with the test.
final class Broker: @unchecked Sendable {
    let port: UInt16
    let folder: Folder
    private let scheme: String
    private var process: Process

    var url: URL { URL(string: "\(scheme)://127.0.0.1:\(port)")! }

    init(tls: Certificates? = nil, extra: String = "") throws {
        folder = try Folder()
        scheme = tls == nil ? "mqtt" : "mqtts"
        var lines = extra
        if let tls { lines += "\ncertfile \(tls.certificate.path)\nkeyfile \(tls.key.path)\n" }
        for _ in 0..<20 {
            let port = try freePort()
            try """
            listener \(port) 127.0.0.1
            allow_anonymous true
            persistence true
            persistence_location \(folder.url.path)/
            log_dest file \(folder.file("log").path)
            max_inflight_messages 1000
            max_queued_messages 0
            \(getuid() == 0 ? "user root" : "")
            \(lines)
            """.write(to: folder.file("mosquitto.conf"), atomically: true, encoding: .utf8)
            let process = try Self.start(folder)
            if Self.accepts(port, process, folder) {
                self.port = port
                self.process = process
                return
            }
        }
        throw Setup(description: "mosquitto found none of 20 ports free: \(Self.log(folder))")
    }

    deinit { end() }

    /// At the end of a test, so that it is not let go of before.
    func end() {
        kill(process.processIdentifier, SIGKILL)
    }

    /// In order: sessions and queues are saved.
    func stop() throws {
        process.terminate()
        for _ in 0..<3_000 where process.isRunning { usleep(10_000) }
        if process.isRunning { throw Setup(description: "mosquitto did not stop: \(Self.log(folder))") }
    }

    /// On the same port, with the same data.
    func restart() throws {
        try stop()
        process = try Self.start(folder)
        guard Self.accepts(port, process, folder) else {
            throw Setup(description: "mosquitto did not come back: \(Self.log(folder))")
        }
    }

    private static func start(_ folder: Folder) throws -> Process {
        try? FileManager.default.removeItem(at: folder.file("log"))
        let process = Process()
        process.executableURL = try program("mosquitto")
        process.arguments = ["-c", folder.file("mosquitto.conf").path]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try runUnblocked(process)
        return process
    }

    /// A bound that only a broken machine meets. The log as well: on a busy machine somebody else may have taken the port, and
    /// then what accepts there is not ours.
    private static func accepts(_ port: UInt16, _ process: Process, _ folder: Folder) -> Bool {
        for _ in 0..<3_000 {
            if log(folder).contains(" running"), connects(port) { return true }
            if !process.isRunning { return false }
            usleep(10_000)
        }
        return false
    }

    private static func log(_ folder: Folder) -> String {
        (try? String(contentsOf: folder.file("log"), encoding: .utf8)) ?? "no log"
    }
}

/// A child inherits the signals that its parent's thread blocks, and the threads of Swift's tasks block SIGTERM.
func runUnblocked(_ process: Process) throws {
    var none = sigset_t()
    var before = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    try process.run()
}

private func address(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
}

private func tcp() -> Int32 {
    #if canImport(Glibc)
        socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
        socket(AF_INET, SOCK_STREAM, 0)
    #endif
}

private func connects(_ port: UInt16) -> Bool {
    let socket = tcp()
    defer { close(socket) }
    var address = address(port)
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}

/// A socket that is bound to a free port. Below the range of outgoing connections, so that a broker that is stopped for a
/// moment finds its port free.
private func bound() throws -> (socket: Int32, port: UInt16) {
    for _ in 0..<1_000 {
        let (socket, port) = (tcp(), UInt16.random(in: 20_000..<32_000))
        var address = address(port)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if bound { return (socket, port) }
        close(socket)
    }
    throw Setup(description: "no port of 1,000 is free")
}

func freePort() throws -> UInt16 {
    let (socket, port) = try bound()
    close(socket)
    return port
}

func listening() throws -> (socket: Int32, port: UInt16) {
    let (socket, port) = try bound()
    listen(socket, 16)
    return (socket, port)
}
