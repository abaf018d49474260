package io.github.homingmqtt

import kotlin.time.Duration

/** The service that the broker belongs to. It computes the credentials, knows the limits and keeps the pace of a service. */
public sealed interface Profile {
    /** None of these. */
    public data object Generic : Profile

    /** Tencent IoT Hub. */
    public class Tencent(
        /** Product. */
        public val productId: String,
        /** Device. */
        public val deviceName: String,
        /** The device's key in base64. */
        public val secret: String,
        /** Signs with HMAC-SHA-1 in place of SHA-256. */
        public val sha1: Boolean = false,
        /** Null: the product's own. */
        public val host: String? = null,
        /** How long a signature is good; null: an hour. */
        public val lifetime: Duration? = null,
    ) : Profile {
        override fun toString(): String = "Tencent(productId=$productId, deviceName=$deviceName)"
    }

    /** AWS IoT Core. */
    public class Aws(
        /** The account's endpoint. */
        public val endpoint: String,
        /** How the device is known. */
        public val access: AwsAccess,
    ) : Profile {
        override fun toString(): String = "Aws(endpoint=$endpoint, access=$access)"
    }

    /** Azure IoT Hub. */
    public class AzureIotHub(
        /** The hub. */
        public val hub: String,
        /** The device. */
        public val deviceId: String,
        /** The device's key in base64. */
        public val key: String,
        /** How long a token is good; null: an hour. */
        public val lifetime: Duration? = null,
    ) : Profile {
        override fun toString(): String = "AzureIotHub(hub=$hub, deviceId=$deviceId)"
    }

    /** Azure Event Grid's MQTT 5 broker. */
    public data class AzureEventGrid(
        /** The namespace's MQTT host. */
        public val host: String,
        /** The client's session name. */
        public val clientId: String,
    ) : Profile
}

/** How AWS IoT Core knows the device. */
public sealed interface AwsAccess {
    /** By the certificate in [Tls.certificate], on port 8883. */
    public data object X509 : AwsAccess

    /** By the certificate in [Tls.certificate], on port 443. */
    public data object X509On443 : AwsAccess

    /** By an authorizer of the account. */
    public class CustomAuthorizer(
        /** User name. */
        public val user: String,
        /** The authorizer's name; null: the account's default. */
        public val name: String? = null,
        /** The token's key. */
        public val tokenKey: String? = null,
        /** The token. */
        public val token: String? = null,
        /** Its signature. */
        public val signature: String? = null,
        /** Password. */
        public val password: ByteArray? = null,
    ) : AwsAccess {
        override fun toString(): String = "CustomAuthorizer(name=$name)"
    }

    /** By a signed URL, over `wss://`. */
    public class SigV4(
        /** Keys for each connect. */
        public val keys: AwsKeyProvider,
        /** Null: out of the endpoint. */
        public val region: String? = null,
    ) : AwsAccess {
        override fun toString(): String = "SigV4(region=$region)"
    }
}
