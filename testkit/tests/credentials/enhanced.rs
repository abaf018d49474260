//! Enhanced authentication: SCRAM-SHA-256 with the `mqtt5` crate's broker and its client's half, and hostile AUTH packets.

use std::time::SystemTime;

use homing::wire::packet::{Auth, ConnAckProperties, Packet, Protocol};
use homing::{Publish, QoS, ReasonCode, TopicName, Version};
use homing_testkit::script_broker::{ScriptBroker, connack, puback, pubcomp, pubrec};
use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig};
use mqtt5::broker::{MqttBroker, ScramCredentialStore, ScramCredentials, ScramSha256AuthProvider};
use mqtt5::client::{AuthHandler, AuthResponse, ScramSha256AuthHandler};

use super::*;

const METHOD: &str = "SCRAM-SHA-256";

/// One user, `home`.
struct Users(ScramCredentials);

impl ScramCredentialStore for Users {
    fn get_credentials(&self, username: &str) -> Option<ScramCredentials> {
        (username == "home").then(|| self.0.clone())
    }
}

/// The client's half of SCRAM, by the same crate: it checks the broker's signature too.
struct Scram {
    handler: ScramSha256AuthHandler,
    life: Option<Duration>,
    steps: Mutex<Vec<String>>,
}

impl Scram {
    fn new(password: &str, life: Option<Duration>) -> Arc<Self> {
        let handler = ScramSha256AuthHandler::new("home", password);
        Arc::new(Self { handler, life, steps: Mutex::default() })
    }

    fn step(&self, name: impl Into<String>) {
        self.steps.lock().unwrap().push(name.into());
    }
}

impl CredentialsProvider for Scram {
    fn credentials(&self, ask: CredentialsRequest) -> BoxFuture<'_, Given> {
        Box::pin(async move {
            self.step(format!("{:?}", ask.why));
            let first = self.handler.initial_response(METHOD).await.unwrap();
            let mut credentials = Credentials::enhanced(METHOD, first.map(AuthData::new));
            credentials.expires_at = self.life.map(|life| SystemTime::now() + life);
            Ok(credentials)
        })
    }

    fn continue_exchange(&self, challenge: Challenge) -> BoxFuture<'_, Result<Option<AuthData>, CredentialsError>> {
        Box::pin(async move {
            self.step(format!("step {}", challenge.round));
            match self.handler.handle_challenge(METHOD, challenge.data.as_ref().map(AuthData::as_bytes)).await.unwrap()
            {
                AuthResponse::Continue(data) => Ok(Some(AuthData::new(data))),
                _ => Err(CredentialsError::BrokerNotTrusted("no challenge of SCRAM")),
            }
        })
    }

    fn finish_exchange(&self, challenge: Challenge) -> BoxFuture<'_, Result<(), CredentialsError>> {
        Box::pin(async move {
            self.step("proof");
            match self.handler.handle_challenge(METHOD, challenge.data.as_ref().map(AuthData::as_bytes)).await.unwrap()
            {
                AuthResponse::Success => Ok(()),
                _ => Err(CredentialsError::BrokerNotTrusted("wrong signature")),
            }
        })
    }
}

