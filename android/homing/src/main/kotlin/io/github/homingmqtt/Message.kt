package io.github.homingmqtt

import io.github.homingmqtt.internal.text
import java.time.Instant
import kotlin.time.Duration

/** Quality of service of MQTT. */
public enum class QoS {
    /** 0: sent once, never acknowledged. */
    AtMostOnce,

    /** 1: sent until acknowledged; may arrive twice. */
    AtLeastOnce,

    /** 2: arrives exactly once. */
    ExactlyOnce,
}

/** Which of the two queues a message stands in; each keeps its own order (P5). */
public enum class Lane {
    /** The usual one. */
    Normal,

    /** Goes before every normal message that was not sent yet. */
    Urgent,
}

/** What becomes of a message whose QoS or retain flag the broker does not support. */
public enum class IfUnsupported {
    /** It ends with [Fate.Refused]. */
    Refuse,

    /** It goes with less; [Fate.Delivered.downgraded] says so. */
    Downgrade,

    /** It is set aside ([Fate.Parked]) until a broker takes it. */
    Park,
}

/** A user property of MQTT 5: names may stand more than once. */
public data class UserProperty(
    /** Its name. */
    public val name: String,
    /** Its value. */
    public val value: String,
) {
    /** Without the value (P12). */
    override fun toString(): String = "UserProperty(name=$name)"
}

/** MQTT 5 properties of a message; MQTT 3.1.1 carries none of them. Each text has at most 65,535 bytes. */
public class Properties(
    /** The payload is UTF-8 text. */
    public val payloadIsUtf8: Boolean = false,
    /** MIME type or the like. */
    public val contentType: String? = null,
    /** Where an answer should go. */
    public val responseTopic: String? = null,
    /** Which request an answer belongs to. */
    public val correlationData: ByteArray? = null,
    /** User properties, in order. */
    public val user: List<UserProperty> = emptyList(),
    /** Received messages: the identifiers of the subscriptions that matched. Ignored when publishing. */
    public val subscriptionIds: List<Int> = emptyList(),
    /** Received messages: what was left of the time to live at arrival. Ignored when publishing. */
    public val expiry: Duration? = null,
) {
    override fun equals(other: Any?): Boolean =
        other is Properties &&
            payloadIsUtf8 == other.payloadIsUtf8 &&
            contentType == other.contentType &&
            responseTopic == other.responseTopic &&
            correlationData.contentEquals(other.correlationData) &&
            user == other.user &&
            subscriptionIds == other.subscriptionIds &&
            expiry == other.expiry

    override fun hashCode(): Int =
        listOf(payloadIsUtf8, contentType, responseTopic, correlationData.contentHashCode(), user, subscriptionIds, expiry)
            .hashCode()

    /** Says what is there, not what it says (P12). */
    override fun toString(): String = "Properties(contentType=$contentType, responseTopic=$responseTopic, user=${user.size})"

    /** The absence of properties. */
    public companion object {
        /** None at all. */
        public val None: Properties = Properties()
    }
}

