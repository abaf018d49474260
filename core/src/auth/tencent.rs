//! Tencent IoT Hub: the user name carries its own expiry, the password signs it.

use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256};

use super::{hex, mac};
use crate::model::credentials::Credentials;
use crate::model::profile::{Hmac, Tencent};

/// The service's number for this kind of client.
const SDK_APP_ID: &str = "12010126";

pub(super) fn credentials(tencent: &Tencent, now_s: u64, random: [u8; 5]) -> Credentials {
    const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let connection: String = random.iter().map(|byte| char::from(ALPHANUMERIC[usize::from(*byte) % 62])).collect();
    let expiry = now_s.saturating_add(tencent.lifetime_s());
    let user = format!("{};{SDK_APP_ID};{connection};{expiry}", tencent.id());
    let password = password(tencent, &user);
    // Looked at when a link begins only: the standing one needs no others.
    Credentials::new(user, Some(password.into_bytes()))
}

pub(super) fn password(tencent: &Tencent, user: &str) -> String {
    let (hash, name) = match tencent.hash() {
        Hmac::Sha256 => (HMAC_SHA256, "hmacsha256"),
        Hmac::Sha1 => (HMAC_SHA1_FOR_LEGACY_USE_ONLY, "hmacsha1"),
    };
    format!("{};{name}", hex(mac(hash, tencent.secret(), user.as_bytes()).as_ref()))
}
