//! Several addresses with real sockets: who is asked in which order, and what bad lists are told.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::driver::{broker, connack, nowhere, on, options, run};
use crate::model::broker_url::BrokerUrl;
use crate::model::error::OpenError;
use crate::model::event::State;
use crate::model::options::Options;
use crate::model::reason::ReasonCode;
use crate::wire::packet::{Ack, Packet};
use crate::{Fate, Homing};

fn url(address: SocketAddr) -> BrokerUrl {
    BrokerUrl::parse(&format!("mqtt://{address}")).unwrap()
}

type Visits = Arc<Mutex<Vec<&'static str>>>;

/// Takes each connection, notes it once its first byte has come, and closes it.
fn unwilling(name: &'static str, visits: &Visits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let visits = Arc::clone(visits);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            if socket.unwrap().read(&mut [0; 1]).is_ok_and(|count| count == 1) {
                visits.lock().unwrap().push(name);
            }
        }
    });
    address
}

#[test]
fn every_address_is_asked_in_order_and_the_last_one_takes_the_message() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let visits = Visits::default();
        let noted = Arc::clone(&visits);
        let (away, _thread) = broker(1, move |_, packet| match packet {
            Packet::Connect(_) => {
                noted.lock().unwrap().push("away");
                vec![connack(ReasonCode::Success)]
            }
            Packet::Publish(publish) => vec![Packet::PubAck(Ack::ok(publish.pid))],
            _ => Vec::new(),
        });
        let mut options = options(folder.path(), nowhere());
        options.other_addresses =
            vec![url(unwilling("home", &visits)), url(nowhere()), url(unwilling("office", &visits)), url(away)];
        let started = Instant::now();
        let client = Homing::open(options).await.unwrap();
        let id = client.publish(on()).await.unwrap();
        assert_eq!(client.settled(id).await, Ok(Fate::DELIVERED));
        assert_eq!(*visits.lock().unwrap(), ["home", "office", "away"]);
        let metrics = client.metrics();
        assert_eq!((metrics.link_attempts, metrics.link_failures, metrics.connects), (5, 4, 1));
        assert!(metrics.link.bytes_out > 0 && metrics.link.bytes_out < metrics.bytes_out, "{metrics:?}");
        assert!(started.elapsed().as_millis() < 10_000, "no back-off and no time-out on the way");
        let status = client.reader().unwrap().status().unwrap();
        assert_eq!(status.broker, Some(url(away).to_string()));
    });
}

#[test]
fn no_address_is_left_out_while_none_answers() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let visits = Visits::default();
        let mut options = options(folder.path(), unwilling("a", &visits));
        options.other_addresses = vec![url(unwilling("b", &visits)), url(unwilling("c", &visits))];
        let client = Homing::open(options).await.unwrap();
        let mut states = client.state();
        let mut rounds = 0;
        while rounds < 3 {
            states.changed().await.unwrap();
            rounds += usize::from(matches!(states.get(), State::Waiting { .. }));
        }
        assert_eq!(visits.lock().unwrap()[..9], ["a", "b", "c", "a", "b", "c", "a", "b", "c"]);
    });
}

#[test]
fn bad_lists_are_refused_when_the_client_is_opened_and_nothing_is_stored() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let some = |text: &str| BrokerUrl::parse(text).unwrap();
        let refused: [fn(&mut Options, BrokerUrl); 3] = [
            |options, address| (options.broker, options.other_addresses) = (None, vec![address]),
            |options, address| options.other_addresses = vec![address.clone(), address],
            |options, _| {
                let many = (1..=16).map(|port| BrokerUrl::parse(&format!("mqtt://h:{port}")).unwrap());
                options.other_addresses = many.collect();
            },
        ];
        for change in refused {
            let mut options = options(folder.path(), nowhere());
            change(&mut options, some("mqtt://u:sesame@away"));
            match Homing::open(options).await.err() {
                Some(OpenError::Option { option: "other_addresses", problem }) => {
                    assert!(!problem.contains("sesame"), "{problem}");
                }
                other => panic!("{other:?}"),
            }
        }
        let mut options = options(folder.path(), nowhere());
        options.connect_pace = std::time::Duration::from_secs(3601);
        assert!(matches!(Homing::open(options).await, Err(OpenError::Option { option: "connect_pace", .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    });
}
