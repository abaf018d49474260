// Waiting for a condition on Robolectric's main thread.

package io.github.homingmqtt.support

import android.os.Looper
import org.robolectric.Shadows.shadowOf
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource

/** Lets the main thread work until it is so; the time only bounds a test that hangs. */
internal fun until(
    what: String,
    patience: Duration = 20.seconds,
    condition: () -> Boolean,
) {
    val start = TimeSource.Monotonic.markNow()
    while (!condition()) {
        check(start.elapsedNow() < patience) { "not within $patience: $what" }
        shadowOf(Looper.getMainLooper()).idle()
        Thread.sleep(5)
    }
}
