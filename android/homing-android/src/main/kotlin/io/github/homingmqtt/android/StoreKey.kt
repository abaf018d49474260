// The key of an encrypted store: 32 random bytes, wrapped by a key that never leaves the device's keystore.

package io.github.homingmqtt.android

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import io.github.homingmqtt.StoreKeyProvider
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import java.io.File
import java.io.IOException
import java.nio.file.Files
import java.nio.file.Path
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.ProviderException
import java.security.SecureRandom
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/** Why the key of an encrypted store cannot be had. Nothing was changed: neither the store nor what wraps its key. */
public sealed class StoreKeyException(
    message: String,
    cause: Throwable?,
) : Exception(message, cause) {
    /**
     * The key is gone for good, and with it what the store holds: the entry of the keystore was deleted or invalidated, or the
     * wrapped key beside the store is missing or damaged. A new store is never made in its place silently: the app decides,
     * and calls [StoreKey.forget] after it has moved the old store away.
     */
    public class Lost internal constructor(
        message: String,
        cause: Throwable? = null,
    ) : StoreKeyException(message, cause)

    /** The keystore or the file cannot be used now, as before the first unlock after a restart; try again later. */
    public class Unavailable internal constructor(
        message: String,
        cause: Throwable,
    ) : StoreKeyException(message, cause)
}

/**
 * The 32-byte key of one encrypted store, for [io.github.homingmqtt.Options.key].
 *
 * The bytes are random and made once. On disk they lie only wrapped: encrypted with AES-256-GCM by a key in `AndroidKeyStore`,
 * in the file `<store>.key` beside the store, in a folder that no backup holds (see [HomingFiles]). Android removes the entry of
 * the keystore when the app is uninstalled or its data is cleared, and never copies it to another device; a store that was
 * copied there cannot be read.
 *
 * It needs no unlocked screen, so that jobs can sync in the night. Stores of one app need different file names.
 */
public class StoreKey private constructor(
    store: Path,
) : StoreKeyProvider {
    private val store: File = store.toAbsolutePath().toFile()
    private val wrapped = File("${this.store.path}.key")
    private val alias = "homing:${this.store.name}"

    /**
     * The key, as Homing asks for it when it opens the file. Blocks, for some milliseconds as a rule, on the keystore's service
     * and on the disk.
     *
     * @throws StoreKeyException as [load] does.
     */
    override fun key(): ByteArray {
        var made: ByteArray? = null
        val sealed =
            attempt("read or write ${wrapped.name}") {
                readOrCreate(wrapped) {
                    if (store.exists()) throw orphan()
                    val key = ByteArray(KEY_BYTES).also { SecureRandom().nextBytes(it) }
                    made = key
                    wrap(key)
                }
            }
        return made ?: unwrap(sealed)
    }

    private fun delete() {
        keystore("delete the entry $alias") { it.deleteEntry(alias) }
        attempt("delete ${wrapped.name}") { Files.deleteIfExists(wrapped.toPath()) }
    }

    private fun orphan() =
        StoreKeyException.Lost(
            "the store ${store.name} is there, but its key ${wrapped.name} is not: without it nothing in the store can " +
                "be read, if it was made with one. Put both back together, or move the store away",
        )

    private fun wrap(key: ByteArray): ByteArray {
        // An entry of the keystore that has wrapped nothing is left over from a kill before the file was written.
        val wrapping = keystore("make the entry $alias") { it.secret(alias) ?: generate() }
        return attempt("wrap the key") {
            val cipher = Cipher.getInstance(TRANSFORMATION)
            cipher.init(Cipher.ENCRYPT_MODE, wrapping)
            byteArrayOf(FORMAT) + cipher.iv + cipher.doFinal(key)
        }
    }

    private fun unwrap(sealed: ByteArray): ByteArray {
        if (sealed.size != SEALED_BYTES || sealed[0] != FORMAT) {
            throw StoreKeyException.Lost(
                "the key ${wrapped.name} is damaged: ${sealed.size} bytes, format ${sealed.firstOrNull()}",
            )
        }
        val wrapping =
            keystore("read the entry $alias") { it.secret(alias) }
                ?: throw StoreKeyException.Lost(
                    "the keystore has no entry $alias any more: the app's data was restored from another device, or the " +
                        "device's credentials were cleared",
                )
        return attempt("unwrap the key") {
            val cipher = Cipher.getInstance(TRANSFORMATION)
            cipher.init(Cipher.DECRYPT_MODE, wrapping, GCMParameterSpec(TAG_BITS, sealed, 1, IV_BYTES))
            cipher.doFinal(sealed, 1 + IV_BYTES, sealed.size - 1 - IV_BYTES)
        }
    }

    private fun <T> keystore(
        what: String,
        use: (KeyStore) -> T,
    ): T = attempt(what) { use(KeyStore.getInstance(PROVIDER).apply { load(null) }) }

    private fun KeyStore.secret(alias: String): SecretKey? = getKey(alias, null) as SecretKey?

    private fun generate(): SecretKey {
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec =
            KeyGenParameterSpec
                .Builder(alias, purposes)
                .setKeySize(KEY_BYTES * Byte.SIZE_BITS)
                .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
                .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
                .build()
        return KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, PROVIDER).apply { init(spec) }.generateKey()
    }

    /** Only what says so for sure counts as lost: a keystore that is busy or restarting must not cost anybody a store. */
    private fun <T> attempt(
        what: String,
        act: () -> T,
    ): T =
        try {
            act()
        } catch (error: KeyPermanentlyInvalidatedException) {
            throw lost(what, error)
        } catch (error: AEADBadTagException) {
            throw lost(what, error)
        } catch (error: GeneralSecurityException) {
            throw unavailable(what, error)
        } catch (error: ProviderException) {
            throw unavailable(what, error)
        } catch (error: IOException) {
            throw unavailable(what, error)
        }

    private fun lost(
        what: String,
        cause: Exception,
    ) = StoreKeyException.Lost(
        "could not $what: the entry of the keystore is another one or was invalidated, so the store cannot be read any more",
        cause,
    )

    private fun unavailable(
        what: String,
        cause: Exception,
    ) = StoreKeyException.Unavailable(
        "could not $what now (${cause.message ?: cause.javaClass.simpleName}); try again later",
        cause,
    )

    /** Loads and forgets keys. */
    public companion object {
        /**
         * Makes sure of the key, so that a lost one is told in its own words and before anything is opened. Makes one if there
         * is neither a key nor a store.
         *
         * @param store the store's file, which need not exist yet: [HomingFiles.store].
         * @throws StoreKeyException the key is lost, or cannot be had now. Nothing was changed.
         */
        public suspend fun load(store: Path): StoreKey =
            withContext(Dispatchers.IO) { StoreKey(store).also { it.key().fill(0) } }

        /**
         * Deletes the key, wrapped and in the keystore: whatever was encrypted with it can never be read again. The store
         * itself is not touched; move it away before, or the next [load] fails for its sake.
         *
         * @throws StoreKeyException.Unavailable the keystore cannot be used now.
         */
        public suspend fun forget(store: Path): Unit = withContext(Dispatchers.IO) { StoreKey(store).delete() }

        private const val PROVIDER = "AndroidKeyStore"
        private const val TRANSFORMATION = "AES/GCM/NoPadding"
        private const val FORMAT: Byte = 1
        private const val KEY_BYTES = 32
        private const val IV_BYTES = 12
        private const val TAG_BITS = 128
        private const val SEALED_BYTES = 1 + IV_BYTES + KEY_BYTES + TAG_BITS / Byte.SIZE_BITS
    }
}
