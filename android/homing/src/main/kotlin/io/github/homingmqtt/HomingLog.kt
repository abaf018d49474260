package io.github.homingmqtt

import io.github.homingmqtt.internal.Native
import io.github.homingmqtt.ffi.LogLevel as FfiLogLevel
import io.github.homingmqtt.ffi.LogSink as FfiLogSink

/** How much is logged. */
public enum class LogLevel {
    /** Errors. */
    Error,

    /** And warnings. */
    Warn,

    /** And what happens to the link. */
    Info,

    /** And decisions. */
    Debug,

    /** And packets, never their payloads. */
    Trace,
}

/** Takes lines of the log. */
public fun interface LogSink {
    /**
     * One line, without payloads or secrets (P12). Called on a thread of its own: a sink that blocks loses lines and holds
     * up nothing else. What it throws is dropped.
     */
    public fun log(
        level: LogLevel,
        target: String,
        text: String,
    )
}

/** The log of all clients of this process. */
public object HomingLog {
    /**
     * Hands the log to the app from now on.
     *
     * @throws HomingException.Invalid at the second call: a process has one log
     */
    public fun install(
        level: LogLevel,
        sink: LogSink,
    ) {
        Native.load()
        val crossed =
            when (level) {
                LogLevel.Error -> FfiLogLevel.ERROR
                LogLevel.Warn -> FfiLogLevel.WARN
                LogLevel.Info -> FfiLogLevel.INFO
                LogLevel.Debug -> FfiLogLevel.DEBUG
                LogLevel.Trace -> FfiLogLevel.TRACE
            }
        Native.now {
            io.github.homingmqtt.ffi
                .setLog(crossed, LogLines(sink))
        }
    }
}

private class LogLines(
    private val sink: LogSink,
) : FfiLogSink {
    override fun log(
        level: FfiLogLevel,
        target: String,
        text: String,
    ) {
        val told =
            when (level) {
                FfiLogLevel.ERROR -> LogLevel.Error
                FfiLogLevel.WARN -> LogLevel.Warn
                FfiLogLevel.INFO -> LogLevel.Info
                FfiLogLevel.DEBUG -> LogLevel.Debug
                FfiLogLevel.TRACE -> LogLevel.Trace
            }
        try {
            sink.log(told, target, text)
        } catch (
            @Suppress("TooGenericExceptionCaught") _: Throwable,
        ) {
            // An app's own trouble with its log is not ours to mend, and JNA would print each error with its stack.
        }
    }
}
