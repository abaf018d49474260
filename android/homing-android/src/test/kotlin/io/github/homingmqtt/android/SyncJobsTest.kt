package io.github.homingmqtt.android

import android.app.Application
import android.app.job.JobInfo
import android.app.job.JobScheduler
import android.net.NetworkCapabilities
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNotSame
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import kotlin.time.Duration.Companion.hours
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds

@RunWith(RobolectricTestRunner::class)
class SyncJobsTest {
    private val app = RuntimeEnvironment.getApplication()
    private val scheduler = app.service<JobScheduler>()

    private fun pending(id: Int): JobInfo? = scheduler.getPendingJob(id)

    @Test
    fun `a periodic job that outlives a restart`() {
        SyncJobs.every(app, 1.hours, unmetered = true)
        val job = checkNotNull(pending(SyncJobs.PERIODIC_ID))
        assertTrue(job.isPeriodic && job.isPersisted)
        assertEquals(3_600_000, job.intervalMillis)
        assertTrue(checkNotNull(job.requiredNetwork).hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED))
        assertEquals(SyncJobService::class.java.name, job.service.className)
        SyncJobs.every(app, 1.hours, unmetered = true)
        assertSame(job, pending(SyncJobs.PERIODIC_ID))
        SyncJobs.every(app, 2.hours)
        assertNotSame(job, pending(SyncJobs.PERIODIC_ID))
    }

    @Test
    fun `a push is answered by an expedited job`() {
        SyncJobs.now(app)
        val job = checkNotNull(pending(SyncJobs.NOW_ID))
        assertTrue(job.isExpedited)
        assertFalse(job.isPeriodic)
        assertTrue(checkNotNull(job.requiredNetwork).hasCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET))
        SyncJobs.every(app, 1.hours)
        SyncJobs.stop(app)
        assertTrue(scheduler.allPendingJobs.isEmpty())
    }

    @Test
    fun `a push right after the end of a running job has a job of its own`() {
        Pushes.begin()
        SyncJobs.stop(app)
        SyncJobs.now(app)
        assertNotNull(pending(SyncJobs.NOW_ID))
    }

    @Test
    fun `bad values are refused before anything is scheduled`() {
        assertThrows(IllegalArgumentException::class.java) { SyncJobs.every(app, 14.minutes) }
        for (limit in listOf(0.seconds, (-5).seconds, 999.milliseconds, 10.minutes)) {
            assertThrows(IllegalArgumentException::class.java) { SyncJobs.every(app, 1.hours, limit) }
            assertThrows(IllegalArgumentException::class.java) { SyncJobs.now(app, limit) }
        }
        assertTrue(scheduler.allPendingJobs.isEmpty())
    }

    @Test
    @Config(application = Application::class)
    fun `an app without an owner is told so`() {
        val error = assertThrows(IllegalStateException::class.java) { SyncJobs.now(app) }
        assertTrue(error.message, "HomingOwner" in error.message.orEmpty())
        assertTrue(scheduler.allPendingJobs.isEmpty())
    }
}
