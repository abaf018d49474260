// Syncs in the background: now and then, and when a push says that there is something.

package io.github.homingmqtt.android

import android.app.job.JobInfo
import android.app.job.JobScheduler
import android.content.ComponentName
import android.content.Context
import android.os.Build
import android.os.PersistableBundle
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds

/**
 * Jobs that catch up with the broker while the app is not in front: each opens or takes the client of the app's [HomingOwner], and
 * lets it [io.github.homingmqtt.Homing.sync] within the job's time. A job is ended at any moment without a loss.
 */
public object SyncJobs {
    /** The id of the periodic job, among all of the app. */
    public const val PERIODIC_ID: Int = 0x686f6d30

    /** The id of the job that [now] starts. */
    public const val NOW_ID: Int = 0x686f6d31

    /**
     * Syncs about every [interval], also after a restart of the device, until [stop]. Android chooses the moment, and makes it
     * rarer for apps that are little used. Calling it again with the same values changes nothing.
     *
     * @param interval at least 15 minutes.
     * @param limit how long one sync may take: at least 1 s, at most 9 minutes (Android ends a job after 10).
     * @param unmetered only in networks that cost nothing.
     * @throws IllegalArgumentException a value outside of these.
     * @throws IllegalStateException the app's `Application` is no [HomingOwner], or Android takes no more jobs.
     */
    public fun every(
        context: Context,
        interval: Duration,
        limit: Duration = 2.minutes,
        unmetered: Boolean = false,
    ) {
        require(interval >= 15.minutes) { "interval: at least 15 minutes, Android's own limit" }
        val info =
            job(context, PERIODIC_ID, limit, unmetered)
                .setPeriodic(interval.inWholeMilliseconds)
                .setPersisted(true)
                .build()
        val scheduler = scheduler(context)
        val there = scheduler.getPendingJob(PERIODIC_ID)
        // A job that is scheduled again begins its period anew, and is stopped if it runs.
        if (there != null && there.same(info)) return
        scheduler.take(info)
    }

    /**
     * Syncs as soon as there is a network: the answer to a push message, called in its handler. From Android 12 on it is an
     * expedited job, as far as the app's quota goes. If a sync is under way, another follows it. What could not be finished is
     * tried again, at first after 30 s.
     *
     * @param limit as for [every].
     * @throws IllegalArgumentException a limit outside of these.
     * @throws IllegalStateException as for [every].
     */
    public fun now(
        context: Context,
        limit: Duration = 1.minutes,
    ) {
        val job = job(context, NOW_ID, limit)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) expedite(job)
        val info = job.build()
        Pushes.ask { scheduler(context).take(info) }
    }

    /** Ends both; one that runs is stopped. */
    public fun stop(context: Context) {
        scheduler(context).cancel(PERIODIC_ID)
        scheduler(context).cancel(NOW_ID)
        // Android stops the job only later: a push till then must not count as one for it.
        Pushes.end()
    }

    private fun job(
        context: Context,
        id: Int,
        limit: Duration,
        unmetered: Boolean = false,
    ): JobInfo.Builder {
        require(limit in 1.seconds..9.minutes) { "limit: 1 second to 9 minutes" }
        context.owner()
        val extras = PersistableBundle()
        extras.putLong(LIMIT, limit.inWholeMilliseconds)
        extras.putBoolean(UNMETERED, unmetered)
        return JobInfo
            .Builder(id, ComponentName(context, SyncJobService::class.java))
            .setExtras(extras)
            .setRequiredNetworkType(if (unmetered) JobInfo.NETWORK_TYPE_UNMETERED else JobInfo.NETWORK_TYPE_ANY)
            .setBackoffCriteria(JobInfo.DEFAULT_INITIAL_BACKOFF_MILLIS, JobInfo.BACKOFF_POLICY_EXPONENTIAL)
    }

    @NewerAndroid
    private fun expedite(job: JobInfo.Builder) = job.setExpedited(true)

    private fun JobInfo.same(other: JobInfo) =
        intervalMillis == other.intervalMillis &&
            extras.getBoolean(UNMETERED) == other.extras.getBoolean(UNMETERED) &&
            extras.getLong(LIMIT) == other.extras.getLong(LIMIT)

    private fun scheduler(context: Context) = context.service<JobScheduler>()

    private fun JobScheduler.take(info: JobInfo) {
        check(schedule(info) == JobScheduler.RESULT_SUCCESS) { "Android took no job: the app may have too many" }
    }

    internal const val LIMIT: String = "limit"
    private const val UNMETERED = "unmetered"
}

/** Pushes that come while a job syncs for an earlier one: scheduling again would stop it. */
internal object Pushes {
    private var running = false
    private var more = false

    fun ask(schedule: () -> Unit) =
        synchronized(this) {
            if (running) more = true else schedule()
        }

    fun begin() =
        synchronized(this) {
            running = true
            more = false
        }

    /** Whether there was another push meanwhile; if not, the job is over. */
    fun another(): Boolean =
        synchronized(this) {
            more.also {
                running = it
                more = false
            }
        }

    fun end() =
        synchronized(this) {
            running = false
            more = false
        }
}
