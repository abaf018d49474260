package io.github.homingmqtt

import io.github.homingmqtt.internal.text
import java.time.Instant

/** Where the credentials of a CONNECT come from: [Credentials], or a [CredentialsProvider] that makes them. */
public sealed interface CredentialsSource

/** How an MQTT 5 client begins enhanced authentication. */
public class EnhancedAuthentication(
    /** The authentication method, `SCRAM-SHA-256` for instance. */
    public val method: String,
    /** The data that goes with CONNECT; at most 65,535 bytes. */
    public val data: ByteArray? = null,
) {
    override fun equals(other: Any?): Boolean =
        other is EnhancedAuthentication && method == other.method && data.contentEquals(other.data)

    override fun hashCode(): Int = 31 * method.hashCode() + data.contentHashCode()

    /** Without the data. */
    override fun toString(): String = "EnhancedAuthentication(method=$method)"
}

/** What a CONNECT says of who we are. Never stored and never printed. */
public class Credentials(
    /** User name. */
    public val user: String,
    /** Password; at most 65,535 bytes. */
    public val password: ByteArray? = null,
    /** From when on the broker will not take them any more; a provider is asked for others before. Null: not known. */
    public val expiresAt: Instant? = null,
    /** Enhanced authentication; MQTT 5 only. */
    public val enhanced: EnhancedAuthentication? = null,
) : CredentialsSource {
    /**
     * With a password that is text, in UTF-8.
     *
     * @throws HomingException.Invalid if the text is no Unicode
     */
    public constructor(user: String, password: String, expiresAt: Instant? = null) :
        this(user, text("password", password).encodeToByteArray(), expiresAt)

    override fun equals(other: Any?): Boolean =
        other is Credentials &&
            user == other.user &&
            password.contentEquals(other.password) &&
            expiresAt == other.expiresAt &&
            enhanced == other.enhanced

    override fun hashCode(): Int = 31 * user.hashCode() + password.contentHashCode()

    /** Nothing of what they are. */
    override fun toString(): String = "Credentials(redacted)"
}

/** What a provider is asked for. */
public data class CredentialsRequest(
    /** Why. */
    public val why: Why,
    /** The broker's reason, if it refused the last ones. */
    public val refused: Int?,
    /** The broker's host. */
    public val host: String,
    /** And its port. */
    public val port: Int,
) {
    /** The reasons to ask. */
    public enum class Why {
        /** The first CONNECT since the client was opened. */
        First,

        /** Another connection; nothing is wrong with the last ones. */
        Reconnect,

        /** The last ones have expired, or will soon, or [Homing.credentialsChanged] was called. */
        Expired,

        /** The broker refused the last ones: what is cached should not be given again. */
        Refused,
    }
}

/** A step of an exchange: what the broker sent. */
public class Challenge(
    /** The method that the credentials named. */
    public val method: String,
    /** The broker's data. */
    public val data: ByteArray?,
    /** Counts the broker's steps, from 1; at most 10 are taken. */
    public val round: Int,
) {
    override fun equals(other: Any?): Boolean =
        other is Challenge && method == other.method && data.contentEquals(other.data) && round == other.round

    override fun hashCode(): Int = 31 * method.hashCode() + data.contentHashCode()

    /** Without the data. */
    override fun toString(): String = "Challenge(method=$method, round=$round)"
}

/**
 * What a [CredentialsProvider], [AwsKeyProvider] or [StoreKeyProvider] may throw. Whatever else it throws counts as
 * [Unavailable]. Messages stay in the app: they might hold a secret.
 */
public sealed class CredentialsException(
    message: String,
    cause: Throwable?,
) : Exception(message, cause) {
    /** Not now; asked again after the usual back-off. */
    public class Unavailable(
        message: String = "not available now",
        cause: Throwable? = null,
    ) : CredentialsException(message, cause)

    /** Not before somebody does something. Asked again after 5 minutes, or after [Homing.credentialsChanged]. */
    public class SignedOut(
        message: String = "signed out",
        cause: Throwable? = null,
    ) : CredentialsException(message, cause)

    /** The broker could not prove who it is: the link is closed. */
    public class BrokerNotTrusted(
        message: String = "the broker is not trusted",
        cause: Throwable? = null,
    ) : CredentialsException(message, cause)
}

/**
 * Makes credentials for each CONNECT; one call at a time, on [kotlinx.coroutines.Dispatchers.IO], so it may block.
 *
 * Each answer is waited for at most 30 s (15 s in an exchange), then the call is cancelled.
 */
public fun interface CredentialsProvider : CredentialsSource {
    /**
     * Called before each CONNECT, and ahead of the expiry of those in use.
     *
     * @throws CredentialsException the attempt to connect has failed then
     */
    public suspend fun credentials(request: CredentialsRequest): Credentials

    /**
     * The answer to a step of the broker's (AUTH); the default knows none.
     *
     * @throws CredentialsException the link is closed then
     */
    public suspend fun continueExchange(challenge: Challenge): ByteArray? =
        throw CredentialsException.SignedOut("the broker wants an exchange that this provider does not know")

    /**
     * The broker says that the exchange has succeeded; the default trusts it.
     *
     * @throws CredentialsException the link is closed then
     */
    public suspend fun finishExchange(challenge: Challenge) {}
}

/** Keys of AWS. Never stored and never printed. */
public class AwsKeys(
    /** Access key id. */
    public val accessKeyId: String,
    /** Secret access key. */
    public val secretAccessKey: String,
    /** Session token of temporary keys. */
    public val sessionToken: String? = null,
) {
    /** Nothing of what they are. */
    override fun toString(): String = "AwsKeys(redacted)"
}

/** Makes the keys of AWS for each signed URL; may block. */
public fun interface AwsKeyProvider {
    /**
     * The keys for the next connect.
     *
     * @throws CredentialsException the attempt to connect has failed then
     */
    public suspend fun keys(): AwsKeys
}

/** Hands out the key of an encrypted store. */
public fun interface StoreKeyProvider {
    /** 32 bytes; asked each time that the file is opened. It may block, and whatever it throws means that there is none. */
    public fun key(): ByteArray
}
