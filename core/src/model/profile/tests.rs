//! What makes a profile, and what is refused with the field's name.

use super::*;

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";

fn field<T: std::fmt::Debug>(made: Result<T, ProfileError>) -> (&'static str, &'static str) {
    let error = made.unwrap_err();
    assert!(error.to_string().starts_with(&format!("{} profile: {} ", error.service, error.field)), "{error}");
    (error.service, error.field)
}

#[test]
fn a_field_that_is_missing_or_wrong_is_named() {
    let tencent = |product: &str, device: &str, secret: &str| field(Tencent::new(product, device, secret));
    assert_eq!(tencent("", "d", SECRET), ("tencent", "product_id"));
    assert_eq!(tencent("a/b", "d", SECRET), ("tencent", "product_id"));
    assert_eq!(tencent("P", "", SECRET), ("tencent", "device_name"));
    assert_eq!(tencent("P", "a b", SECRET), ("tencent", "device_name"));
    assert_eq!(tencent("P", &"d".repeat(49), SECRET), ("tencent", "device_name"));
    for secret in ["", "no base64!", "MDEy=", "MDEyMzQ1Njc4OWFiY2RlZg"] {
        assert_eq!(tencent("P", "d", secret), ("tencent", "secret"), "{secret}");
    }
    let device = || Tencent::new("P", "d", SECRET).unwrap();
    assert_eq!(field(device().host("mqtt://h")), ("tencent", "host"));
    assert_eq!(field(device().lifetime(std::time::Duration::from_secs(59))), ("tencent", "lifetime"));

    let azure = |hub: &str, device: &str, key: &str| field(AzureIotHub::new(hub, device, key));
    assert_eq!(azure("", "d", SECRET), ("azure", "hub"));
    assert_eq!(azure("h/x", "d", SECRET), ("azure", "hub"));
    assert_eq!(azure("-h", "d", SECRET), ("azure", "hub"));
    assert_eq!(azure("h", "", SECRET), ("azure", "device_id"));
    assert_eq!(azure("h", &"d".repeat(129), SECRET), ("azure", "device_id"));
    assert_eq!(azure("h", "d/e", SECRET), ("azure", "device_id"));
    assert_eq!(azure("h", "d", "?"), ("azure", "key"));
    assert_eq!(field(AzureEventGrid::new("h", "")), ("azure", "client_id"));

    assert_eq!(field(Aws::x509("")), ("aws", "endpoint"));
    assert_eq!(field(Aws::x509("h:8883")), ("aws", "endpoint"));
    assert_eq!(field(AwsKeys::new("", "s", None)), ("aws", "access_key_id"));
    assert_eq!(field(AwsKeys::new("A", "", None)), ("aws", "secret_access_key"));
    assert_eq!(field(AwsKeys::new("A", "s", Some(""))), ("aws", "session_token"));
    assert_eq!(field(CustomAuthorizer::new("a?b", None)), ("aws", "user"));
    assert_eq!(field(CustomAuthorizer::new("a", Some("a b"))), ("aws", "authorizer"));
    let authorizer = CustomAuthorizer::new("a", None).unwrap();
    assert_eq!(field(authorizer.clone().token("", "t", None)), ("aws", "token_key"));
    assert_eq!(field(authorizer.clone().token("k", "", None)), ("aws", "token"));
    assert_eq!(field(authorizer.token("k", "t", Some("%2B"))), ("aws", "token_signature"));
    let keys = AwsKeySource::fixed(AwsKeys::new("A", "s", None).unwrap());
    assert_eq!(field(Aws::sigv4("broker.example", None, keys.clone())), ("aws", "region"));
    let named = Aws::sigv4("a-ats.iot.eu-west-1.amazonaws.com", None, keys).unwrap();
    assert!(matches!(named.auth(), AwsAuth::SigV4 { region, .. } if region == "eu-west-1"));
}

#[test]
fn each_profile_knows_its_broker_and_who_it_is() {
    let keys = AwsKeySource::fixed(AwsKeys::new("A", "s", None).unwrap());
    let endpoint = "a-ats.iot.eu-west-1.amazonaws.com";
    let authorizer = CustomAuthorizer::new("u", None).unwrap();
    let tencent = Tencent::new("ABCDE12345", "dev01", SECRET).unwrap();
    let known: Vec<(Profile, String, Option<&str>, Option<&str>)> = vec![
        (
            Profile::Tencent(tencent.clone()),
            "mqtt://abcde12345.iotcloud.tencentdevices.com:1883".to_owned(),
            Some("ABCDE12345dev01"),
            None,
        ),
        (
            Profile::Tencent(tencent.host("iot.example").unwrap()),
            "mqtt://iot.example:1883".to_owned(),
            Some("ABCDE12345dev01"),
            None,
        ),
        (Profile::Aws(Aws::x509(endpoint).unwrap()), format!("mqtts://{endpoint}:8883"), None, None),
        (
            Profile::Aws(Aws::x509_on_443(endpoint).unwrap()),
            format!("mqtts://{endpoint}:443"),
            None,
            Some("x-amzn-mqtt-ca"),
        ),
        (
            Profile::Aws(Aws::custom(endpoint, authorizer).unwrap()),
            format!("mqtts://{endpoint}:443"),
            None,
            Some("mqtt"),
        ),
        (Profile::Aws(Aws::sigv4(endpoint, None, keys).unwrap()), format!("wss://{endpoint}:443/mqtt"), None, None),
        (
            Profile::AzureIotHub(AzureIotHub::new("contoso", "dev", SECRET).unwrap()),
            "mqtts://contoso.azure-devices.net:8883".to_owned(),
            Some("dev"),
            None,
        ),
        (
            Profile::AzureEventGrid(AzureEventGrid::new("ns.example", "dev").unwrap()),
            "mqtts://ns.example:8883".to_owned(),
            Some("dev"),
            None,
        ),
    ];
    for (profile, broker, id, alpn) in known {
        assert_eq!(profile.broker().unwrap().to_string(), broker);
        assert_eq!(profile.client_id().map(|id| id.as_str()), id, "{broker}");
        assert_eq!(profile.alpn(), alpn, "{broker}");
    }
}

#[test]
fn no_secret_is_printed() {
    let keys = AwsKeys::new("AKID", "tops3cret", Some("t0ken")).unwrap();
    let token = CustomAuthorizer::new("u", None).unwrap().token("k", "t0ken", None).unwrap().password("tops3cret");
    let endpoint = "a-ats.iot.eu-west-1.amazonaws.com";
    let profiles = [
        Profile::Tencent(Tencent::new("P", "d", SECRET).unwrap()),
        Profile::AzureIotHub(AzureIotHub::new("h", "d", SECRET).unwrap()),
        Profile::Aws(Aws::custom(endpoint, token).unwrap()),
        Profile::Aws(Aws::sigv4(endpoint, None, AwsKeySource::fixed(keys.clone())).unwrap()),
    ];
    let printed = format!("{profiles:?} {keys:?}");
    for secret in ["tops3cret", "t0ken", SECRET, "0123456789", "[48, 49"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
