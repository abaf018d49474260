// What Android says of the network, passed on: an attempt at once when there is one again, none while there is none.

package io.github.homingmqtt.android

import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import android.net.NetworkCapabilities
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.HomingException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import java.lang.ref.WeakReference

/**
 * Tells this client of the network until the answer, or the client, is closed: a lost network stops its attempts, a new one, or
 * one that has been found to reach the internet, brings one at once, and has a link that stands looked after.
 *
 * A network that the system has not validated counts as one, for the broker may stand in the house. While the system keeps the
 * app from the network (doze, data saver) it counts as none. Needs `ACCESS_NETWORK_STATE`, which this library's manifest has.
 *
 * Should the system take no callback (an app may have 100; Android 11 refuses at times) the client goes without hints, which
 * costs it some seconds after a change of networks, and the log says so.
 */
public fun Homing.followNetwork(context: Context): AutoCloseable {
    val manager = context.applicationContext.service<ConnectivityManager>()
    // Neither keeps the client: one that is forgotten is collected, and its state ends.
    val (client, state) = WeakReference(this) to this.state
    val hints = NetworkHints(manager) { online, id -> client.get()?.networkChanged(online, id) }
    // The system calls nobody for a network that is not there.
    if (manager.activeNetwork == null) hints.tell(online = false, id = null)
    try {
        manager.registerDefaultNetworkCallback(hints)
    } catch (error: RuntimeException) {
        warn("no hints of the network", error)
        hints.tell(online = true, id = null)
    }
    // Without waiting for the next change: an app that opens many clients in turn would run out of callbacks.
    val ending = CoroutineScope(Dispatchers.Default).launch { state.first { it is ConnectionState.Closed } }
    ending.invokeOnCompletion { hints.close() }
    return AutoCloseable {
        ending.cancel()
        hints.close()
    }
}

internal class NetworkHints(
    private val manager: ConnectivityManager,
    private val told: (online: Boolean, id: String?) -> Unit,
) : ConnectivityManager.NetworkCallback(),
    AutoCloseable {
    private var last: Pair<Boolean, String?>? = null
    private var name: String? = null
    private var blocked = false
    private var ended = false

    // Follows every onAvailable, and comes for each change of signal strength too.
    override fun onCapabilitiesChanged(
        network: Network,
        networkCapabilities: NetworkCapabilities,
    ) {
        val validated = networkCapabilities.hasCapability(NetworkCapabilities.NET_CAPABILITY_VALIDATED)
        val handle = network.networkHandle.toString()
        // Another name when the internet is reached, as behind a captive portal: to the client it is another network then.
        synchronized(this) { name = if (validated) handle else "$handle-unvalidated" }
        tell()
    }

    override fun onLost(network: Network) {
        synchronized(this) { name = null }
        tell()
    }

    // From API 29 on.
    override fun onBlockedStatusChanged(
        network: Network,
        blocked: Boolean,
    ) {
        synchronized(this) { this.blocked = blocked }
        tell()
    }

    private fun tell() {
        val (online, id) = synchronized(this) { (name != null && !blocked) to name }
        tell(online, id.takeIf { online })
    }

    fun tell(
        online: Boolean,
        id: String?,
    ) {
        val hint = online to id
        synchronized(this) {
            if (ended || last == hint) return
            last = hint
        }
        try {
            told(online, id)
        } catch (_: HomingException.Closed) {
            close()
        }
    }

    /** Nothing is told after it. */
    override fun close() {
        val first = synchronized(this) { !ended.also { ended = true } }
        if (!first) return
        try {
            manager.unregisterNetworkCallback(this)
        } catch (_: IllegalArgumentException) {
            // It was never registered.
        }
    }
}
