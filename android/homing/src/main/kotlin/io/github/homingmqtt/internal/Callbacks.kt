package io.github.homingmqtt.internal

import io.github.homingmqtt.AwsKeyProvider
import io.github.homingmqtt.Challenge
import io.github.homingmqtt.Credentials
import io.github.homingmqtt.CredentialsException
import io.github.homingmqtt.CredentialsProvider
import io.github.homingmqtt.CredentialsRequest
import io.github.homingmqtt.StoreKeyProvider
import io.github.homingmqtt.TrustCheck
import io.github.homingmqtt.ffi.AuthChallenge
import io.github.homingmqtt.ffi.AwsKeySet
import io.github.homingmqtt.ffi.CallbackException
import io.github.homingmqtt.ffi.CredentialSet
import io.github.homingmqtt.ffi.CredentialsAsk
import io.github.homingmqtt.ffi.CredentialsReason
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import java.security.cert.CertificateException
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import io.github.homingmqtt.ffi.AwsKeyProvider as FfiAwsKeyProvider
import io.github.homingmqtt.ffi.CredentialsProvider as FfiCredentialsProvider
import io.github.homingmqtt.ffi.EnhancedAuthentication as FfiEnhancedAuthentication
import io.github.homingmqtt.ffi.StoreKeyProvider as FfiStoreKeyProvider
import io.github.homingmqtt.ffi.TrustCheck as FfiTrustCheck

/** What an app's callback threw, without its words: they may hold a secret. Errors of the machine are told alike. */
private fun crossed(error: Throwable): CallbackException =
    when (error) {
        is CredentialsException.Unavailable -> CallbackException.Unavailable()
        is CredentialsException.SignedOut -> CallbackException.SignedOut()
        is CredentialsException.BrokerNotTrusted -> CallbackException.NotTrusted()
        else -> CallbackException.Failed()
    }

/** On a thread that may block: the default ones are as few as cores. */
private suspend fun <T> answer(callback: suspend () -> T): T =
    try {
        withContext(Dispatchers.IO) { callback() }
    } catch (error: CancellationException) {
        // The caller is gone, or the callback's own time-out: both are no answer.
        throw crossed(error)
    } catch (
        @Suppress("TooGenericExceptionCaught") error: Throwable,
    ) {
        throw crossed(error)
    }

internal fun Credentials.cross(): CredentialSet =
    CredentialSet(
        user = text("user name", user),
        password = password,
        // One that no clock reaches is none.
        expiresAtMs = expiresAt?.let(::unixMilliseconds)?.takeIf { it != Long.MAX_VALUE },
        enhanced = enhanced?.let { FfiEnhancedAuthentication(text("authentication method", it.method), it.data) },
    )

internal class CredentialsAsked(
    private val provider: CredentialsProvider,
) : FfiCredentialsProvider {
    override suspend fun credentials(ask: CredentialsAsk): CredentialSet =
        answer {
            val why =
                when (ask.reason) {
                    CredentialsReason.FIRST -> CredentialsRequest.Why.First
                    CredentialsReason.RECONNECT -> CredentialsRequest.Why.Reconnect
                    CredentialsReason.EXPIRED -> CredentialsRequest.Why.Expired
                    CredentialsReason.REFUSED -> CredentialsRequest.Why.Refused
                }
            provider.credentials(CredentialsRequest(why, ask.refused?.toInt(), ask.host, ask.port.toInt())).cross()
        }

    override suspend fun continueExchange(challenge: AuthChallenge): ByteArray? =
        answer { provider.continueExchange(challenge.public()) }

    override suspend fun finishExchange(challenge: AuthChallenge) = answer { provider.finishExchange(challenge.public()) }

    private fun AuthChallenge.public() = Challenge(method, data, round.toInt())
}

internal class AwsKeysAsked(
    private val provider: AwsKeyProvider,
) : FfiAwsKeyProvider {
    override suspend fun keys(): AwsKeySet =
        answer {
            val keys = provider.keys()
            AwsKeySet(
                text("access key id", keys.accessKeyId),
                text("secret access key", keys.secretAccessKey),
                keys.sessionToken?.let { text("session token", it) },
            )
        }
}

internal class StoreKeyAsked(
    private val provider: StoreKeyProvider,
) : FfiStoreKeyProvider {
    override fun key(): ByteArray =
        try {
            provider.key()
        } catch (
            @Suppress("TooGenericExceptionCaught") error: Throwable,
        ) {
            throw crossed(error)
        }
}

internal class TrustAsked(
    private val trust: TrustCheck,
) : FfiTrustCheck {
    override fun check(
        chain: List<ByteArray>,
        host: String,
    ): String? =
        try {
            val factory = CertificateFactory.getInstance("X.509")
            trust.check(chain.map { factory.generateCertificate(it.inputStream()) as X509Certificate }, host)
            null
        } catch (error: CertificateException) {
            error.message ?: "the app does not trust it"
        } catch (
            @Suppress("TooGenericExceptionCaught") error: Throwable,
        ) {
            throw crossed(error)
        }
}