/// A broker that takes SCRAM only, on a thread of its own; it ends with the test's process.
fn scram_broker() -> String {
    let (told, url) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let storage = StorageConfig::new().with_backend(StorageBackend::Memory);
            let mut config = BrokerConfig::new()
                .with_bind_addresses(vec!["127.0.0.1:0".parse().unwrap()])
                .with_sys_topics_enabled(false)
                .with_storage(storage);
            // For its own provider, which is replaced: the one below takes nobody without SCRAM.
            config.auth_config.allow_anonymous = true;
            let users = Users(ScramCredentials::from_password("right").unwrap());
            let provider = Arc::new(ScramSha256AuthProvider::new(Arc::new(users)));
            let mut broker = MqttBroker::with_config(config).await.unwrap().with_auth_provider(provider);
            told.send(format!("mqtt://{}", broker.local_addr().unwrap())).unwrap();
            broker.run().await.unwrap();
        });
    });
    url.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn scram_with_a_real_broker_at_connect_and_in_place_before_the_expiry() {
    let folder = tempfile::tempdir().unwrap();
    let url = scram_broker();
    let provider = Scram::new("right", Some(Duration::from_secs(6)));
    run(async {
        let (client, mut events) = open(folder.path(), &url, Arc::clone(&provider)).await;
        online(&mut events).await;
        assert_eq!(*provider.steps.lock().unwrap(), ["First", "step 1", "proof"]);
        // Traffic goes on through the re-authentication.
        let publisher = client.clone();
        let publishing = tokio::spawn(async move {
            loop {
                let message = Publish::new(TopicName::new("a").unwrap(), "x").qos(QoS::ExactlyOnce);
                publisher.publish(message).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let told = told(&mut events).await;
        publishing.abort();
        assert_eq!(told, CredentialsEvent::Refreshed { in_place: true });
        assert_eq!(provider.steps.lock().unwrap()[3..], ["Expired", "step 1", "proof"]);
        assert!(client.flush(PATIENCE).await.unwrap());
        assert_eq!(client.metrics().connects, 1, "the same link");
        assert_eq!(client.metrics().resent, 0);
        client.close(PATIENCE).await.unwrap();
    });
}

#[test]
fn scram_with_a_wrong_password_is_refused_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let url = scram_broker();
    run(async {
        let (client, mut events) = open(folder.path(), &url, Scram::new("wrong", None)).await;
        let told = told(&mut events).await;
        assert!(matches!(told, CredentialsEvent::Refused { retry_in_ms: 300_000, .. }), "{told:?}");
        client.close(PATIENCE).await.unwrap();
    });
}

/// A client that begins with a method, and what it is told at the end of its first link.
fn first_link(version: Version, method: bool, script: impl FnOnce(&mut homing_testkit::script_broker::Peer)) -> State {
    let folder = tempfile::tempdir().unwrap();
    let broker = ScriptBroker::listen();
    let mut options = Options::new(folder.path().join("store.db"));
    options.broker = Some(BrokerUrl::parse(&broker.url()).unwrap());
    options.version = version;
    let credentials = match method {
        true => Credentials::enhanced("M", Some(AuthData::new("first"))),
        false => Credentials::new("home", None),
    };
    options.credentials = Some(Script::with_exchange(move |_, _| Ok(credentials.clone()), |_| Ok(None)).into());
    options.connect = false;
    let app = std::thread::spawn(move || {
        run(async {
            let client = Homing::open(options).await.unwrap();
            let mut events = client.events();
            client.connect().await.unwrap();
            let ended = until(&mut events, "end of the link", |event| match event {
                Event::State(state @ State::Waiting { .. }) => Some(state.clone()),
                _ => None,
            });
            let ended = ended.await;
            client.close(PATIENCE).await.unwrap();
            ended
        })
    });
    let mut peer = broker.accept();
    let connect = peer.connect();
    assert_eq!(connect.credentials.as_ref().is_some_and(|own| own.enhanced.is_some()), method);
    script(&mut peer);
    app.join().unwrap()
}

fn auth(reason: ReasonCode, method: Option<&str>) -> Packet {
    Packet::Auth(Auth { reason, method: method.map(str::to_owned), data: None })
}

#[test]
fn hostile_auth_is_closed_with_0x82_mqtt_4_12_0_5_and_6() {
    use ReasonCode::{ContinueAuthentication as Continue, ProtocolError, ReAuthenticate, Success};
    let hostile = [
        (true, auth(Continue, None)),
        (true, auth(Continue, Some("N"))),
        (true, auth(Success, Some("M"))),
        (true, auth(ReAuthenticate, Some("M"))),
        (false, auth(Continue, Some("M"))),
        (true, connack(false, Success, ConnAckProperties::default())),
    ];
    for (method, packet) in hostile {
        let ended = first_link(Version::V5, method, |peer| {
            peer.send(&packet);
            assert_eq!(peer.closed_with(), Some(ProtocolError), "{packet:?}");
        });
        assert!(matches!(ended, State::Waiting { why: homing::Why::Protocol(ProtocolError, _), .. }), "{ended:?}");
    }
    // Up, and nobody has asked for an AUTH.
    first_link(Version::V5, false, |peer| {
        peer.send(&connack(false, Success, ConnAckProperties::default()));
        peer.send(&auth(Success, Some("M")));
        assert_eq!(peer.closed_with(), Some(ProtocolError));
    });
    // 3.1.1 knows no such packet: closed without a word, for it has no DISCONNECT from us with a reason.
    first_link(Version::V311, false, |peer| {
        peer.raw(&[0xf0, 0]);
        let packets = peer.closed();
        assert!(packets.is_empty(), "{packets:?}");
    });
}

#[test]
fn an_exchange_without_end_is_ended_after_ten_steps() {
    let ended = first_link(Version::V5, true, |peer| {
        for _ in 0..10 {
            peer.send(&auth(ReasonCode::ContinueAuthentication, Some("M")));
            let answer = peer.packet();
            assert!(matches!(&answer, Packet::Auth(auth) if auth.method.as_deref() == Some("M")), "{answer:?}");
        }
        peer.send(&auth(ReasonCode::ContinueAuthentication, Some("M")));
        assert_eq!(peer.closed_with(), Some(ReasonCode::ImplementationSpecificError));
    });
    assert!(matches!(ended, State::Waiting { .. }));
}

#[test]
fn re_authentication_amid_qos_2_then_failing_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let broker = ScriptBroker::listen();
    let (url, path) = (broker.url(), folder.path().to_owned());
    let app = std::thread::spawn(move || {
        run(async {
            let provider = Script::with_exchange(
                |number, _| {
                    let token = AuthData::new(format!("token {number}"));
                    let life = Duration::from_secs(if number == 0 { 5 } else { 3600 });
                    Ok(Credentials::enhanced("M", Some(token)).until(SystemTime::now() + life))
                },
                |_| Ok(Some(AuthData::new("step"))),
            );
            let (client, mut events) = open(&path, &url, Arc::clone(&provider)).await;
            online(&mut events).await;
            let topic = TopicName::new("a").unwrap();
            let id = client.publish(Publish::new(topic, "x").qos(QoS::ExactlyOnce)).await.unwrap();
            assert!(matches!(told(&mut events).await, CredentialsEvent::Refused { .. }));
            client.credentials_changed().await.unwrap();
            online(&mut events).await;
            let fate = tokio::time::timeout(PATIENCE, client.settled(id)).await.unwrap().unwrap();
            assert!(matches!(fate, homing::Fate::Delivered { maybe_twice: false, .. }), "{fate:?}");
            client.close(PATIENCE).await.unwrap();
            provider.whys()
        })
    });
    let accepted = ConnAckProperties { authentication_method: Some("M".to_owned()), ..Default::default() };
    let mut peer = broker.greet_with(false, accepted.clone());
    let publish = peer.publish();
    peer.send(&pubrec(publish.pid));
    assert!(matches!(peer.packet(), Packet::PubRel(_)));
    let begun = peer.packet();
    let Packet::Auth(begun) = begun else { panic!("not an AUTH: {begun:?}") };
    assert_eq!((begun.reason, begun.data), (ReasonCode::ReAuthenticate, Some(AuthData::new("token 1"))));
    peer.send(&auth(ReasonCode::ContinueAuthentication, Some("M")));
    assert!(matches!(peer.packet(), Packet::Auth(step) if step.data == Some(AuthData::new("step"))));
    peer.send(&puback(77)); // an acknowledgement that nobody waits for is nothing to the exchange
    peer.send(&Packet::Disconnect(homing::wire::packet::Disconnect::new(ReasonCode::NotAuthorized)));
    peer.closed();
    let mut peer = broker.accept();
    let connect = peer.connect();
    assert_eq!(connect.protocol, Protocol::V5);
    let token = connect.credentials.and_then(|own| own.enhanced.clone()).and_then(|own| own.data);
    assert_eq!(token, Some(AuthData::new("token 2")));
    peer.send(&connack(true, ReasonCode::Success, accepted));
    let Packet::PubRel(again) = peer.packet() else { panic!("not a PUBREL") };
    assert_eq!(again.pid, publish.pid);
    peer.send(&pubcomp(again.pid));
    peer.closed();
    let refused = WhyAsked::Refused(ReasonCode::NotAuthorized);
    assert_eq!(app.join().unwrap(), [WhyAsked::First, WhyAsked::Expired, refused]);
}
