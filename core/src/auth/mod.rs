//! Credentials that a broker profile computes for every CONNECT: pure functions of the profile, the time and randomness, and
//! the provider that calls them. Imports `model` only.

mod aws;
mod azure;
mod provider;
mod sigv4;
mod tencent;
#[cfg(test)]
mod tests;

pub(crate) use provider::ProfileCredentials;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use ring::hmac;

use crate::model::credentials::Credentials;
use crate::model::profile::{AwsAuth, Profile};

/// What stays as it is in a URL's component (RFC 3986, 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// User name and password for a CONNECT at `now_s` (Unix seconds). `random` makes the user name of Tencent fresh. None: the
/// profile computes none, or (AWS, Signature Version 4) a signed URL instead.
pub(crate) fn credentials(profile: &Profile, now_s: u64, random: [u8; 5]) -> Option<Credentials> {
    match profile {
        Profile::Tencent(tencent) => Some(tencent::credentials(tencent, now_s, random)),
        Profile::AzureIotHub(hub) => Some(azure::credentials(hub, now_s)),
        Profile::Aws(aws) => match aws.auth() {
            AwsAuth::Custom(authorizer) => Some(aws::credentials(authorizer)),
            AwsAuth::X509 | AwsAuth::SigV4 { .. } => None,
        },
        Profile::Generic | Profile::AzureEventGrid(_) => None,
    }
}

/// The code that authenticates `data`.
fn mac(hash: hmac::Algorithm, key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hash, key), data)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn url_encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}
