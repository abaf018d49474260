//! Providers that are slow, hang, block, panic, or give what does not fit.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use super::*;

/// Does what a test says, and counts.
struct Provider {
    act: Box<dyn Fn(u32) -> BoxFuture<'static, Result<Credentials, CredentialsError>> + Send + Sync>,
    asked: AtomicU32,
}

impl CredentialsProvider for Provider {
    fn credentials(&self, _: CredentialsRequest) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        (self.act)(self.asked.fetch_add(1, Ordering::SeqCst))
    }
}

fn asker(
    act: impl Fn(u32) -> BoxFuture<'static, Result<Credentials, CredentialsError>> + Send + Sync + 'static,
) -> (Asker, Arc<Provider>) {
    let provider = Arc::new(Provider { act: Box::new(act), asked: AtomicU32::new(0) });
    (Asker::new(Some(Arc::clone(&provider).into())), provider)
}

fn good() -> BoxFuture<'static, Result<Credentials, CredentialsError>> {
    Box::pin(std::future::ready(Ok(Credentials::new("me", None))))
}

/// One question with a short limit.
async fn ask(asker: &Asker, provider: &Arc<Provider>, limit_ms: u64) -> Result<Credentials, CredentialsError> {
    let request = CredentialsRequest { why: WhyAsked::First, host: "home".to_owned(), port: 1883 };
    let limit = Duration::from_millis(limit_ms);
    let provider: Arc<dyn CredentialsProvider> = Arc::clone(provider) as _;
    asker.ask(provider, limit, |provider| provider.credentials(request)).await
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

#[test]
fn a_panic_is_an_error_and_the_next_question_is_answered() {
    let (asker, provider) = asker(|n| match n {
        0 => panic!("before the future"),
        1 => Box::pin(async { panic!("in the future") }),
        _ => good(),
    });
    run(async {
        assert_eq!(ask(&asker, &provider, 10_000).await, Err(CredentialsError::Panicked));
        assert_eq!(ask(&asker, &provider, 10_000).await, Err(CredentialsError::Panicked));
        assert_eq!(ask(&asker, &provider, 10_000).await, Ok(Credentials::new("me", None)));
    });
}

#[test]
fn one_that_hangs_is_dropped_at_the_limit() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&dropped);
    let (asker, provider) = asker(move |n| {
        let guard = Dropped(Arc::clone(&theirs));
        match n {
            0 => Box::pin(async move {
                let _guard = guard;
                std::future::pending().await
            }),
            _ => good(),
        }
    });
    run(async {
        assert_eq!(ask(&asker, &provider, 50).await, Err(CredentialsError::TimedOut));
        // The next question waits for the end of the first, so it has ended.
        assert_eq!(ask(&asker, &provider, 10_000).await, Ok(Credentials::new("me", None)));
        assert!(dropped.load(Ordering::SeqCst));
    });
}

#[test]
fn one_that_blocks_its_thread_holds_nobody_up_and_is_not_asked_again_meanwhile() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let (asker, provider) = asker(move |n| {
        if n == 0 {
            held.lock().unwrap().recv().unwrap();
        }
        good()
    });
    run(async {
        let started = Instant::now();
        for _ in 0..5 {
            assert_eq!(ask(&asker, &provider, 20).await, Err(CredentialsError::TimedOut));
        }
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "one thread, however often it is tried");
        release.send(()).unwrap();
        assert_eq!(ask(&asker, &provider, 10_000).await, Ok(Credentials::new("me", None)));
    });
}

#[test]
fn what_does_not_fit_mqtt_is_refused_in_words() {
    let long = "x".repeat(65_536);
    let (asker, _) = asker(move |n| {
        let given = match n {
            0 => Credentials::new("a\0b", None),
            1 => Credentials::new("a", Some(vec![0; 65_536])),
            2 => Credentials::enhanced("", None),
            _ => Credentials::enhanced("M", Some(crate::model::credentials::AuthData::new(long.clone()))),
        };
        Box::pin(std::future::ready(Ok(given)))
    });
    run(async {
        let broker = BrokerUrl::parse("mqtt://home").unwrap();
        for _ in 0..4 {
            let given = asker.credentials(WhyAsked::First, &broker).await;
            assert!(matches!(given, Err(CredentialsError::Invalid(_))));
        }
    });
}
