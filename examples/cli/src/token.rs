//! JSON Web Tokens for Azure Event Grid: a fixed one, or a file that somebody else keeps fresh.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use homing::{
    AuthData, BoxFuture, Credentials, CredentialsError, CredentialsProvider, CredentialsRequest, CredentialsSource,
    WhyAsked,
};

/// The longest authentication data of MQTT 5.
const LONGEST: usize = 65_535;

/// Always the same token. When it expires is left to the broker: there is no other one.
pub(crate) fn fixed(method: &'static str, token: &str) -> Result<CredentialsSource, String> {
    let token = token.trim();
    if token.is_empty() || token.len() > LONGEST {
        return Err(format!("token must have 1 to {LONGEST} bytes"));
    }
    Ok(Credentials::enhanced(method, Some(AuthData::new(token))).into())
}

/// The file's token of the moment, read before each connect and before the last one expires.
pub(crate) fn in_file(method: &'static str, file: PathBuf) -> Result<CredentialsSource, String> {
    // What is wrong from the start is said at once.
    read(&file).map_err(|problem| format!("token_file {}: {problem}", file.display()))?;
    Ok(CredentialsSource::provider(TokenFile { method, file, last: Mutex::default() }))
}

/// No `Debug`: it holds a token.
struct TokenFile {
    method: &'static str,
    file: PathBuf,
    last: Mutex<String>,
}

impl TokenFile {
    fn give(&self, why: WhyAsked) -> Result<Credentials, CredentialsError> {
        let token = read(&self.file).map_err(CredentialsError::Unavailable)?;
        let expires = expires(&token);
        let mut last = self.last.lock().map_err(|_| CredentialsError::Panicked)?;
        // One that is over, or seems so to a clock that may be wrong, is the broker's to judge.
        if why == WhyAsked::Expired && *last == token && expires.is_some_and(|at| at > SystemTime::now()) {
            return Err(CredentialsError::Unavailable("token_file still holds the token that is about to expire"));
        }
        let given = Credentials::enhanced(self.method, Some(AuthData::new(token.as_str())));
        *last = token;
        Ok(match expires {
            Some(at) => given.until(at),
            None => given,
        })
    }
}

impl CredentialsProvider for TokenFile {
    fn credentials(&self, ask: CredentialsRequest) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(std::future::ready(self.give(ask.why)))
    }
}

fn read(file: &Path) -> Result<String, &'static str> {
    let mut text = String::new();
    // A pipe would have to be written again and again, and to open it could take for ever.
    if !std::fs::metadata(file).map_err(|_| "cannot be read")?.is_file() {
        return Err("is not a plain file");
    }
    let opened = File::open(file).map_err(|_| "cannot be read")?;
    opened.take(LONGEST as u64 + 2).read_to_string(&mut text).map_err(|_| "cannot be read as text")?;
    match text.trim() {
        "" => Err("holds no token"),
        token if token.len() > LONGEST => Err("holds more than a token's 65535 bytes"),
        token => Ok(token.to_owned()),
    }
}

/// What the token says of its own end (RFC 7519, 4.1.4), if it is one that can be looked into.
fn expires(token: &str) -> Option<SystemTime> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let seconds = claims.get("exp")?.as_f64().filter(|seconds| (0.0..1e15).contains(seconds))?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_says_when_it_ends_or_nothing() {
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(expires(&token("{\"exp\":1800000000}")), at(1_800_000_000));
        assert_eq!(expires(&token("{\"exp\":1800000000.5}")), at(1_800_000_000));
        for other in ["", "opaque", "a.b.c", &token("{}"), &token("{\"exp\":\"soon\"}"), &token("{\"exp\":-1}")] {
            assert_eq!(expires(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_gives_each_token_once_before_it_expires_and_again_for_a_new_link() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let problem = |file: &Path| in_file("M", file.to_owned()).err().unwrap();
        assert!(problem(&file).ends_with("token: cannot be read"));
        assert!(problem(folder.path()).ends_with("is not a plain file"));
        std::fs::write(&file, " \n").unwrap();
        assert!(problem(&file).ends_with("token: holds no token"));
        std::fs::write(&file, "x".repeat(70_000)).unwrap();
        assert!(problem(&file).contains("65535"));

        let first = token("{\"exp\":32503680000}");
        std::fs::write(&file, format!("{first}\n")).unwrap();
        let provider = TokenFile { method: "M", file: file.clone(), last: Mutex::default() };
        let data = |given: &Credentials| given.enhanced.clone().unwrap().data.unwrap().as_bytes().to_vec();
        let given = provider.give(WhyAsked::First).unwrap();
        assert_eq!((data(&given), given.expires_at), (first.clone().into_bytes(), expires(&first)));
        assert!(matches!(provider.give(WhyAsked::Expired), Err(CredentialsError::Unavailable(_))));
        assert_eq!(data(&provider.give(WhyAsked::Reconnect).unwrap()), first.into_bytes());
        let second = token("{\"exp\":32503680001}");
        std::fs::write(&file, &second).unwrap();
        assert_eq!(data(&provider.give(WhyAsked::Expired).unwrap()), second.clone().into_bytes());
        let over = token("{\"exp\":1000}");
        std::fs::write(&file, &over).unwrap();
        for _ in 0..2 {
            assert_eq!(data(&provider.give(WhyAsked::Expired).unwrap()), over.clone().into_bytes());
        }
    }
}
