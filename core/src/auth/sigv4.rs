//! AWS Signature Version 4 of one request: the GET that opens a WebSocket to AWS IoT (docs/adr/0017-broker-profiles.md).

use ring::digest::{SHA256, digest};
use ring::hmac::HMAC_SHA256;

use super::{hex, mac, url_encoded};
use crate::model::profile::AwsKeys;
use crate::model::utc::compact;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "iotdevicegateway";
/// Where AWS IoT takes WebSockets.
const PATH: &str = "/mqtt";

/// What a signing key is good for.
pub(super) struct Scope<'a> {
    pub(super) date_time: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl Scope<'_> {
    fn date(&self) -> &str {
        &self.date_time[..8]
    }

    fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date(), self.region, self.service)
    }

    pub(super) fn key(&self, secret: &str) -> Vec<u8> {
        let first = format!("AWS4{secret}").into_bytes();
        let parts = [self.date(), self.region, self.service, "aws4_request"];
        parts.iter().fold(first, |key, part| mac(HMAC_SHA256, &key, part.as_bytes()).as_ref().to_vec())
    }
}

/// The signature of a canonical request.
pub(super) fn signature(canonical_request: &str, scope: &Scope<'_>, secret: &str) -> String {
    let digest = hex(digest(&SHA256, canonical_request.as_bytes()).as_ref());
    let to_sign = format!("{ALGORITHM}\n{}\n{}\n{digest}", scope.date_time, scope.text());
    hex(mac(HMAC_SHA256, &scope.key(secret), to_sign.as_bytes()).as_ref())
}

/// Path and query of the WebSocket request to `host` (with its port, unless that is 443) at `now_s`, Unix seconds.
pub(super) fn target(host: &str, region: &str, keys: &AwsKeys, now_s: u64) -> String {
    let date_time = compact(now_s);
    let scope = Scope { date_time: &date_time, region, service: SERVICE };
    let credential = format!("{}/{}", keys.access_key_id, scope.text());
    let query = format!(
        "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={date_time}&X-Amz-SignedHeaders=host",
        url_encoded(&credential)
    );
    let no_payload = hex(digest(&SHA256, b"").as_ref());
    let request = format!("GET\n{PATH}\n{query}\nhost:{host}\n\nhost\n{no_payload}");
    let signature = signature(&request, &scope, &keys.secret_access_key);
    let mut target = format!("{PATH}?{query}&X-Amz-Signature={signature}");
    if let Some(token) = &keys.session_token {
        // AWS IoT wants it outside of what is signed, unlike other services.
        target.push_str(&format!("&X-Amz-Security-Token={}", url_encoded(token)));
    }
    target
}
