package io.github.homingmqtt

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.runBlocking
import java.nio.file.Path

/** The process that is killed: publishes, and consumes what it has published, telling both. */
fun main(arguments: Array<String>): Unit =
    runBlocking(Dispatchers.Default) {
        val (store, url) = arguments
        Homing.open(Path.of(store), url).use { home ->
            home.subscribe("home/#", QoS.ExactlyOnce)
            for (id in home.publishAll(
                (1..1_000).map { Publish("home/light", "$it", QoS.ExactlyOnce) },
            )) {
                println("accepted $id")
            }
            val consumer = home.consumer()
            consumer.messages().collect { message ->
                consumer.done(message)
                println("done ${message.text}")
            }
        }
    }
