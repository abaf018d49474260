import Foundation
import Homing

let client = try await HomingClient(store: store, broker: broker)
