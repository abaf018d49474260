//! P12: whatever happens to them, nothing of credentials stands in the store, in logs, events, errors or debug output.

use std::io::Write;

use homing::wire::packet::{Auth, ConnAckProperties, Packet};
use homing::{Aws, AwsKeySource, AwsKeys, Profile, ReasonCode};
use homing_testkit::script_broker::{ScriptBroker, connack};

use super::*;

/// Stands in everything that is secret below.
const SECRET: &str = "sesame";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// A signed URL, at a server that takes no such thing: what its app is told, and debug output.
fn signed(folder: &Path) -> String {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/mqtt", server.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut request = [0; 4096];
        let count = std::io::Read::read(&mut stream, &mut request).unwrap();
        let request = String::from_utf8_lossy(&request[..count]).into_owned();
        let target = request.split(' ').nth(1).unwrap().to_owned();
        // Whatever comes back from it is a secret still.
        let answer = format!("HTTP/1.1 403 Forbidden\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
        target
    });
    let keys = AwsKeys::new("AKIDEXAMPLE", &format!("{SECRET}/key"), Some(&format!("{SECRET}-token"))).unwrap();
    let mut options = Options::new(folder.join("signed.db"));
    options.broker = Some(BrokerUrl::parse(&url).unwrap());
    options.client_id = Some(ClientId::new("home").unwrap());
    let keys = AwsKeySource::fixed(keys);
    options.profile = Profile::Aws(Aws::sigv4("x.iot.eu-west-1.amazonaws.com", None, keys).unwrap());
    options.connect = false;
    let said = run(async {
        let mut said = format!("{options:?}");
        let client = Homing::open(options).await.unwrap();
        let mut events = client.events();
        client.connect().await.unwrap();
        until(&mut events, "refusal", |event| {
            said += &format!("{event:?}");
            match event {
                Event::State(State::Waiting { why, .. }) => {
                    said += &why.to_string();
                    Some(())
                }
                _ => None,
            }
        })
        .await;
        client.close(PATIENCE).await.unwrap();
        said
    });
    let target = serving.join().unwrap();
    assert!(holds(target.as_bytes()) && target.contains("X-Amz-Signature="), "it did go over the wire");
    assert!(!said.contains("X-Amz-Signature"), "{said}");
    said
}

#[test]
fn p12_nothing_of_credentials_is_kept_or_said() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("trace")
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    // The only test of this binary that sets one.
    tracing_subscriber::util::SubscriberInitExt::init(subscriber);
    let folder = tempfile::tempdir().unwrap();
    let broker = ScriptBroker::listen();
    let (url, path) = (broker.url(), folder.path().to_owned());
    let app = std::thread::spawn(move || {
        run(async {
            let provider = Script::with_exchange(
                |_, _| {
                    let mut credentials = Credentials::enhanced("M", Some(AuthData::new(format!("{SECRET} token"))));
                    credentials.user = format!("{SECRET} user");
                    credentials.password = Some(format!("{SECRET} password").into_bytes());
                    Ok(credentials)
                },
                |challenge| {
                    let data = format!("{SECRET} answer to {}", challenge.round);
                    Ok(Some(AuthData::new(data)))
                },
            );
            let (client, mut events) = open(&path, &url, Arc::clone(&provider)).await;
            let mut said = String::new();
            for _ in 0..2 {
                until(&mut events, "end of a link", |event| {
                    said += &format!("{event:?}");
                    match event {
                        Event::State(state @ State::Waiting { why, .. }) => {
                            said += &format!("{state:?} {why}");
                            Some(())
                        }
                        _ => None,
                    }
                })
                .await;
                client.credentials_changed().await.unwrap();
            }
            online(&mut events).await;
            said += &format!("{client:?} {:?} {:?}", client.state().get(), provider.asked.lock().unwrap());
            for file in std::fs::read_dir(&path).unwrap() {
                let file = file.unwrap().path();
                if std::fs::metadata(&file).unwrap().is_file() {
                    assert!(!holds(&std::fs::read(&file).unwrap()), "{file:?}, while it runs");
                }
            }
            client.close(PATIENCE).await.unwrap();
            said
        })
    });
    let secret = Some(AuthData::new(format!("{SECRET} challenge")));
    let step = Packet::Auth(Auth {
        reason: ReasonCode::ContinueAuthentication,
        method: Some("M".to_owned()),
        data: secret.clone(),
    });
    let properties = ConnAckProperties {
        authentication_method: Some("M".to_owned()),
        authentication_data: secret.clone(),
        ..Default::default()
    };
    // Refused; then wrong in the middle of the exchange; then accepted.
    let mut peer = broker.accept();
    peer.connect();
    peer.send(&step);
    peer.packet();
    peer.send(&connack(false, ReasonCode::BadUserNameOrPassword, properties.clone()));
    peer.closed();
    let mut peer = broker.accept();
    peer.connect();
    peer.send(&Packet::Auth(Auth { reason: ReasonCode::Success, method: Some("M".to_owned()), data: secret }));
    peer.closed();
    let mut peer = broker.accept();
    let connect = peer.connect();
    assert!(holds(connect.credentials.as_ref().unwrap().password.as_ref().unwrap()), "it did go over the wire");
    peer.send(&step);
    assert!(matches!(peer.packet(), Packet::Auth(auth) if holds(auth.data.as_ref().unwrap().as_bytes())));
    peer.send(&connack(false, ReasonCode::Success, properties));
    peer.closed();
    let said = app.join().unwrap() + &signed(folder.path());
    assert!(!said.contains(SECRET), "{said}");
    for file in std::fs::read_dir(folder.path()).unwrap() {
        assert!(!holds(&std::fs::read(file.unwrap().path()).unwrap()));
    }
    let log = log.0.lock().unwrap();
    assert!(!log.is_empty(), "the log was captured");
    let log = String::from_utf8_lossy(&log);
    assert!(!log.contains(SECRET) && !log.contains("X-Amz-Signature"), "{log}");
}
