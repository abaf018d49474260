package io.github.homingmqtt.internal

import io.github.homingmqtt.HomingException
import java.nio.file.FileSystems
import java.nio.file.Path
import java.time.Instant
import kotlin.time.Duration
import kotlin.time.Duration.Companion.days
import kotlin.time.Duration.Companion.milliseconds

/** A text that UTF-8 can carry. */
internal fun text(
    what: String,
    text: String,
): String {
    var at = 0
    while (at < text.length) {
        val char = text[at]
        if (char.isSurrogate()) {
            val whole = char.isHighSurrogate() && at + 1 < text.length && text[at + 1].isLowSurrogate()
            if (!whole) {
                throw HomingException.Invalid(
                    "$what: half of a surrogate pair at index $at, which is no Unicode; give whole characters",
                )
            }
            at++
        }
        at++
    }
    return text
}

/** The store's file: the native library knows only the machine's own file system. */
internal fun file(store: Path): String {
    if (store.fileSystem != FileSystems.getDefault()) {
        throw HomingException.Invalid("store: $store lies in another file system than the default one; name a file in that")
    }
    return text("store", store.toString())
}

internal fun texts(
    what: String,
    texts: List<String>,
): List<String> = texts.map { text(what, it) }

/** Whole milliseconds: less than one is one, for zero often means something else. */
internal fun milliseconds(
    what: String,
    time: Duration,
): Long {
    if (time.isNegative()) throw HomingException.Invalid("$what: $time is negative")
    val whole = time.inWholeMilliseconds
    return if (whole.milliseconds < time && whole < Long.MAX_VALUE) whole + 1 else whole
}

/** Unix time; a moment further off than 64 bits reach is the last one that they do. */
internal fun unixMilliseconds(moment: Instant): Long =
    try {
        moment.toEpochMilli()
    } catch (_: ArithmeticException) {
        if (moment.epochSecond < 0) Long.MIN_VALUE else Long.MAX_VALUE
    }

/** A time to wait for: as good as for ever is a year, which no clock of the other side overflows at. */
internal fun deadline(time: Duration): Long = milliseconds("deadline", time.coerceAtMost(365.days))

internal fun number(
    what: String,
    number: Long,
    range: LongRange,
): Long {
    if (number !in range) throw HomingException.Invalid("$what: $number; ${range.first} to ${range.last} are taken")
    return number
}

internal fun short(
    what: String,
    number: Int,
): UShort = number(what, number.toLong(), 1L..65_535L).toUShort()
