package io.github.homingmqtt.internal

import com.sun.jna.CallbackThreadInitializer
import com.sun.jna.Platform
import io.github.homingmqtt.HomingException
import io.github.homingmqtt.ffi.Canceller
import io.github.homingmqtt.ffi.ErrorCode
import io.github.homingmqtt.ffi.FfiException
import io.github.homingmqtt.ffi.InternalException
import io.github.homingmqtt.ffi.uniffiCallbackInterfaceAwsKeyProvider
import io.github.homingmqtt.ffi.uniffiCallbackInterfaceCredentialsProvider
import io.github.homingmqtt.ffi.uniffiCallbackInterfaceLogSink
import io.github.homingmqtt.ffi.uniffiCallbackInterfaceStoreKeyProvider
import io.github.homingmqtt.ffi.uniffiCallbackInterfaceTrustCheck
import io.github.homingmqtt.ffi.uniffiEnsureInitialized
import io.github.homingmqtt.ffi.uniffiRustFutureContinuationCallbackImpl
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import java.nio.charset.CharacterCodingException

/** The way into the native library: every call goes through here, so that nothing but our own errors comes back. */
internal object Native {
    private val loaded: Throwable? by lazy {
        try {
            uniffiEnsureInitialized()
            attach()
            null
        } catch (error: LinkageError) {
            error
        } catch (error: RuntimeException) {
            error
        }
    }

    /** Loads the library once; whatever is wrong with it is said in words, each time again. */
    fun load() {
        val error = loaded ?: return
        val machine = if (Platform.isAndroid()) "Android ${System.getProperty("os.arch")}" else Platform.RESOURCE_PREFIX
        throw HomingException.Unsupported(
            "the native library homing_ffi for $machine cannot be loaded; on Android it stands in jniLibs, elsewhere in " +
                "the jar in a folder of that name, and it must be of the same build as this jar (${error.message})",
            error,
        )
    }

    /**
     * Threads of the library that call in: by JNA's default each call attaches its thread to the JVM and detaches it again,
     * and a thread that hangs in an app's callback keeps the process alive.
     */
    private fun attach() {
        val callbacks =
            listOf(
                uniffiRustFutureContinuationCallbackImpl,
                uniffiCallbackInterfaceLogSink.log,
                uniffiCallbackInterfaceTrustCheck.check,
                uniffiCallbackInterfaceStoreKeyProvider.key,
                uniffiCallbackInterfaceCredentialsProvider.credentials,
                uniffiCallbackInterfaceCredentialsProvider.continueExchange,
                uniffiCallbackInterfaceCredentialsProvider.finishExchange,
                uniffiCallbackInterfaceAwsKeyProvider.keys,
            )
        val daemon = CallbackThreadInitializer(true, false, "homing")
        for (callback in callbacks) {
            com.sun.jna.Native
                .setCallbackThreadInitializer(callback, daemon)
        }
    }

    private val asking = CoroutineScope(SupervisorJob())

    /**
     * Runs one question off the caller's thread: what crosses is copied there, and no answer ever runs the caller's code on
     * a thread of the library.
     *
     * A caller that is cancelled goes at once; the question goes on to its end, and [late] lets go of its answer. It is
     * never dropped in the middle: uniffi loses what a dropped future has already answered, a client with its lock too.
     */
    suspend fun <T> ask(
        dispatcher: CoroutineDispatcher = Dispatchers.Default,
        late: (T) -> Unit = {},
        question: suspend () -> T,
    ): T {
        val asked = asking.async(dispatcher) { question() }
        try {
            return asked.await()
        } catch (error: CancellationException) {
            @OptIn(ExperimentalCoroutinesApi::class)
            asked.invokeOnCompletion { failed -> if (failed == null) late(asked.getCompleted()) }
            throw error
        } catch (error: Exception) {
            throw readable(error)
        }
    }

    /** A question that may wait for long: the one of a caller that is cancelled ends at once, and has taken nothing. */
    suspend fun <T> wait(question: suspend (Canceller) -> T): T {
        val canceller = now { Canceller() }
        try {
            // Let go of by the question: one that has only just begun would hand in a canceller that is no more.
            return ask { canceller.use { question(it) } }
        } catch (error: CancellationException) {
            try {
                canceller.cancel()
            } catch (_: IllegalStateException) {
                // The question has ended meanwhile.
            }
            throw error
        }
    }

    /** A question that is answered at once. */
    inline fun <T> now(question: () -> T): T =
        try {
            question()
        } catch (error: Exception) {
            throw readable(error)
        }

    /** Our own kind of error, whatever came. */
    fun readable(error: Exception): HomingException =
        when (error) {
            is HomingException -> {
                error
            }

            is FfiException.Failed -> {
                failed(error.code, error.text)
            }

            // The library's words about a panic are left out: they may quote a message (P12).
            is InternalException -> {
                HomingException.Internal("the native library failed in a way that it never should; please report it")
            }

            is CharacterCodingException -> {
                HomingException.Invalid("a text holds half of a surrogate pair, which is no Unicode; give whole characters")
            }

            // Said of an object that was closed.
            is IllegalStateException -> {
                closed()
            }

            else -> {
                HomingException.Internal("unexpected ${error.javaClass.name}; please report it", error)
            }
        }

    fun closed(): HomingException = HomingException.Closed("it was closed; open it again")

    private fun failed(
        code: ErrorCode,
        text: String,
    ): HomingException =
        when (code) {
            ErrorCode.INVALID -> HomingException.Invalid(text)

            ErrorCode.UNSUPPORTED -> HomingException.Unsupported(text)

            ErrorCode.STORE_IN_USE -> HomingException.StoreInUse(text)

            ErrorCode.STORE_TOO_NEW -> HomingException.StoreTooNew(text)

            ErrorCode.NOT_A_STORE -> HomingException.NotAStore(text)

            ErrorCode.STORE_UNAVAILABLE -> HomingException.StoreUnavailable(text)

            ErrorCode.STORE_DAMAGED -> HomingException.StoreDamaged(text)

            ErrorCode.WRONG_KEY -> HomingException.WrongKey(text)

            ErrorCode.CLIENT_ID_MISMATCH -> HomingException.ClientIdMismatch(text)

            ErrorCode.PAYLOAD_TOO_LARGE -> HomingException.PayloadTooLarge(text)

            ErrorCode.LIMIT_REACHED -> HomingException.LimitReached(text)

            ErrorCode.STORAGE_FULL -> HomingException.StorageFull(text)

            ErrorCode.STORAGE -> HomingException.Storage(text)

            ErrorCode.UNKNOWN -> HomingException.Unknown(text)

            ErrorCode.OFFLINE -> HomingException.Offline(text)

            ErrorCode.CLOSED -> HomingException.Closed(text)

            ErrorCode.PAUSED -> HomingException.Paused(text)

            ErrorCode.NO_SUCH_CONSUMER -> HomingException.NoSuchConsumer(text)

            ErrorCode.CONSUMER_DIFFERS -> HomingException.ConsumerDiffers(text)

            ErrorCode.NO_SUCH_MESSAGE -> HomingException.NoSuchMessage(text)

            ErrorCode.NOT_PARKED -> HomingException.NotParked(text)

            // Nothing here hands out a canceller, so nothing is cancelled on that side.
            ErrorCode.CANCELLED, ErrorCode.INTERNAL -> HomingException.Internal(text)
        }
}
