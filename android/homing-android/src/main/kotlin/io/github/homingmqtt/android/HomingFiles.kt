// Where a store lies on Android: in the folder that no backup and no move to another device takes along.

package io.github.homingmqtt.android

import android.content.Context
import java.io.File
import java.io.IOException
import java.nio.channels.FileChannel
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardCopyOption
import java.nio.file.StandardOpenOption
import java.security.SecureRandom

/**
 * The files of one store, in `noBackupFilesDir/homing`.
 *
 * A store that is put back from a backup remembers a past that the broker does not share, so it stays out of backups; should
 * one be copied all the same, the device token tells (docs/backup.md).
 *
 * @param context any; for a store that is used before the first unlock, `createDeviceProtectedStorageContext()`.
 * @param name one for each store of the app: letters, digits, `-`, `_` and `.`.
 * @throws IllegalArgumentException another character in [name], or none.
 */
public class HomingFiles(
    context: Context,
    name: String = DEFAULT_NAME,
) {
    init {
        require(name.matches(NAME)) { "name: one or more letters, digits, '-', '_' and '.', the first one no '.'" }
    }

    private val folder = File(context.noBackupFilesDir, "homing")
    private val token = File(folder, "device-token")

    /** The store's file; its helpers (`-wal`, `-shm`, `-lock`, …) lie beside it. */
    public val store: Path = File(folder, "$name.db").toPath()

    /**
     * What names this installation: 16 random bytes, made once and the same for all stores of the app. Also makes the folder.
     * Blocks on the disk.
     *
     * @throws IOException the folder or the file cannot be used, as before the first unlock after a restart.
     */
    public fun deviceToken(): ByteArray =
        readOrCreate(token) { ByteArray(TOKEN_BYTES).also { SecureRandom().nextBytes(it) } }

    /** Names. */
    public companion object {
        /** The store's name if the app has only one. */
        public const val DEFAULT_NAME: String = "homing"
        private const val TOKEN_BYTES = 16
        private val NAME = Regex("[A-Za-z0-9_-][A-Za-z0-9._-]*")
    }
}

/** One thread at a time here; the file lock beside it keeps other processes of the app out, which would make another one. */
private val making = Any()

/** The content of [file]; if there is none, that of [create], on the disk before this returns. */
internal fun readOrCreate(
    file: File,
    create: () -> ByteArray,
): ByteArray =
    synchronized(making) {
        if (file.exists()) return file.readBytes()
        val folder = file.absoluteFile.parentFile!!.toPath()
        Files.createDirectories(folder)
        val lock = folder.resolve("making-lock")
        FileChannel.open(lock, StandardOpenOption.CREATE, StandardOpenOption.WRITE).use { channel ->
            channel.lock().use {
                if (file.exists()) file.readBytes() else create().also { write(file, it) }
            }
        }
    }

private fun write(
    file: File,
    content: ByteArray,
) {
    val part = File("${file.path}.part")
    part.outputStream().use {
        it.write(content)
        it.fd.sync()
    }
    Files.move(part.toPath(), file.toPath(), StandardCopyOption.ATOMIC_MOVE)
    // The new name too must survive a power cut: a store whose key is gone is gone itself.
    FileChannel.open(file.absoluteFile.parentFile!!.toPath(), StandardOpenOption.READ).use { it.force(true) }
}
