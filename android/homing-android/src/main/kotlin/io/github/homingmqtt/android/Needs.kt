// What the parts of an app need of a client at a time: the screen, a service and a job each say so, the strongest need counts.

package io.github.homingmqtt.android

import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow

internal enum class Need {
    /** Nobody needs it. */
    Nothing,

    /** A job is under way: the store must be open. */
    Open,

    /** Somebody looks on, or a service keeps the connection. */
    Connected,
}

/** All needs of one client. */
internal class Needs {
    private val held = mutableListOf<Need>()
    private val strongest = MutableStateFlow(Need.Nothing)
    private var followers = 0

    val now: StateFlow<Need> = strongest.asStateFlow()

    /** Whether somebody acts on the needs: a job leaves the client as it wants it then. */
    val followed: Boolean get() = synchronized(held) { followers > 0 }

    /** Until the answer is closed. */
    fun hold(need: Need): AutoCloseable {
        change { held.add(need) }
        return once { change { held.remove(need) } }
    }

    fun follow(): AutoCloseable {
        synchronized(held) { followers++ }
        return once { synchronized(held) { followers-- } }
    }

    private fun change(act: () -> Unit) =
        synchronized(held) {
            act()
            strongest.value = held.maxOrNull() ?: Need.Nothing
        }

    private fun once(act: () -> Unit): AutoCloseable {
        var closed = false
        return AutoCloseable {
            val first = synchronized(held) { !closed.also { closed = true } }
            if (first) act()
        }
    }
}
