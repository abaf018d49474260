//! Azure IoT Hub: a shared access signature of the device's name and an expiry, with which the hub ends the link.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::HMAC_SHA256;

use super::{mac, url_encoded};
use crate::model::credentials::Credentials;
use crate::model::profile::AzureIotHub;

const API_VERSION: &str = "2021-04-12";

pub(super) fn credentials(hub: &AzureIotHub, now_s: u64) -> Credentials {
    let user = format!("{}/{}/?api-version={API_VERSION}", hub.hub(), hub.device());
    let expiry = now_s.saturating_add(hub.lifetime_s());
    let credentials = Credentials::new(user, Some(token(hub, expiry).into_bytes()));
    match UNIX_EPOCH.checked_add(Duration::from_secs(expiry)) {
        Some(at) => credentials.until(at),
        None => credentials,
    }
}

pub(super) fn token(hub: &AzureIotHub, expiry: u64) -> String {
    let resource = format!("{}/devices/{}", hub.hub(), hub.device());
    let resource = url_encoded(&resource);
    let code = STANDARD.encode(mac(HMAC_SHA256, hub.key(), format!("{resource}\n{expiry}").as_bytes()));
    format!("SharedAccessSignature sr={resource}&sig={}&se={expiry}", url_encoded(&code))
}
