// The application owns the client: opened once, followed by the network, the lifecycle and a job.

package io.github.homingmqtt.sample

import android.app.Application
import io.github.homingmqtt.Homing
import io.github.homingmqtt.Options
import io.github.homingmqtt.android.HomingFiles
import io.github.homingmqtt.android.HomingOwner
import io.github.homingmqtt.android.SharedHoming
import io.github.homingmqtt.android.SyncJobs
import io.github.homingmqtt.android.followLifecycle
import io.github.homingmqtt.android.followNetwork
import kotlin.time.Duration.Companion.hours

/** Temperatures of a house, kept on the phone. */
open class SampleApp :
    Application(),
    HomingOwner {
    /** Where the broker is. */
    open val broker: String get() = getString(R.string.broker)

    override val homing =
        SharedHoming(
            begin = {
                it.subscribe(Temperature.FILTER)
                it.followNetwork(this)
            },
        ) {
            val files = HomingFiles(this)
            Homing.open(Options(files.store, broker, deviceToken = files.deviceToken(), connect = false))
        }

    override fun onCreate() {
        super.onCreate()
        homing.followLifecycle(this)
        SyncJobs.every(this, 1.hours)
    }
}
