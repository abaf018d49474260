//! Vectors: those of docs/clouds.md, AWS's own, and others computed apart with Python's `hmac`.

use super::sigv4::{Scope, signature, target};
use super::{azure, credentials, hex, tencent};
use crate::model::credentials::Credentials;
use crate::model::profile::{Aws, AwsKeys, AzureIotHub, CustomAuthorizer, Hmac, Profile, Tencent};

/// The 16 characters 0123456789abcdef.
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";
/// 00 to ff in steps of 11, begun with ff ef: no text.
const BYTES: &str = "/+8AESIzRFVmd4iZqrvM3Q==";
const NOW: u64 = 1_700_000_000;

fn password(credentials: &Credentials) -> String {
    String::from_utf8(credentials.password.clone().unwrap()).unwrap()
}

#[test]
fn tencents_password_is_the_published_one() {
    let user = "ABCDE12345dev01;12010126;Y4DQ5;2147483647";
    let profile = Tencent::new("ABCDE12345", "dev01", SECRET).unwrap();
    let sha256 = "573a0eefc689c50c900b860839a6d4dc2c251aeaecfcf2b965037b0ca13ffca0;hmacsha256";
    assert_eq!(tencent::password(&profile, user), sha256);
    let sha1 = "eaa96328af4f736abd944be95cd79d78d0e8dece;hmacsha1";
    assert_eq!(tencent::password(&profile.hmac(Hmac::Sha1), user), sha1);
}

#[test]
fn tencents_user_name_is_fresh_and_its_password_signs_it() {
    let device = Tencent::new("PROD0000XY", "a:b-c_1", BYTES).unwrap();
    let made = credentials(&Profile::Tencent(device.clone()), NOW, [0, 1, 10, 61, 9]).unwrap();
    assert_eq!(made.user, "PROD0000XYa:b-c_1;12010126;01Az9;1700003600");
    assert_eq!(password(&made), "cdee6c75c0c8bc7f9fbe1bddf3a2d14ff19bc2432262fa1a887baeef180e3430;hmacsha256");
    let made = credentials(&Profile::Tencent(device.hmac(Hmac::Sha1)), NOW, [0, 1, 10, 61, 9]).unwrap();
    assert_eq!(password(&made), "988fd40ccd25128a93c57084918a9044acd14597;hmacsha1");
    let long = Tencent::new("P", "d", SECRET).unwrap().lifetime(std::time::Duration::from_secs(86_400)).unwrap();
    let made = credentials(&Profile::Tencent(long), NOW, [255; 5]).unwrap();
    assert_eq!(made.user, "Pd;12010126;77777;1700086400");
    assert_eq!(made.expires_at, None, "it is looked at when a link begins only");
}

#[test]
fn azures_token_is_the_published_one() {
    let hub = AzureIotHub::new("contoso", "MyDevice01", SECRET).unwrap();
    let expected = "SharedAccessSignature sr=contoso.azure-devices.net%2Fdevices%2FMyDevice01\
                    &sig=HU4%2FwkdJAAHol5GaWpkN1l0qbYLo3q8pYshdrKGNVkA%3D&se=2147483647";
    assert_eq!(azure::token(&hub, 2_147_483_647), expected);
}

#[test]
fn azures_token_encodes_what_a_device_may_be_called_and_ends_with_its_expiry() {
    let hub = AzureIotHub::new("Hub-2.azure-devices.net", "dev%a:@1", BYTES).unwrap();
    let made = credentials(&Profile::AzureIotHub(hub), NOW, [0; 5]).unwrap();
    assert_eq!(made.user, "hub-2.azure-devices.net/dev%a:@1/?api-version=2021-04-12");
    let expected = "SharedAccessSignature sr=hub-2.azure-devices.net%2Fdevices%2Fdev%25a%3A%401\
                    &sig=5hvqqf9LlZSugsU06C9Uq%2Bay320xn5opkZs34tCScJA%3D&se=1700003600";
    assert_eq!(password(&made), expected);
    assert_eq!(made.expires_ms(), Some(1_700_003_600_000), "others are asked for before the hub ends the link");
}

#[test]
fn an_authorizer_is_given_what_it_wants_behind_the_user_name() {
    let made = |authorizer| {
        let aws = Aws::custom("a-ats.iot.eu-west-1.amazonaws.com", authorizer).unwrap();
        credentials(&Profile::Aws(aws), NOW, [0; 5]).unwrap()
    };
    let authorizer = CustomAuthorizer::new("me", Some("mine")).unwrap();
    let signed = authorizer.clone().token("tokenKey", "a b&c", Some("q+/9AA==")).unwrap().password("secret");
    let signed = made(signed);
    let user =
        "me?x-amz-customauthorizer-name=mine&x-amz-customauthorizer-signature=q%2B%2F9AA%3D%3D&tokenKey=a%20b%26c";
    assert_eq!((signed.user.as_str(), password(&signed).as_str()), (user, "secret"));
    let unsigned = made(authorizer.token("t", "1", None).unwrap());
    assert_eq!((unsigned.user.as_str(), unsigned.password.as_ref()), ("me?x-amz-customauthorizer-name=mine&t=1", None));
    assert_eq!(made(CustomAuthorizer::new("me", None).unwrap()).user, "me");
}

#[test]
fn signing_keys_and_signatures_are_those_that_aws_publishes() {
    // "Deriving the signing key" of AWS's general reference.
    let scope = Scope { date_time: "20150830T123600Z", region: "us-east-1", service: "iam" };
    let key = scope.key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    assert_eq!(hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    // "Authenticating requests: using query parameters" of the S3 reference.
    let scope = Scope { date_time: "20130524T000000Z", region: "us-east-1", service: "s3" };
    let request = "GET\n/test.txt\nX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F\
                   us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\n\
                   host:examplebucket.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD";
    let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert_eq!(signature(request, &scope, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), expected);
}

#[test]
fn a_websocket_to_aws_iot_is_asked_for_with_a_signed_query_and_the_token_behind_it() {
    let host = "abc-ats.iot.eu-west-1.amazonaws.com";
    let keys = |token| AwsKeys::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token).unwrap();
    let expected = "/mqtt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Feu-west-1%2F\
                    iotdevicegateway%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host\
                    &X-Amz-Signature=685703c300f2e8eeadb76be593a041c790e95bbbff8c16fddc0b4ba1628dee21";
    assert_eq!(target(host, "eu-west-1", &keys(None), 1_440_938_160), expected);
    let with_token = format!("{expected}&X-Amz-Security-Token=a%2Bb%2Fc%3D");
    assert_eq!(target(host, "eu-west-1", &keys(Some("a+b/c=")), 1_440_938_160), with_token);
}
