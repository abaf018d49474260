// Keeps the connection while the app is in the background, if the person wants it.

package io.github.homingmqtt.sample

import android.app.Notification
import android.app.NotificationChannel
import android.app.NotificationManager
import android.app.PendingIntent
import android.content.Intent
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.android.ConnectionService

/** With a notification that says how the connection is. */
class SampleConnection : ConnectionService() {
    override fun onCreate() {
        super.onCreate()
        val channel = NotificationChannel(CHANNEL, getString(R.string.channel), NotificationManager.IMPORTANCE_LOW)
        getSystemService(NotificationManager::class.java)?.createNotificationChannel(channel)
    }

    override fun notification(state: ConnectionState): Notification {
        val open = Intent(this, TemperaturesActivity::class.java)
        return Notification
            .Builder(this, CHANNEL)
            .setSmallIcon(android.R.drawable.stat_notify_sync)
            .setContentTitle(getString(R.string.app_name))
            .setContentText(state.words())
            .setContentIntent(PendingIntent.getActivity(this, 0, open, PendingIntent.FLAG_IMMUTABLE))
            .setOngoing(true)
            .build()
    }

    private companion object {
        const val CHANNEL = "connection"
    }
}

/** For a person. */
internal fun ConnectionState.words(): String =
    when (this) {
        is ConnectionState.Online -> "Connected"
        is ConnectionState.Connecting -> "Connecting"
        is ConnectionState.Waiting -> "No connection: ${trouble.text}"
        is ConnectionState.Offline -> "Not connected"
        ConnectionState.TakenOver -> "Another device has taken the session over"
        ConnectionState.Paused, ConnectionState.Closed -> "Not connected"
    }
