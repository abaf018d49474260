package io.github.homingmqtt.android

import android.app.Activity
import android.app.job.JobScheduler
import io.github.homingmqtt.ConnectionState
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
import org.robolectric.annotation.Config
import java.io.File

@RunWith(RobolectricTestRunner::class)
class FirstExampleTest {
    @Test
    @Config(application = App::class)
    fun `connects in front and has its job`() {
        val app = RuntimeEnvironment.getApplication() as App
        assertNotNull(app.service<JobScheduler>().getPendingJob(SyncJobs.PERIODIC_ID))
        Broker.start().use { mosquitto ->
            broker = mosquitto.url
            Robolectric.buildActivity(Activity::class.java).create().start()
            until("connected") {
                app.homing.opened
                    ?.state
                    ?.value is ConnectionState.Online
            }
            runBlocking { app.homing.shutDown() }
        }
    }

    @Test
    fun `is what the README says`() {
        val marker = "class App :"
        val here = File("src/test/kotlin/io/github/homingmqtt/android/FirstExample.kt").readText()
        val example = marker + here.substringAfter(marker).trimEnd()
        val readme = File("README.md").readText().substringAfter("```kotlin\n").substringBefore("\n```")
        assertEquals(example, readme)
        assertTrue("at most 15 lines", example.lines().size <= 15)
    }
}
