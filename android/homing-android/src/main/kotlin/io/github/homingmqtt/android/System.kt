// The system's services, and its log: for what no call can return, without payloads, credentials or keys (P12).

package io.github.homingmqtt.android

import android.content.Context
import android.util.Log

private const val TAG = "Homing"

internal fun warn(
    what: String,
    error: Throwable? = null,
) {
    Log.w(TAG, if (error == null) what else "$what: ${error.message ?: error.javaClass.simpleName}")
}

internal inline fun <reified T : Any> Context.service(): T =
    checkNotNull(getSystemService(T::class.java)) { "this device has no ${T::class.java.simpleName}" }

/** What calls something newer than API 26, after a look at the device's version: the build lets it through only here. */
@Target(AnnotationTarget.FUNCTION)
@Retention(AnnotationRetention.BINARY)
internal annotation class NewerAndroid
