// The first example of the README, word for word.

// begin
import Foundation
import Homing

func watchHome(store: URL, broker: URL, show: (String, String) -> Void) async throws {
    let client = try await HomingClient(store: store, broker: broker)
    try await client.subscribe("home/+")
    try await client.publish("home/door", "open")
    try await client.consume { message in  // done once this returns; after a kill it comes again
        show(message.topic, message.text ?? "")
    }
}
// end
