import Foundation
import Homing

let client = try await HomingClient(store: store, broker: broker)

let chart = try await client.consumer("chart", filters: ["home/+/temperature"])
for try await message in chart.messages {
    try database.insert(message)  // and message.position with it, to have each exactly once
    try await chart.done(message)
}
