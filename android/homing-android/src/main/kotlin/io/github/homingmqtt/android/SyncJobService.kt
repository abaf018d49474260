// The job itself.

package io.github.homingmqtt.android

import android.app.job.JobParameters
import android.app.job.JobService
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.SyncReport
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** What [SyncJobs] schedules. It stands in this library's manifest; an app has nothing to do with it. */
public class SyncJobService : JobService() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val running = mutableMapOf<Int, Job>()

    /** Begins a sync; called by Android on the main thread. */
    override fun onStartJob(params: JobParameters): Boolean {
        val push = params.jobId == SyncJobs.NOW_ID
        if (push) Pushes.begin()
        val limit = params.extras.getLong(SyncJobs.LIMIT).milliseconds
        running[params.jobId] =
            scope.launch {
                var again: Boolean
                do again = sync(limit) while (push && Pushes.another())
                jobFinished(params, again)
            }
        return true
    }

    /** Ends the sync: no more network, or the job's time is over. What it has stored stays, the rest comes with the next one. */
    override fun onStopJob(params: JobParameters): Boolean {
        if (params.jobId == SyncJobs.NOW_ID) Pushes.end()
        running.remove(params.jobId)?.cancel()
        return true
    }

    /** Cancels what still runs. */
    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }

    /** Whether it is to be done again. */
    private suspend fun sync(limit: Duration): Boolean =
        try {
            val owner = owner()
            val homing = owner.homing.get()
            val report =
                owner.homing.needs.awake(homing) { homing.sync(limit).also { owner.onSynced(homing, it) } }
            !report.drained
        } catch (stopped: CancellationException) {
            throw stopped
        } catch (error: Exception) {
            warn("a sync failed", error)
            true
        }

    private suspend fun Needs.awake(
        homing: Homing,
        act: suspend () -> SyncReport,
    ): SyncReport {
        val hold = hold(Need.Open)
        val paused = homing.state.value is ConnectionState.Paused
        try {
            homing.resume()
            return act()
        } finally {
            hold.close()
            // Nobody else will: the app had paused it by its own call.
            if (paused && !followed && now.value == Need.Nothing) {
                withContext(NonCancellable) { homing.pause(GOODBYE) }
            }
        }
    }

    private companion object {
        val GOODBYE = 2.seconds
    }
}
