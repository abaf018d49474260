//! Every reason code of MQTT 5 as a named value; 3.1.1's return codes are translated to them.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($code:literal $name:ident $text:literal)*) => {
        /// A reason code [MQTT 5.0, 2.4]. Codes of 0x80 and above are failures.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "u8", into = "u8")]
        #[non_exhaustive]
        pub enum ReasonCode {
            $(#[doc = concat!("`", stringify!($code), "` ", $text, ".")] $name,)*
            /// A code that MQTT 5.0 does not define.
            Other(u8),
        }
        impl ReasonCode {
            /// The number on the wire.
            pub const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* Self::Other(code) => code }
            }
            /// The standard's words for it, in lower case.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* Self::Other(_) => "unknown reason" }
            }
        }
        impl From<u8> for ReasonCode {
            fn from(code: u8) -> Self {
                match code { $($code => Self::$name,)* other => Self::Other(other) }
            }
        }
    };
}

reasons! {
    0x00 Success "success"
    0x01 GrantedQos1 "granted QoS 1"
    0x02 GrantedQos2 "granted QoS 2"
    0x04 DisconnectWithWill "disconnect with will message"
    0x10 NoMatchingSubscribers "no matching subscribers"
    0x11 NoSubscriptionExisted "no subscription existed"
    0x18 ContinueAuthentication "continue authentication"
    0x19 ReAuthenticate "re-authenticate"
    0x80 UnspecifiedError "unspecified error"
    0x81 MalformedPacket "malformed packet"
    0x82 ProtocolError "protocol error"
    0x83 ImplementationSpecificError "implementation specific error"
    0x84 UnsupportedProtocolVersion "unsupported protocol version"
    0x85 ClientIdentifierNotValid "client identifier not valid"
    0x86 BadUserNameOrPassword "bad user name or password"
    0x87 NotAuthorized "not authorized"
    0x88 ServerUnavailable "server unavailable"
    0x89 ServerBusy "server busy"
    0x8A Banned "banned"
    0x8B ServerShuttingDown "server shutting down"
    0x8C BadAuthenticationMethod "bad authentication method"
    0x8D KeepAliveTimeout "keep alive timeout"
    0x8E SessionTakenOver "session taken over"
    0x8F TopicFilterInvalid "topic filter invalid"
    0x90 TopicNameInvalid "topic name invalid"
    0x91 PacketIdentifierInUse "packet identifier in use"
    0x92 PacketIdentifierNotFound "packet identifier not found"
    0x93 ReceiveMaximumExceeded "receive maximum exceeded"
    0x94 TopicAliasInvalid "topic alias invalid"
    0x95 PacketTooLarge "packet too large"
    0x96 MessageRateTooHigh "message rate too high"
    0x97 QuotaExceeded "quota exceeded"
    0x98 AdministrativeAction "administrative action"
    0x99 PayloadFormatInvalid "payload format invalid"
    0x9A RetainNotSupported "retain not supported"
    0x9B QosNotSupported "QoS not supported"
    0x9C UseAnotherServer "use another server"
    0x9D ServerMoved "server moved"
    0x9E SharedSubscriptionsNotSupported "shared subscriptions not supported"
    0x9F ConnectionRateExceeded "connection rate exceeded"
    0xA0 MaximumConnectTime "maximum connect time"
    0xA1 SubscriptionIdentifiersNotSupported "subscription identifiers not supported"
    0xA2 WildcardSubscriptionsNotSupported "wildcard subscriptions not supported"
}

impl ReasonCode {
    /// Whether it stands for a failure (0x80 and above).
    pub const fn is_failure(self) -> bool {
        self.code() >= 0x80
    }

    /// Whether it says that the broker does not want this client, or not with these credentials.
    pub(crate) const fn refuses_credentials(self) -> bool {
        matches!(
            self,
            Self::ClientIdentifierNotValid
                | Self::BadUserNameOrPassword
                | Self::NotAuthorized
                | Self::Banned
                | Self::BadAuthenticationMethod
        )
    }

    /// The MQTT 5 reason of a 3.1.1 CONNACK return code [MQTT 3.1.1, 3.2.2.3].
    pub const fn from_v4_connack(code: u8) -> Self {
        match code {
            0 => Self::Success,
            1 => Self::UnsupportedProtocolVersion,
            2 => Self::ClientIdentifierNotValid,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => Self::UnspecifiedError,
        }
    }
}

impl From<ReasonCode> for u8 {
    fn from(reason: ReasonCode) -> u8 {
        reason.code()
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x} {}", self.code(), self.text())
    }
}
