import Foundation
import Homing

let client = try await HomingClient(store: store, broker: broker)

let id = try await client.publish("home/door", "open", qos: .exactlyOnce)
let fate = try await client.settled(id)  // delivered, once the broker has acknowledged it
