package io.github.homingmqtt.sample

import android.app.job.JobScheduler
import android.view.View
import android.view.ViewGroup
import android.widget.CheckBox
import android.widget.TextView
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.Options
import io.github.homingmqtt.QoS
import io.github.homingmqtt.android.HomingFiles
import io.github.homingmqtt.android.SyncJobs
import io.github.homingmqtt.support.Broker
import io.github.homingmqtt.support.until
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import kotlin.time.Duration.Companion.seconds

private var url = ""

/** The sample, with a broker of the test's. */
class TestedApp : SampleApp() {
    override val broker: String get() = url
}

@RunWith(RobolectricTestRunner::class)
@Config(application = TestedApp::class)
class TemperaturesTest {
    private val app = RuntimeEnvironment.getApplication() as SampleApp

    private fun View.texts(): List<String> =
        when (this) {
            is ViewGroup -> (0 until childCount).flatMap { getChildAt(it).texts() }
            is TextView -> listOf(text.toString())
            else -> emptyList()
        }

    @Test
    fun `shows what comes and what lies in the store`() {
        Broker.start().use { broker ->
            url = broker.url
            val house = runBlocking { Homing.open(Options(HomingFiles(app, "house").store, broker.url)) }
            val screen = Robolectric.buildActivity(TemperaturesActivity::class.java).setup()
            val view = screen.get().window.decorView
            until("connected") { "Connected" in view.texts() }
            runBlocking {
                house.publish("home/kitchen/temperature", "21.46", QoS.AtLeastOnce)
                house.publish("home/cellar/temperature", "no number")
                house.publish("home/attic/temperature", "9")
                house.shutDown()
            }
            until("both rooms, but ${view.texts()}") { "attic  9.0 °C\nkitchen  21.5 °C" in view.texts() }
            screen.pause().stop().destroy()

            val again = Robolectric.buildActivity(TemperaturesActivity::class.java).setup()
            until("kept") {
                "attic  9.0 °C\nkitchen  21.5 °C" in
                    again
                        .get()
                        .window.decorView
                        .texts()
            }
            again.pause().stop().destroy()
            runBlocking { app.homing.shutDown(1.seconds) }
        }
    }

    @Test
    fun `a job is scheduled and the service started when a person wants it`() {
        val jobs = checkNotNull(app.getSystemService(JobScheduler::class.java))
        assertNotNull(jobs.getPendingJob(SyncJobs.PERIODIC_ID))
        val screen = Robolectric.buildActivity(TemperaturesActivity::class.java).create().get()
        val root = checkNotNull(screen.findViewById<ViewGroup>(android.R.id.content)).getChildAt(0) as ViewGroup
        val box = (0 until root.childCount).map(root::getChildAt).filterIsInstance<CheckBox>().single()
        box.isChecked = true
        assertEquals(SampleConnection::class.java.name, shadowOf(app).nextStartedService?.component?.className)
        box.isChecked = false
        assertNotNull(shadowOf(app).nextStoppedService)
        assertTrue(ConnectionState.Paused.words().isNotEmpty())
    }
}
