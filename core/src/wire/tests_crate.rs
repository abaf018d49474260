//! Why some packets are not left to the codec crate (0.25.1). When one of these fails after an upgrade, the crate has been
//! mended and own code can go.

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::v5;

#[test]
fn its_disconnect_is_longer_than_it_says() {
    let mut out = BytesMut::new();
    v5::Disconnect::new(v5::DisconnectReasonCode::ProtocolError).write(&mut out).unwrap();
    assert_eq!(&out[..], b"\xe0\x01\x82\x00", "one byte announced, two written");
}

#[test]
fn its_connect_spoils_what_the_buffer_held() {
    let connect = v5::Connect { keep_alive: 0, client_id: String::new(), clean_start: true, properties: None };
    let mut out = BytesMut::from(&[0xaa; 12][..]);
    connect.write(&None, &None, &mut out).unwrap();
    assert_ne!(&out[..12], &[0xaa; 12]);
}

#[test]
fn its_login_leaves_out_an_empty_user_name() {
    let mut out = BytesMut::new();
    assert_eq!(v5::Login::new("", "password").write(&mut out) & 0x80, 0);
}

#[test]
fn its_readers_refuse_reasons_they_do_not_know() {
    let mut stream = BytesMut::from(&[0x40, 3, 0, 1, 0x92][..]);
    assert!(v5::Packet::read(&mut stream, None).is_err());
    let mut stream = BytesMut::from(&[0xe0, 1, 0x8b][..]);
    assert!(v5::Packet::read(&mut stream, None).is_err());
}

#[test]
fn its_property_cursor_passes_the_section_into_the_payload() {
    let mut stream = BytesMut::from(&b"\x30\x10\x00\x01t\x02\x02\x00\x00\x00\x01payload"[..]);
    assert!(v5::Packet::read(&mut stream, None).is_ok());
}
