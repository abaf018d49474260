package io.github.homingmqtt

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlin.io.path.absolutePathString
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

/** Runs a test on real dispatchers, and bounds it: far above what is normal. */
fun test(
    limit: Duration = 60.seconds,
    body: suspend CoroutineScope.() -> Unit,
): Unit = runBlocking(Dispatchers.Default) { withTimeout(limit) { body() } }

/** Asks again until it holds; the bound is the test's. */
suspend fun until(condition: suspend () -> Boolean) {
    while (!condition()) delay(POLL_MS)
}

private const val POLL_MS = 5L

/** Options of a client that stays offline. */
fun offline(store: Path): Options = Options(store, connect = false)

suspend fun Homing.online(): ConnectionState = state.first { it is ConnectionState.Online }

/** The error that must come. */
suspend inline fun <reified E : Throwable> fails(body: suspend () -> Unit): E {
    try {
        body()
    } catch (error: Throwable) {
        if (error is E) return error
        throw AssertionError("${E::class.simpleName} was awaited, and this came: $error", error)
    }
    throw AssertionError("${E::class.simpleName} was awaited, and nothing came")
}

/** A JVM of its own, with the class path of this one; its standard output is read by [onLine]. */
fun jvm(
    main: String,
    vararg arguments: String,
): Process {
    val java = Path.of(System.getProperty("java.home"), "bin", "java").absolutePathString()
    val classes = System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path")
    return ProcessBuilder(java, "-cp", classes, main, *arguments)
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start()
}

/** SIGKILL, and the end of it. */
fun Process.kill() {
    destroyForcibly()
    check(waitFor(30, TimeUnit.SECONDS)) { "a killed process lives" }
}
