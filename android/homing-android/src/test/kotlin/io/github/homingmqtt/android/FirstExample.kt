// The first example of README.md, word for word; FirstExampleTest runs it and compares.

package io.github.homingmqtt.android

import android.app.Application
import io.github.homingmqtt.Homing
import io.github.homingmqtt.Options
import kotlin.time.Duration.Companion.hours

internal var broker = "mqtts://broker.example"

class App :
    Application(),
    HomingOwner {
    override val homing =
        SharedHoming(begin = { it.followNetwork(this) }) {
            val options = HomingFiles(this).run { Options(store, broker, deviceToken = deviceToken(), connect = false) }
            Homing.open(options)
        }

    override fun onCreate() {
        super.onCreate()
        homing.followLifecycle(this) // connected while somebody looks on
        SyncJobs.every(this, 1.hours) // and now and then while nobody does
    }
}
