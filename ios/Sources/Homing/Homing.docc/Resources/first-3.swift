import Foundation
import Homing

let client = try await HomingClient(store: store, broker: broker)

try await client.subscribe("home/+/temperature")
try await client.consume { message in
    show(message.topic, message.text ?? "")
}
