package io.github.homingmqtt.android

import android.app.Activity
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.Options
import io.github.homingmqtt.support.Broker
import io.github.homingmqtt.support.until
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.shadows.ShadowLog
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

@RunWith(RobolectricTestRunner::class)
class LifecycleTest {
    private val app = testApp()
    private val broker = Broker.start()
    private val homing: Homing get() = app.client()

    init {
        app.options = Options(HomingFiles(app).store, broker.url, connect = false)
    }

    @After
    fun end() {
        app.onTerminate()
        broker.close()
    }

    private fun activity() = Robolectric.buildActivity(Activity::class.java).create()

    @Test
    fun `connected in front and not behind`() {
        app.homing.followLifecycle(app, InBackground.Disconnect(after = 50.milliseconds)).use {
            val activity = activity()
            assertNull("nothing is opened before", app.homing.opened)
            activity.start()
            homing.untilOnline()
            activity.stop()
            homing.untilOffline()
            activity.start()
            homing.untilOnline()
        }
    }

    @Test
    fun `a change of screens ends nothing`() {
        app.homing.followLifecycle(app, InBackground.Disconnect(after = 30.seconds)).use {
            val (first, second) = activity() to activity()
            first.start()
            homing.untilOnline()
            second.start()
            first.stop()
            second.stop()
            first.start()
            first.stop().destroy()
            second.start()
            runBlocking { homing.publish("a", "still here") }
            assertTrue(runBlocking { homing.flush(10.seconds) })
            assertEquals(1, broker.log().lines().count { "New client connected" in it })
        }
    }

    @Test
    fun `paused behind with the store free for another and back in front`() {
        app.homing.followLifecycle(app, InBackground.Pause(after = Duration.ZERO)).use {
            val activity = activity().start()
            homing.untilOnline()
            activity.stop()
            until("paused") { homing.state.value is ConnectionState.Paused }
            val other = runBlocking { Homing.open(Options(HomingFiles(app).store, broker.url, connect = false)) }
            activity.start()
            until("a first try while the other drives") { ShadowLog.getLogs().any { "not in front yet" in it.msg } }
            runBlocking { other.shutDown() }
            homing.untilOnline()
        }
    }

    @Test
    fun `back in front while the goodbye lasts`() {
        app.homing.followLifecycle(app, InBackground.Pause(after = Duration.ZERO)).use {
            val activity = activity().start()
            homing.untilOnline()
            broker.freeze()
            activity.stop()
            until("the goodbye, which nobody answers") { homing.state.value !is ConnectionState.Online }
            activity.start()
            broker.thaw()
            homing.untilOnline()
        }
    }

    @Test
    fun `what another needs keeps it open and connected`() {
        app.homing.followLifecycle(app, InBackground.Pause(after = Duration.ZERO)).use {
            val activity = activity().start()
            homing.untilOnline()
            val service = app.homing.needs.hold(Need.Connected)
            val job = app.homing.needs.hold(Need.Open)
            activity.stop()
            service.close()
            service.close()
            assertEquals(Need.Open, app.homing.needs.now.value)
            runBlocking { homing.publish("a", "not paused") }
            assertTrue(homing.state.value is ConnectionState.Online)
            job.close()
            until("paused") { homing.state.value is ConnectionState.Paused }
        }
    }

    @Test
    fun `one that is opened anew in front is connected, and none is opened for one that was shut down`() {
        app.homing.followLifecycle(app, InBackground.Disconnect(after = 50.milliseconds)).use {
            val activity = activity().start()
            homing.untilOnline()
            runBlocking { app.homing.shutDown() }
            Thread.sleep(100)
            assertNull(app.homing.opened)
            homing.untilOnline()
            activity.stop()
            homing.untilOffline()
        }
    }

    @Test
    fun `after the end of following nothing happens`() {
        val following = app.homing.followLifecycle(app, InBackground.Disconnect(after = Duration.ZERO))
        val activity = activity().start()
        homing.untilOnline()
        following.close()
        following.close()
        activity.stop()
        runBlocking { homing.publish("a", "b") }
        assertTrue(runBlocking { homing.flush(10.seconds) })
        assertTrue(homing.state.value is ConnectionState.Online)
        assertEquals(Need.Nothing, app.homing.needs.now.value)
    }

    @Test
    fun `bad values are refused`() {
        for (bad in listOf(InBackground.Disconnect((-1).seconds), InBackground.Pause(deadline = (-1).seconds))) {
            assertThrows(IllegalArgumentException::class.java) { app.homing.followLifecycle(app, bad) }
        }
    }
}
