//! Tencent IoT Hub: the user name carries its own expiry, the password signs it.

use hmac::Hmac;
use sha1::Sha1;
use sha2::Sha256;

use super::{hex, mac};
use crate::model::credentials::Credentials;
use crate::model::profile::{Hmac as Hash, Tencent};

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
    let (code, name) = match tencent.hash() {
        Hash::Sha256 => (mac::<Hmac<Sha256>>(tencent.secret(), user.as_bytes()), "hmacsha256"),
        Hash::Sha1 => (mac::<Hmac<Sha1>>(tencent.secret(), user.as_bytes()), "hmacsha1"),
    };
    format!("{};{name}", hex(&code))
}
