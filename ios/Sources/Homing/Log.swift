// The log of every client in the process.

internal import HomingGenerated

/// The log of every client in the process. It never holds payloads, credentials or tokens (P12).
public enum Log {
    /// How much is told; each level holds those before it.
    public enum Level: Hashable, Sendable, CaseIterable {
        /// Errors.
        case error
        /// And warnings.
        case warning
        /// And what happens to the connection.
        case info
        /// And decisions.
        case debug
        /// And packets, never their payloads.
        case trace
    }

    /// Hands the log to the app, from now on. A process has one log: a second call throws ``HomingError/Code/invalid``.
    ///
    /// `sink` is called on a thread of its own: one that blocks loses lines, and holds up nothing else.
    public static func send(
        _ level: Level = .info, to sink: @escaping @Sendable (_ level: Level, _ target: String, _ text: String) -> Void
    ) throws(HomingError) {
        try call { try HomingGenerated.setLog(level: level.raw, sink: Sink(sink)) }
    }
}

private final class Sink: HomingGenerated.LogSink {
    private let sink: @Sendable (Log.Level, String, String) -> Void

    init(_ sink: @escaping @Sendable (Log.Level, String, String) -> Void) {
        self.sink = sink
    }

    func log(level: HomingGenerated.LogLevel, target: String, text: String) throws {
        sink(Log.Level(level), target, text)
    }
}

extension Log.Level {
    fileprivate var raw: HomingGenerated.LogLevel {
        switch self {
        case .error: .error
        case .warning: .warn
        case .info: .info
        case .debug: .debug
        case .trace: .trace
        }
    }

    fileprivate init(_ raw: HomingGenerated.LogLevel) {
        self =
            switch raw {
            case .error: .error
            case .warn: .warning
            case .info: .info
            case .debug: .debug
            case .trace: .trace
            }
    }
}
