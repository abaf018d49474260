//! Packets as short words, for comparing sequences.

use crate::model::message::QoS;
use crate::model::reason::ReasonCode;
use crate::wire::packet::{Ack, Packet};

/// A short word for each packet, for comparing sequences.
pub(super) fn words(packets: &[Packet]) -> Vec<String> {
    let word = |packet: &Packet| match packet {
        Packet::Publish(publish) if publish.qos == QoS::AtMostOnce => "publish".to_owned(),
        Packet::Publish(publish) => {
            format!("publish{} {}{}", publish.qos.number(), publish.pid, if publish.dup { " dup" } else { "" })
        }
        Packet::PubAck(ack) => format!("puback {}", ack.pid),
        Packet::PubRec(ack) => format!("pubrec {}", ack.pid),
        Packet::PubRel(ack) => format!("pubrel {}{}", ack.pid, code(ack)),
        Packet::PubComp(ack) => format!("pubcomp {}{}", ack.pid, code(ack)),
        Packet::Disconnect(disconnect) => format!("disconnect {:02x}", disconnect.reason.code()),
        Packet::PingReq => "pingreq".to_owned(),
        Packet::Auth(auth) => {
            let data = auth.data.as_ref().map(|data| String::from_utf8_lossy(data.as_bytes()).into_owned());
            format!("auth {:02x} {}", auth.reason.code(), data.unwrap_or_default())
        }
        Packet::Connect(_) => "connect".to_owned(),
        Packet::Subscribe(subscribe) => format!("subscribe {}", subscribe.wish.filter),
        Packet::Unsubscribe(unsubscribe) => format!("unsubscribe {}", unsubscribe.filter),
        other => format!("{other:?}"),
    };
    packets.iter().map(word).collect()
}

fn code(ack: &Ack) -> String {
    match ack.reason {
        ReasonCode::Success => String::new(),
        reason => format!(" {:02x}", reason.code()),
    }
}
