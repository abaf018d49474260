import Foundation
import Homing
func say(_ x: Any) { FileHandle.standardError.write(Data("\(x)\n".utf8)) }
let dir = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
let client = try await HomingClient(store: dir, broker: URL(string: "mqtt://127.0.0.1:\(CommandLine.arguments[1])"))
say(client.storeID)
try await client.subscribe("home/+", qos: .exactlyOnce)
say("subscribed")
for await s in client.states { say(s); if s.isOnline { break } }
let id = try await client.publish("home/door", "open", qos: .exactlyOnce)
say(id)
say(try await client.settled(id))
let consumer = try await client.consumer()
for try await m in consumer.messages { say(m); break }
try await client.close()
say("closed")
