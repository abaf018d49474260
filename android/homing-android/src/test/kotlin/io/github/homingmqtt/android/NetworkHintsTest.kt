package io.github.homingmqtt.android

import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import android.net.NetworkCapabilities
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.Options
import io.github.homingmqtt.Trouble
import io.github.homingmqtt.support.Broker
import io.github.homingmqtt.support.until
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowNetwork
import org.robolectric.shadows.ShadowNetworkCapabilities

@RunWith(RobolectricTestRunner::class)
class NetworkHintsTest {
    private val app = testApp()
    private val manager = app.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager
    private val wifi: Network = ShadowNetwork.newInstance(7)
    private val mobile: Network = ShadowNetwork.newInstance(8)
    private val told = mutableListOf<Pair<Boolean, String?>>()

    @After
    fun end() = app.onTerminate()

    private fun capabilities(validated: Boolean): NetworkCapabilities {
        val capabilities = ShadowNetworkCapabilities.newInstance()
        shadowOf(capabilities).addCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
        if (validated) shadowOf(capabilities).addCapability(NetworkCapabilities.NET_CAPABILITY_VALIDATED)
        return capabilities
    }

    @Test
    fun `each change is told once`() {
        val hints = NetworkHints(manager) { online, id -> told.add(online to id) }
        hints.onCapabilitiesChanged(wifi, capabilities(validated = false))
        hints.onCapabilitiesChanged(wifi, capabilities(validated = true))
        hints.onCapabilitiesChanged(wifi, capabilities(validated = true))
        hints.onCapabilitiesChanged(mobile, capabilities(validated = true))
        hints.onBlockedStatusChanged(mobile, true)
        hints.onBlockedStatusChanged(mobile, false)
        hints.onLost(mobile)
        hints.close()
        hints.onCapabilitiesChanged(wifi, capabilities(validated = true))
        val (first, second) = wifi.networkHandle.toString() to mobile.networkHandle.toString()
        val expected =
            listOf(true to "$first-unvalidated", true to first, true to second, false to null, true to second, false to null)
        assertEquals(expected, told)
    }

    @Test
    fun `no attempts without a network and one at once with it`() {
        Broker.start().use { broker ->
            shadowOf(manager).setActiveNetworkInfo(null)
            app.options = Options(HomingFiles(app).store, broker.url, connect = false)
            val homing = app.client()
            val hints = homing.followNetwork(app)
            val callback = shadowOf(manager).networkCallbacks.single()
            callback.onCapabilitiesChanged(wifi, capabilities(validated = true))
            runBlocking { homing.connect() }
            homing.untilOnline()
            broker.close()
            until("a wait for the next attempt") { homing.state.value is ConnectionState.Waiting }
            callback.onLost(wifi)
            homing.untilOffline()
            val offline = homing.state.value as ConnectionState.Offline
            assertEquals(Trouble.Kind.NoNetwork, offline.trouble.kind)
            hints.close()
            hints.close()
            assertTrue(shadowOf(manager).networkCallbacks.isEmpty())
        }
    }

    @Test
    fun `the callback goes with a client that is closed or forgotten`() {
        app.options = Options(HomingFiles(app).store, connect = false)
        app.client().followNetwork(app)
        assertEquals(1, shadowOf(manager).networkCallbacks.size)
        runBlocking { app.homing.shutDown() }
        until("no callback of one that is closed") { shadowOf(manager).networkCallbacks.isEmpty() }
        forget()
        until("no callback of one that is forgotten") {
            System.gc()
            shadowOf(manager).networkCallbacks.isEmpty()
        }
    }

    private fun forget() {
        runBlocking { Homing.open(Options(HomingFiles(app, "forgotten").store, connect = false)) }.followNetwork(app)
        assertEquals(1, shadowOf(manager).networkCallbacks.size)
    }
}
