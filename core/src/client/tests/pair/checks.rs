//! What has to hold once everything is drained.

use std::collections::HashMap;

use super::World;
use crate::model::event::Fate;
use crate::model::message::QoS;
use crate::model::rows::split_id;
use crate::store::reader::Reader;
use crate::wire::packet::Protocol;

impl World {
    pub(super) fn check(&mut self) {
        assert_eq!(self.broker.faults, Vec::<String>::new());
        if self.broker.protocol == Protocol::V4 {
            let (most, limit) = (self.broker.largest_window, self.options.inflight_qos2);
            assert!(most <= usize::from(limit), "{most} unfinished QoS 2 messages, the limit is {limit}");
        }
        let arrived: Vec<(QoS, u32)> = self
            .broker
            .accepted
            .iter()
            .map(|(qos, payload)| (*qos, u32::from_be_bytes(payload[..4].try_into().unwrap())))
            .collect();
        let lanes: HashMap<u32, usize> =
            self.accepted.iter().map(|(id, _, number)| (*number, split_id(*id).0)).collect();
        let mut firsts = [Vec::new(), Vec::new()];
        let mut counts: HashMap<u32, u32> = HashMap::new();
        for (_, number) in &arrived {
            let count = counts.entry(*number).or_default();
            *count += 1;
            // Of those whose id nobody was told, the lane is not known.
            if let Some(lane) = lanes.get(number).filter(|_| *count == 1 && !self.retained.contains(number)) {
                firsts[*lane].push(*number);
            }
        }
        assert!(firsts.iter().all(|lane| lane.is_sorted()), "P5: first arrivals out of order: {firsts:?}");
        for (id, qos, number) in &self.accepted.clone() {
            let count = counts.get(number).copied().unwrap_or(0);
            let mut fate = self.fate(*id);
            let retained = self.retained.contains(number);
            // What was set aside goes on under another id, until another message takes its place.
            while let Fate::Superseded(by) = &fate
                && retained
                && !self.keyed.contains(number)
            {
                fate = self.fate(by.number());
            }
            if retained && matches!(fate, Fate::Refused(_) | Fate::Cancelled | Fate::Superseded(_)) {
                // It may have been sent before it was set aside or refused.
                continue;
            }
            let unsent = matches!(fate, Fate::Expired | Fate::Cancelled | Fate::Superseded(_));
            assert!(fate == Fate::Cancelled || !self.cancelled.contains(id), "P9: {id} was cancelled and is {fate:?}");
            if unsent {
                assert_eq!(count, 0, "P9: message {id} arrived and says {fate:?}");
                continue;
            }
            if *qos == QoS::AtMostOnce {
                assert!(count <= 1 && fate == Fate::Sent, "QoS 0: {id} arrived {count} times and says {fate:?}");
                continue;
            }
            assert!(count > 0, "P1: message {id} ({number}) was accepted and never arrived");
            assert!(
                *qos == QoS::AtLeastOnce || count == 1 || self.losses > 0 || retained,
                "P3: message {id} arrived {count} times"
            );
            assert!(matches!(fate, Fate::Delivered { .. }), "P9: message {id} is {fate:?}");
            let maybe_twice = matches!(fate, Fate::Delivered { maybe_twice: true, .. });
            assert!(
                *qos == QoS::AtLeastOnce || count == 1 || maybe_twice,
                "P9: {id} arrived {count} times and says {fate:?}"
            );
        }
        let reader = Reader::open(&self.options.store).unwrap();
        let mut inbox: Vec<(u64, QoS, u32)> = Vec::new();
        while let Ok(page) = reader.inbox(inbox.last().map_or(0, |(seq, ..)| *seq), 500)
            && !page.is_empty()
        {
            inbox.extend(page.iter().map(|message| {
                (message.at.seq(), message.qos, u32::from_be_bytes(message.payload[..].try_into().unwrap()))
            }));
        }
        if self.losses > 0 {
            return;
        }
        let mut counts: HashMap<u32, u32> = HashMap::new();
        let mut firsts = Vec::new();
        for (_, _, number) in &inbox {
            let count = counts.entry(*number).or_default();
            *count += 1;
            if *count == 1 {
                firsts.push(*number);
            }
        }
        assert!(firsts.is_sorted(), "P5: inbox out of order");
        for (qos, number) in &self.down {
            let count = counts.get(number).copied().unwrap_or(0);
            assert!(count > 0, "P4: {number} is missing in the inbox");
            assert!(*qos == QoS::AtLeastOnce || count == 1, "P3: {number} stands {count} times in the inbox");
        }
    }
}
