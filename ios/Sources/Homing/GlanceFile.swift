// The file that a client writes for widgets, read without opening the store.

import Foundation

/// What a client wrote for widgets: see ``HomingClient/Options/glance``. It is read without the store, and without the native
/// library at work: good for a widget or an extension that only shows something.
public struct GlanceFile: Hashable, Sendable {
    /// The last value of a topic.
    public struct Value: Hashable, Sendable {
        /// The topic.
        public let topic: String
        /// The payload.
        public let payload: Data
        /// When the broker last said so.
        public let date: Date

        /// The payload as UTF-8; nil: it is something else.
        public var text: String? { String(data: payload, encoding: .utf8) }
    }

    /// The connection when the file was written.
    public enum Connection: String, Hashable, Sendable, Decodable {
        case connecting, connected, waiting, disconnected
    }

    /// When the file was written: at most once a second while the client runs; after a kill the last one stays.
    public let date: Date
    /// The connection at that time.
    public let connection: Connection
    /// The newest messages of the alerts' topics whose payload is not empty, newest first.
    public let alerts: [Value]
    /// Last values, newest first.
    public let last: [Value]
    /// Values that had no room.
    public let omitted: Int

    /// Reads the file beside a store. Throws ``HomingError/Code/storeUnavailable`` if there is none yet, or none that can be
    /// read.
    public init(store: URL) throws(HomingError) {
        let path = try path(of: store) + "-glance"
        do {
            let file = try JSONDecoder().decode(File.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
            date = Date(milliseconds: file.at)
            connection = file.connection
            alerts = file.alerts.map(Value.init)
            last = file.last.map(Value.init)
            omitted = file.omitted
        } catch is DecodingError {
            throw HomingError(code: .storeUnavailable, text: "glance: \(path) is not what Homing writes")
        } catch {
            throw HomingError(code: .storeUnavailable, text: "glance: \(error.localizedDescription)")
        }
    }

    fileprivate struct File: Decodable {
        struct Value: Decodable {
            let topic: String
            let payload_base64: Data
            let at: Int64
        }

        let at: Int64
        let connection: Connection
        let alerts: [Value]
        let last: [Value]
        let omitted: Int
    }
}

extension GlanceFile.Value {
    fileprivate init(_ raw: GlanceFile.File.Value) {
        topic = raw.topic
        payload = raw.payload_base64
        date = Date(milliseconds: raw.at)
    }
}

extension GlanceFile.Value: CustomStringConvertible, CustomReflectable {
    /// Without the payload (P12).
    public var description: String { "Value(\(topic), \(payload.count) bytes)" }
    public var customMirror: Mirror { Mirror(self, children: ["topic": topic, "bytes": payload.count]) }
}
