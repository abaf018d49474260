package io.github.homingmqtt.android

import android.app.Notification
import android.content.Intent
import io.github.homingmqtt.Options
import io.github.homingmqtt.support.Broker
import io.github.homingmqtt.support.until
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import kotlin.time.Duration

@RunWith(RobolectricTestRunner::class)
class ConnectionServiceTest {
    private val app = testApp()
    private val broker = Broker.start()
    private val controller = Robolectric.buildService(TestConnection::class.java)
    private val service: TestConnection = controller.get()

    @Before
    fun open() {
        app.options = Options(HomingFiles(app).store, broker.url, connect = false)
        TestConnection.timeLimits = 0
    }

    @After
    fun end() {
        app.onTerminate()
        broker.close()
    }

    private fun shown(): String? = shadowOf(service).lastForegroundNotification?.extras?.getString(Notification.EXTRA_TITLE)

    private fun notified(): String? {
        val manager = app.service<android.app.NotificationManager>()
        return shadowOf(manager).getNotification(0x686f6d)?.extras?.getString(Notification.EXTRA_TITLE)
    }

    @Test
    fun `in the foreground at once and connected until it is stopped`() {
        val homing = app.client()
        app.homing.followLifecycle(app, InBackground.Disconnect(after = Duration.ZERO)).use {
            controller.create().startCommand(0, 1)
            assertEquals("Connecting", shown())
            homing.untilOnline()
            until("the notification says so") { notified() == "Online" }
            controller.startCommand(0, 2)
            assertEquals("Online", shown())
            assertFalse(shadowOf(service).isStoppedBySelf)
            controller.destroy()
            homing.untilOffline()
        }
    }

    @Test
    fun `stops at the end of Android's time`() {
        val homing = app.client()
        app.homing.followLifecycle(app, InBackground.Disconnect(after = Duration.ZERO)).use {
            controller.create().startCommand(0, 1)
            homing.untilOnline()
            service.onTimeout(1, android.content.pm.ServiceInfo.FOREGROUND_SERVICE_TYPE_DATA_SYNC)
            assertEquals(1, TestConnection.timeLimits)
            assertTrue(shadowOf(service).isStoppedBySelf)
            controller.destroy()
            homing.untilOffline()
        }
    }

    @Test
    fun `stops when the client cannot be opened or is closed`() {
        app.options = Options(app.noBackupFilesDir.toPath(), broker.url)
        controller.create().startCommand(0, 1)
        until("stopped") { shadowOf(service).isStoppedBySelf }

        open()
        val second = Robolectric.buildService(TestConnection::class.java).create().startCommand(0, 1)
        app.client().untilOnline()
        app.onTerminate()
        until("stopped too") { shadowOf(second.get()).isStoppedBySelf }
    }

    @Test
    fun `started and stopped by the app`() {
        assertTrue(ConnectionService.start(app, TestConnection::class.java))
        val intent: Intent? = shadowOf(app).nextStartedService
        assertEquals(TestConnection::class.java.name, intent?.component?.className)
        ConnectionService.stop(app, TestConnection::class.java)
        assertEquals(TestConnection::class.java.name, shadowOf(app).nextStoppedService?.component?.className)
    }

    @Test
    fun `not allowed from the background is an answer and no crash`() {
        val refusing =
            object : android.content.ContextWrapper(app) {
                override fun startForegroundService(service: Intent) =
                    throw android.app.ForegroundServiceStartNotAllowedException("in the background")
            }
        assertFalse(ConnectionService.start(refusing, TestConnection::class.java))
    }
}
