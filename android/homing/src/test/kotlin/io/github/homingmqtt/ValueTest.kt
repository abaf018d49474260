package io.github.homingmqtt

import io.github.homingmqtt.ffi.defaultSettings
import io.github.homingmqtt.internal.Native
import io.github.homingmqtt.internal.cross
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.file.Path
import java.time.Instant

/** Values: defaults, equality, texts. */
class ValueTest {
    @Test
    fun `the defaults are those of the core`() {
        Native.load()
        assertEquals(defaultSettings("home.db"), Options(Path.of("home.db")).cross())
    }

    @Test
    fun `ids and positions are values with a text`() {
        val text = "0123456789abcdef0123456789abcdef-42"
        val id = MessageId.parse(text)
        assertEquals(text, id.toString())
        assertEquals(id, MessageId.parse(text.uppercase()))
        assertEquals(id.hashCode(), MessageId.parse(text).hashCode())
        assertTrue(id < MessageId.parse("0123456789abcdef0123456789abcdef-100"))
        val position = Position.parse(text)
        assertEquals(text, position.toString())
        assertEquals(42L, position.number)
        assertTrue(position < Position.parse("f".repeat(32) + "-1"))
    }

    @Test
    fun `bytes are compared by what they are`() {
        val makes =
            listOf<(Byte) -> Any>(
                { Publish("home", byteArrayOf(it)) },
                { Properties(correlationData = byteArrayOf(it)) },
                {
                    Message(
                        Position.parse("0".repeat(32) + "-1"),
                        "home",
                        byteArrayOf(it),
                        QoS.AtMostOnce,
                        false,
                        false,
                        false,
                        Instant.EPOCH,
                    )
                },
                { Credentials("anna", byteArrayOf(it)) },
                { EnhancedAuthentication("SCRAM", byteArrayOf(it)) },
                { Challenge("SCRAM", byteArrayOf(it), 1) },
                { Trust.Roots(byteArrayOf(it)) },
            )
        for (make in makes) {
            assertEquals(make(1), make(1))
            assertEquals(make(1).hashCode(), make(1).hashCode())
            assertNotEquals(make(1), make(2))
        }
    }

    @Test
    fun `credentials that never expire have no expiry`() {
        assertNull(Credentials("anna", expiresAt = Instant.MAX).cross().expiresAtMs)
        assertEquals(Long.MIN_VALUE, Credentials("anna", expiresAt = Instant.MIN).cross().expiresAtMs)
        assertEquals(0L, Credentials("anna", expiresAt = Instant.EPOCH).cross().expiresAtMs)
    }

    @Test
    fun `no secret and no payload is in a text`() {
        val secret = "secret-4711"
        val values =
            listOf(
                Credentials(secret, secret),
                EnhancedAuthentication("SCRAM", secret.encodeToByteArray()),
                Challenge("SCRAM", secret.encodeToByteArray(), 1),
                AwsKeys(secret, secret, secret),
                ClientCertificate(secret.encodeToByteArray(), secret.encodeToByteArray()),
                Proxy.Url("http://anna:$secret@host"),
                Header("Authorization", secret),
                Profile.Tencent("product", "device", secret),
                Profile.AzureIotHub("hub", "device", secret),
                Profile.Aws(
                    "endpoint",
                    AwsAccess.CustomAuthorizer(secret, token = secret, password = secret.encodeToByteArray()),
                ),
                Tls(certificate = ClientCertificate(secret.encodeToByteArray(), secret.encodeToByteArray())),
                Publish("home", secret),
                Message(
                    Position.parse("0".repeat(32) + "-1"),
                    "home",
                    secret.encodeToByteArray(),
                    QoS.AtMostOnce,
                    false,
                    false,
                    false,
                    Instant.EPOCH,
                ),
                UserProperty("token", secret),
                Properties(correlationData = secret.encodeToByteArray(), user = listOf(UserProperty("token", secret))),
                Options(Path.of("home.db"), "mqtt://anna:$secret@host", credentials = Credentials(secret, secret)),
            )
        for (value in values) assertFalse(secret in value.toString(), "$value")
    }
}
