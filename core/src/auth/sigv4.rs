//! AWS Signature Version 4 of one request: the GET that opens a WebSocket to AWS IoT (docs/adr/0017-broker-profiles.md).

use hmac::Hmac;
use sha2::{Digest, Sha256};

use super::{hex, mac, url_encoded};
use crate::model::profile::AwsKeys;

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
        parts.iter().fold(first, |key, part| mac::<Hmac<Sha256>>(&key, part.as_bytes()))
    }
}

/// The signature of a canonical request.
pub(super) fn signature(canonical_request: &str, scope: &Scope<'_>, secret: &str) -> String {
    let digest = hex(&Sha256::digest(canonical_request.as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{}\n{}\n{digest}", scope.date_time, scope.text());
    hex(&mac::<Hmac<Sha256>>(&scope.key(secret), to_sign.as_bytes()))
}

/// Path and query of the WebSocket request to `host` (with its port, unless that is 443) at `now_s`, Unix seconds.
pub(super) fn target(host: &str, region: &str, keys: &AwsKeys, now_s: u64) -> String {
    let date_time = date_time(now_s);
    let scope = Scope { date_time: &date_time, region, service: SERVICE };
    let credential = format!("{}/{}", keys.access_key_id, scope.text());
    let query = format!(
        "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={date_time}&X-Amz-SignedHeaders=host",
        url_encoded(&credential)
    );
    let no_payload = hex(&Sha256::digest(b""));
    let request = format!("GET\n{PATH}\n{query}\nhost:{host}\n\nhost\n{no_payload}");
    let signature = signature(&request, &scope, &keys.secret_access_key);
    let mut target = format!("{PATH}?{query}&X-Amz-Signature={signature}");
    if let Some(token) = &keys.session_token {
        // AWS IoT wants it outside of what is signed, unlike other services.
        target.push_str(&format!("&X-Amz-Security-Token={}", url_encoded(token)));
    }
    target
}

/// As in 20150830T123600Z.
pub(super) fn date_time(now_s: u64) -> String {
    let (days, of_day) = (now_s / 86_400, now_s % 86_400);
    // Days from the civil calendar (H. Hinnant, "chrono-compatible low-level date algorithms"): years that begin in March.
    let since = days + 719_468;
    let (era, day_of_era) = (since / 146_097, since % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}
