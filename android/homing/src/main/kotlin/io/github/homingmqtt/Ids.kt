package io.github.homingmqtt

/**
 * The id of a published message: unique within its store for the store's whole life, rising in publish order.
 *
 * [toString] is a text to be kept, [parse] reads it again. Ids of different stores are ordered by store.
 */
public class MessageId internal constructor(
    /** The store that gave the id: 32 hexadecimal digits. */
    public val store: String,
    /** The number within the store. */
    public val number: Long,
) : Comparable<MessageId> {
    override fun compareTo(other: MessageId): Int = compareValuesBy(this, other, MessageId::store, MessageId::number)

    override fun equals(other: Any?): Boolean = other is MessageId && number == other.number && store == other.store

    override fun hashCode(): Int = 31 * store.hashCode() + number.hashCode()

    /** The store, a hyphen, the number. */
    override fun toString(): String = "$store-$number"

    /** Reads ids. */
    public companion object {
        /**
         * An id from [toString].
         *
         * @throws HomingException.Invalid if it is none
         */
        public fun parse(text: String): MessageId = parseId("message id", text, ::MessageId)
    }
}

/**
 * The place of a received message in its store's inbox: rises with arrival, holes are normal.
 *
 * Recorded together with your own data it gives exactly once to the end. [toString] is a text to be kept, [parse] reads it
 * again. Positions of different stores are ordered by store.
 */
public class Position internal constructor(
    /** The store that the message stands in: 32 hexadecimal digits. */
    public val store: String,
    /** The number within the store. */
    public val number: Long,
) : Comparable<Position> {
    override fun compareTo(other: Position): Int = compareValuesBy(this, other, Position::store, Position::number)

    override fun equals(other: Any?): Boolean = other is Position && number == other.number && store == other.store

    override fun hashCode(): Int = 31 * store.hashCode() + number.hashCode()

    /** The store, a hyphen, the number. */
    override fun toString(): String = "$store-$number"

    /** Reads positions. */
    public companion object {
        /**
         * A position from [toString].
         *
         * @throws HomingException.Invalid if it is none
         */
        public fun parse(text: String): Position = parseId("position", text, ::Position)
    }
}

private val ID = Regex("([0-9a-fA-F]{32})-([0-9]{1,19})")

private fun <T> parseId(
    what: String,
    text: String,
    make: (String, Long) -> T,
): T {
    val parts = ID.matchEntire(text)?.groupValues
    val number = parts?.get(2)?.toLongOrNull()
    if (parts == null || number == null) {
        // The text itself is not repeated: it may be anything, of any length.
        throw HomingException.Invalid("$what: 32 hexadecimal digits, a hyphen and a number are taken, as toString gave them")
    }
    return make(parts[1].lowercase(), number)
}
