package io.github.homingmqtt.android

import android.app.job.JobParameters
import android.os.PersistableBundle
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.Options
import io.github.homingmqtt.support.Broker
import io.github.homingmqtt.support.until
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import java.net.InetAddress
import java.net.ServerSocket
import kotlin.time.Duration.Companion.seconds

@RunWith(RobolectricTestRunner::class)
class SyncJobServiceTest {
    private val app = testApp()
    private val service = Robolectric.buildService(SyncJobService::class.java).create()
    private val job: SyncJobService = service.get()

    @After
    fun end() {
        service.destroy()
        app.onTerminate()
        Pushes.end()
    }

    private fun parameters(
        id: Int,
        limitSeconds: Int = 20,
    ): JobParameters {
        val extras = PersistableBundle().apply { putLong(SyncJobs.LIMIT, limitSeconds * 1_000L) }
        return JobParameters(null, null, id, extras, null, null, 0, false, false, false, null, null, null)
    }

    private fun open(url: String) {
        app.options = Options(HomingFiles(app).store, url, clientId = "phone", connect = false)
    }

    private fun untilFinished() = until("the job is finished") { shadowOf(job).isJobFinished }

    @Test
    fun `a job sends and fetches what waits and leaves no connection`() {
        Broker.start().use { broker ->
            open(broker.url)
            runBlocking {
                app.homing.get().subscribe("home/#")
                app.homing.get().sync(20.seconds)
                app.homing.get().publish("phone", "from the phone")
                Homing.open(Options(HomingFiles(app, "other").store, broker.url)).use { other ->
                    other.publish("home/kitchen", "21.5")
                    assertTrue(other.flush(10.seconds))
                }
            }
            val read = mutableListOf<String>()
            app.afterSync = { homing ->
                homing.reader().use {
                    read +=
                        it
                            .last("home/kitchen")
                            .items
                            .single()
                            .message.text
                }
            }
            assertTrue(job.onStartJob(parameters(SyncJobs.PERIODIC_ID)))
            untilFinished()
            assertFalse(shadowOf(job).isRescheduleNeeded)
            val report = app.reports.single()
            assertEquals(listOf(1L, 1L, 0L), listOf(report.sent, report.received, report.waiting))
            assertEquals(listOf("21.5"), read)
            app.client().untilOffline()
        }
    }

    @Test
    fun `a broker that is away brings the job again`() {
        val free = ServerSocket(0, 1, InetAddress.getLoopbackAddress()).use { it.localPort }
        open("mqtt://127.0.0.1:$free")
        job.onStartJob(parameters(SyncJobs.NOW_ID, limitSeconds = 2))
        untilFinished()
        assertTrue(shadowOf(job).isRescheduleNeeded)
        assertFalse(app.reports.single().connected)
    }

    @Test
    fun `a store that another process drives brings the job again`() {
        open("mqtt://127.0.0.1:1")
        val other = runBlocking { Homing.open(checkNotNull(app.options)) }
        job.onStartJob(parameters(SyncJobs.NOW_ID))
        untilFinished()
        assertTrue(shadowOf(job).isRescheduleNeeded)
        runBlocking { other.shutDown() }
    }

    @Test
    fun `stopped by the system in the middle`() {
        // Accepts and never answers.
        ServerSocket(0, 5, InetAddress.getLoopbackAddress()).use { silent ->
            open("mqtt://127.0.0.1:${silent.localPort}")
            val homing = app.client()
            job.onStartJob(parameters(SyncJobs.NOW_ID, limitSeconds = 300))
            until("an attempt") { homing.state.value is ConnectionState.Connecting }
            assertTrue(job.onStopJob(parameters(SyncJobs.NOW_ID)))
            homing.untilOffline()
            until("nobody needs it") { app.homing.needs.now.value == Need.Nothing }
            assertFalse(shadowOf(job).isJobFinished)
            assertTrue(app.reports.isEmpty())
            runBlocking { homing.publish("a", "works on") }
        }
    }

    @Test
    fun `a push while a sync is under way is followed by another sync`() {
        Broker.start().use { broker ->
            open(broker.url)
            app.afterSync = { if (app.reports.size == 1) SyncJobs.now(app) }
            job.onStartJob(parameters(SyncJobs.NOW_ID))
            untilFinished()
            assertEquals(2, app.reports.size)
            assertFalse(shadowOf(job).isRescheduleNeeded)
        }
    }

    @Test
    fun `a paused client is woken for the job and paused again`() {
        Broker.start().use { broker ->
            open(broker.url)
            val homing = app.client()
            runBlocking { homing.pause() }
            var consumed = false
            app.afterSync = {
                it.consumer()
                consumed = true
            }
            job.onStartJob(parameters(SyncJobs.NOW_ID))
            untilFinished()
            assertTrue("the app can work with it", consumed)
            assertTrue(app.reports.single().drained)
            assertTrue(homing.state.value is ConnectionState.Paused)
        }
    }

    @Test
    fun `what the app throws after a sync brings the job again`() {
        Broker.start().use { broker ->
            open(broker.url)
            app.afterSync = { throw CannotDraw() }
            job.onStartJob(parameters(SyncJobs.NOW_ID))
            untilFinished()
            assertTrue(shadowOf(job).isRescheduleNeeded)
        }
    }

    private class CannotDraw : RuntimeException("cannot draw")
}