/** A message to be published. The payload is not copied before it is handed in: do not change it until then. */
public class Publish(
    /** Topic name. */
    public val topic: String,
    /** The content; at most [Options.maxPayload] bytes. */
    public val payload: ByteArray,
    /** Quality of service. */
    public val qos: QoS = QoS.AtLeastOnce,
    /** The broker keeps it as the topic's retained message. */
    public val retain: Boolean = false,
    /**
     * If it cannot be sent within this time it expires ([Fate.Expired]); what is left when it is sent goes on as MQTT 5's
     * message expiry interval. Null: no limit.
     */
    public val ttl: Duration? = null,
    /** Which queue. */
    public val lane: Lane = Lane.Normal,
    /** A later message with the same key takes the place of this one while it waits. 1 to 255 bytes. */
    public val supersede: String? = null,
    /** Handing in the same key again within 7 days stores nothing and gives the first message's id. 1 to 255 bytes. */
    public val idempotency: String? = null,
    /** What to do about a broker that does not support its QoS or retain flag. */
    public val ifUnsupported: IfUnsupported = IfUnsupported.Refuse,
    /** MQTT 5 properties. */
    public val properties: Properties = Properties.None,
) {
    /**
     * A message whose content is text, in UTF-8.
     *
     * @throws HomingException.Invalid if the text is no Unicode
     */
    public constructor(
        topic: String,
        text: String,
        qos: QoS = QoS.AtLeastOnce,
        retain: Boolean = false,
        ttl: Duration? = null,
        lane: Lane = Lane.Normal,
        supersede: String? = null,
        idempotency: String? = null,
        ifUnsupported: IfUnsupported = IfUnsupported.Refuse,
        properties: Properties = Properties.None,
    ) : this(
        topic,
        text("text", text).encodeToByteArray(),
        qos,
        retain,
        ttl,
        lane,
        supersede,
        idempotency,
        ifUnsupported,
        properties,
    )

    override fun equals(other: Any?): Boolean =
        other is Publish &&
            topic == other.topic &&
            payload.contentEquals(other.payload) &&
            qos == other.qos &&
            retain == other.retain &&
            ttl == other.ttl &&
            lane == other.lane &&
            supersede == other.supersede &&
            idempotency == other.idempotency &&
            ifUnsupported == other.ifUnsupported &&
            properties == other.properties

    override fun hashCode(): Int = 31 * topic.hashCode() + payload.contentHashCode()

    /** Without the payload (P12). */
    override fun toString(): String = "Publish(topic=$topic, ${payload.size} bytes, qos=$qos, retain=$retain)"
}

/** A received message, as it stands in the inbox. */
public class Message(
    /** Its place; what [Consumer.done] takes with the message. */
    public val position: Position,
    /** The topic that it came on. */
    public val topic: String,
    /** The content. */
    public val payload: ByteArray,
    /** The QoS that it was delivered with. */
    public val qos: QoS,
    /** The broker sent it as a retained message. */
    public val retained: Boolean,
    /** A retained message that says again what the topic's last value says already. */
    public val replay: Boolean,
    /** The broker marked it as perhaps delivered before; a hint only. */
    public val maybeDuplicate: Boolean,
    /** When it was stored, by the wall clock of that moment. */
    public val receivedAt: Instant,
    /** MQTT 5 properties. */
    public val properties: Properties = Properties.None,
) {
    /** The content as UTF-8 text; what is not UTF-8 in it becomes U+FFFD. */
    public val text: String get() = payload.decodeToString()

    override fun equals(other: Any?): Boolean =
        other is Message &&
            position == other.position &&
            topic == other.topic &&
            payload.contentEquals(other.payload) &&
            qos == other.qos &&
            retained == other.retained &&
            replay == other.replay &&
            maybeDuplicate == other.maybeDuplicate &&
            receivedAt == other.receivedAt &&
            properties == other.properties

    override fun hashCode(): Int = position.hashCode()

    /** Without the payload (P12). */
    override fun toString(): String = "Message(position=$position, topic=$topic, ${payload.size} bytes, qos=$qos)"
}

/** When the broker sends retained messages for a subscription; MQTT 5 only. */
public enum class RetainHandling {
    /** Each time that it is made. */
    Always,

    /** Only if it is new: a repeated one brings no doubles. */
    IfNew,

    /** Never. */
    Never,
}

/** A durable wish to receive: kept in the store, and made again whenever the broker has lost it (P8). */
public data class Subscription(
    /** Topic filter. */
    public val filter: String,
    /** The highest QoS wanted. */
    public val qos: QoS = QoS.AtLeastOnce,
    /** Not what this client published; forbidden for shared subscriptions. */
    public val noLocal: Boolean = false,
    /** Keep the retain flag as it was published. */
    public val retainAsPublished: Boolean = false,
    /** Retained messages when it is made. */
    public val retainHandling: RetainHandling = RetainHandling.IfNew,
    /** Comes back with each message that matched; 1 to 268,435,455. */
    public val id: Int? = null,
)
