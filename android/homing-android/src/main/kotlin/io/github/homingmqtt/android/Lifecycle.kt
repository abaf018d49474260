// The app in front and behind: connected while somebody looks on, and what the app chooses while nobody does.

package io.github.homingmqtt.android

import android.app.Activity
import android.app.Application
import android.os.Bundle
import io.github.homingmqtt.Homing
import io.github.homingmqtt.HomingException
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collectLatest
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** What becomes of the connection while no activity of the app is started, no service keeps it and no job is under way. */
public sealed interface InBackground {
    /** It stays, for as long as Android lets the process run. */
    public data object Stay : InBackground

    /**
     * It is ended in order [after] the last activity has stopped. The broker keeps the session; the store stays open, so that
     * `publish` goes on storing. [SyncJobs] brings what has come meanwhile.
     */
    public data class Disconnect(
        /** How long the app must have been in the background; a change of screens takes less. */
        public val after: Duration = 5.seconds,
    ) : InBackground

    /**
     * [Homing.pause]: no file, no lock and no socket is held, so that another process of the app may drive the store. While
     * paused `publish` fails with [HomingException.Paused].
     */
    public data class Pause(
        /** How long the app must have been in the background. */
        public val after: Duration = 5.seconds,
        /** How long the goodbye to the broker may take. */
        public val deadline: Duration = 2.seconds,
    ) : InBackground
}

/**
 * Opens the client and connects it while an activity of the app is started or a [ConnectionService] runs, and does [inBackground]
 * otherwise, until the answer is closed. Nothing is opened before the first activity is started.
 *
 * Call it once, in `Application.onCreate`: activities that were started before are not seen.
 *
 * A client that cannot be opened is told in the log, and tried again when the app comes to the front again; if the store is driven
 * by another process, as often as it takes.
 *
 * @throws IllegalArgumentException a negative duration.
 */
public fun SharedHoming.followLifecycle(
    application: Application,
    inBackground: InBackground = InBackground.Disconnect(),
): AutoCloseable {
    inBackground.check()
    val following = needs.follow()
    val screens = Screens(needs)
    application.registerActivityLifecycleCallbacks(screens)
    val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    val led = Led(this, inBackground)
    scope.launch { needs.now.collectLatest(led::follow) }
    return AutoCloseable {
        application.unregisterActivityLifecycleCallbacks(screens)
        scope.cancel()
        screens.close()
        following.close()
    }
}

private fun InBackground.check() {
    val times =
        when (this) {
            InBackground.Stay -> emptyList()
            is InBackground.Disconnect -> listOf(after)
            is InBackground.Pause -> listOf(after, deadline)
        }
    require(times.none { it.isNegative() }) { "inBackground: a duration of zero or more" }
}

/** Counts started activities. */
private class Screens(
    private val needs: Needs,
) : Application.ActivityLifecycleCallbacks,
    AutoCloseable {
    private var started = 0
    private var hold: AutoCloseable? = null

    override fun onActivityStarted(activity: Activity) {
        if (started++ == 0) hold = needs.hold(Need.Connected)
    }

    override fun onActivityStopped(activity: Activity) {
        // One that was started before we looked on.
        if (started == 0) return
        if (--started == 0) close()
    }

    override fun close() {
        hold?.close()
        hold = null
    }

    override fun onActivityCreated(
        activity: Activity,
        savedInstanceState: Bundle?,
    ) = Unit

    override fun onActivityResumed(activity: Activity) = Unit

    override fun onActivityPaused(activity: Activity) = Unit

    override fun onActivitySaveInstanceState(
        activity: Activity,
        outState: Bundle,
    ) = Unit

    override fun onActivityDestroyed(activity: Activity) = Unit
}

/** Does for each need what the policy says; cancelled when the need changes. */
private class Led(
    private val shared: SharedHoming,
    private val inBackground: InBackground,
) {
    suspend fun follow(need: Need) {
        try {
            when (need) {
                Need.Connected -> enter()

                // The job opens it; a connection that stands stays till the job is done.
                Need.Open -> Unit

                Need.Nothing -> shared.opened?.let { leave(it) }
            }
        } catch (error: CancellationException) {
            throw error
        } catch (error: Exception) {
            warn("the client does not follow the app's lifecycle", error)
        }
    }

    private suspend fun enter() {
        while (true) {
            try {
                val homing = shared.get()
                homing.resume()
                return homing.connect()
            } catch (error: HomingException.StoreInUse) {
                warn("not in front yet", error)
                delay(RETRY)
            }
        }
    }

    private suspend fun leave(homing: Homing) {
        when (inBackground) {
            InBackground.Stay -> Unit
            is InBackground.Disconnect -> after(inBackground.after) { homing.disconnect() }
            is InBackground.Pause -> after(inBackground.after) { homing.pause(inBackground.deadline) }
        }
    }

    /** Once begun it is ended: the client would go on with it anyhow, and it must not overtake one who comes back. */
    private suspend fun after(
        time: Duration,
        act: suspend () -> Unit,
    ) {
        delay(time)
        withContext(NonCancellable) { act() }
    }

    private companion object {
        val RETRY = 500.milliseconds
    }
}
