// Where jobs and services, which Android makes, find the client, which the app makes.

package io.github.homingmqtt.android

import android.content.Context
import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.SyncReport
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.filterNotNull
import kotlinx.coroutines.flow.getAndUpdate
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

/** Implemented by the app's `Application`, which owns the one client of the process. */
public interface HomingOwner {
    /** The client; made with the application, opened on first use. */
    public val homing: SharedHoming

    /**
     * Called by the job of [SyncJobs] after each sync, in what is left of the job's time: to read what has come and show it. It
     * is cancelled when Android ends the job. An exception is logged, and the job done again later.
     */
    public suspend fun onSynced(
        homing: Homing,
        report: SyncReport,
    ) {
    }
}

internal fun Context.owner(): HomingOwner =
    checkNotNull(applicationContext as? HomingOwner) {
        "${applicationContext.javaClass.name} is no HomingOwner: let the app's Application class implement it, and name " +
            "it in the manifest (android:name of <application>)"
    }

/**
 * Opens a client on first use, and keeps it: a store takes one client at a time (P11).
 *
 * Let it be opened with `connect = false`: then it is [followLifecycle], a [ConnectionService] and a job that connect, and a process
 * that Android starts for a job makes no connection but the job's.
 *
 * @param begin does what belongs to a client that was opened: [followNetwork], subscriptions. If it fails the client is closed.
 * @param open opens the client, and does nothing else.
 */
public class SharedHoming(
    private val begin: suspend (Homing) -> Unit = {},
    private val open: suspend () -> Homing,
) {
    private val one = Mutex()

    private val held = MutableStateFlow<Homing?>(null)

    /** The client, if it is open; the app may have closed it by its own call. */
    internal val opened: Homing? get() = held.value?.takeIf { it.state.value !is ConnectionState.Closed }

    /** Each one that was opened, the newest at once. */
    internal val clients: Flow<Homing> = held.filterNotNull()

    internal val needs = Needs()

    /**
     * The client. Whoever comes while it is being opened waits; after a failure, and if the client was closed, the next one
     * opens it again.
     *
     * @throws io.github.homingmqtt.HomingException and whatever else opening throws.
     */
    public suspend fun get(): Homing = exclusively { opened ?: begun(open()).also { held.value = it } }

    private suspend fun begun(homing: Homing): Homing {
        try {
            begin(homing)
        } catch (
            @Suppress("TooGenericExceptionCaught") error: Throwable,
        ) {
            // Nobody has it, and it would hold the store's lock.
            withContext(NonCancellable + Dispatchers.IO) { homing.close() }
            throw error
        }
        return homing
    }

    /**
     * [Homing.shutDown] if there is a client; [get] opens another.
     *
     * @throws io.github.homingmqtt.HomingException.Storage as [Homing.shutDown] does.
     */
    public suspend fun shutDown(deadline: Duration = 5.seconds) {
        exclusively {
            held.getAndUpdate { null }?.shutDown(deadline)
        }
    }

    /** Off the caller's thread: one that waits for the main thread must not keep the lock from others. */
    private suspend fun <T> exclusively(act: suspend () -> T): T =
        withContext(Dispatchers.Default) { one.withLock { act() } }
}
