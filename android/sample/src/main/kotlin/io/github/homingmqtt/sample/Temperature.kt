// A temperature as it arrives: topic `home/<room>/temperature`, degrees as text.

package io.github.homingmqtt.sample

import io.github.homingmqtt.Message
import java.util.Locale

/** The last temperature of one room. */
data class Temperature(
    val room: String,
    val degrees: Double,
) {
    /** For a person. */
    override fun toString(): String = String.format(Locale.ROOT, "%s  %.1f °C", room, degrees)

    companion object {
        /** All rooms. */
        const val FILTER = "home/+/temperature"

        /** Null: another topic, or no number. */
        fun of(message: Message): Temperature? {
            val (home, room, kind) = message.topic.split('/').takeIf { it.size == 3 } ?: return null
            if (home != "home" || kind != "temperature") return null
            return message.text.toDoubleOrNull()?.let { Temperature(room, it) }
        }
    }
}
