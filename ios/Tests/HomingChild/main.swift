// A whole process for the tests to kill: HomingChild publish|done|consume STORE BROKER. It tells what it has done, a line each,
// and only after the call that promises it has returned.

import Foundation
import Homing

func say(_ line: String) {
    FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}

let arguments = CommandLine.arguments
guard arguments.count == 4, let broker = URL(string: arguments[3]) else {
    fatalError("usage: HomingChild publish|done|consume STORE BROKER")
}
let client = try await HomingClient(store: URL(fileURLWithPath: arguments[2]), broker: broker)
switch arguments[1] {
case "publish":
    for number in 0..<1_000_000 {
        say("\(try await client.publish("kill/\(number % 7)", "\(number)", qos: .exactlyOnce))")
    }
case "done":
    let consumer = try await client.consumer()
    for try await message in consumer.messages {
        try await consumer.done(message)
        say("\(message.position)")
    }
case "consume":
    try await client.consume { message in say("\(message.position)") }
default:
    fatalError("\(arguments[1]) is unknown")
}
