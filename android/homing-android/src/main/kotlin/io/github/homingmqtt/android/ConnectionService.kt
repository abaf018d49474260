// A foreground service that keeps the connection while the app is not in front.

package io.github.homingmqtt.android

import android.app.Notification
import android.app.NotificationManager
import android.app.Service
import android.content.Context
import android.content.Intent
import android.os.IBinder
import io.github.homingmqtt.ConnectionState
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch

/**
 * Keeps the client of the app's [HomingOwner] connected while it runs. The app extends it by its notification, and declares it
 * with the type that it can answer for in the store:
 *
 * ```xml
 * <uses-permission android:name="android.permission.FOREGROUND_SERVICE" />
 * <uses-permission android:name="android.permission.FOREGROUND_SERVICE_DATA_SYNC" />
 * <uses-permission android:name="android.permission.POST_NOTIFICATIONS" />
 * <service android:name=".MyConnection" android:exported="false" android:foregroundServiceType="dataSync" />
 * ```
 *
 * From Android 14 on a type without its permission is a `SecurityException`. `remoteMessaging` is for messages that go on from one
 * device of the user's to another. From Android 15 on `dataSync` has six hours a day, counted anew when the app comes to the
 * front; [onTimeLimit] is called at their end.
 */
public abstract class ConnectionService : Service() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main.immediate)
    private var hold: AutoCloseable? = null
    private var begun = false
    private var shown: ConnectionState = ConnectionState.Connecting(attempt = 1)

    /** The notification's number, among all of the app; not 0. */
    protected open val notificationId: Int = 0x686f6d

    /** The notification, on a channel that the app has made. Called on the main thread at the start and for each new [state]. */
    protected abstract fun notification(state: ConnectionState): Notification

    /**
     * Android's time for services of this type is over. The service stops after it, in order; the connection ends as the
     * lifecycle's policy says. Called on the main thread: it must return soon.
     */
    protected open fun onTimeLimit() {
    }

    /** Shows the notification at once, as Android demands within seconds, and connects. */
    override fun onStartCommand(
        intent: Intent?,
        flags: Int,
        startId: Int,
    ): Int {
        try {
            startForeground(notificationId, notification(shown))
        } catch (error: IllegalStateException) {
            // ForegroundServiceStartNotAllowedException, from Android 12 on: restarted while the app may not, or no time is left.
            warn("not in the foreground", error)
            stopSelf()
            return START_NOT_STICKY
        }
        if (!begun) {
            begun = true
            scope.launch { keep() }
        }
        return START_STICKY
    }

    private suspend fun keep() {
        try {
            val shared = owner().homing
            hold = shared.needs.hold(Need.Connected)
            val homing = shared.get()
            homing.resume()
            homing.connect()
            homing.state.collect { state -> show(state) }
        } catch (error: CancellationException) {
            throw error
        } catch (error: Exception) {
            warn("the connection cannot be kept", error)
            stopSelf()
        }
    }

    private fun show(state: ConnectionState) {
        shown = state
        if (state is ConnectionState.Closed) stopSelf()
        service<NotificationManager>().notify(notificationId, notification(state))
    }

    /** Android 14: the time of a `shortService` is over. */
    final override fun onTimeout(startId: Int) {
        end()
    }

    /** Android 15: that of a `dataSync`. */
    final override fun onTimeout(
        startId: Int,
        fgsType: Int,
    ) {
        end()
    }

    private fun end() {
        onTimeLimit()
        stopSelf()
    }

    /** Lets go of the connection. */
    override fun onDestroy() {
        scope.cancel()
        hold?.close()
        hold = null
        super.onDestroy()
    }

    /** Nobody binds to it. */
    override fun onBind(intent: Intent?): IBinder? = null

    /** Starts and stops services. */
    public companion object {
        /**
         * Starts the service. Call it while the app is in front: from Android 12 on it is not allowed otherwise, with few
         * exceptions such as a push message of high priority.
         *
         * @return false: Android did not allow it now.
         * @throws IllegalStateException the app's `Application` is no [HomingOwner].
         */
        public fun start(
            context: Context,
            service: Class<out ConnectionService>,
        ): Boolean {
            context.owner()
            return try {
                context.startForegroundService(Intent(context, service)) != null
            } catch (error: IllegalStateException) {
                warn("the service was not started", error)
                false
            }
        }

        /** Stops it; the connection then follows the app's lifecycle again. */
        public fun stop(
            context: Context,
            service: Class<out ConnectionService>,
        ) {
            context.stopService(Intent(context, service))
        }
    }
}
