// What the tests share: the app that they run in.

package io.github.homingmqtt.android

import android.app.Application
import android.app.Notification
import android.app.NotificationChannel
import android.app.NotificationManager
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.Options
import io.github.homingmqtt.SyncReport
import io.github.homingmqtt.support.until
import kotlinx.coroutines.runBlocking
import org.robolectric.RuntimeEnvironment
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration.Companion.seconds

internal class TestApp :
    Application(),
    HomingOwner {
    /** How a test has the client opened. */
    @Volatile
    var options: Options? = null
    override val homing = SharedHoming { Homing.open(checkNotNull(options) { "the test opens no client" }) }
    val reports = CopyOnWriteArrayList<SyncReport>()

    @Volatile
    var afterSync: suspend (Homing) -> Unit = {}

    override suspend fun onSynced(
        homing: Homing,
        report: SyncReport,
    ) {
        reports.add(report)
        afterSync(homing)
    }

    fun client(): Homing = runBlocking { homing.get() }

    override fun onTerminate() {
        runBlocking { homing.shutDown(1.seconds) }
        super.onTerminate()
    }
}

internal fun testApp(): TestApp = RuntimeEnvironment.getApplication() as TestApp

internal class TestConnection : ConnectionService() {
    override fun notification(state: ConnectionState): Notification {
        val channel = NotificationChannel("connection", "Connection", NotificationManager.IMPORTANCE_LOW)
        service<NotificationManager>().createNotificationChannel(channel)
        return Notification.Builder(this, "connection").setContentTitle(state.javaClass.simpleName).build()
    }

    override fun onTimeLimit() {
        timeLimits++
    }

    companion object {
        var timeLimits = 0
    }
}

internal fun Homing.untilOnline() = until("online, but ${state.value}") { state.value is ConnectionState.Online }

internal fun Homing.untilOffline() = until("offline, but ${state.value}") { state.value is ConnectionState.Offline }
