//! The profile as a provider of credentials: asked before each CONNECT like any other.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{credentials, sigv4};
use crate::model::credentials::{BoxFuture, Credentials, CredentialsError, CredentialsProvider, CredentialsRequest};
use crate::model::profile::{AwsAuth, Profile};

/// Computes what a profile's service wants to see.
pub(crate) struct ProfileCredentials(Profile);

impl ProfileCredentials {
    pub(crate) fn new(profile: Profile) -> Self {
        Self(profile)
    }

    async fn make(&self, ask: CredentialsRequest) -> Result<Credentials, CredentialsError> {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_s = clock.map_err(|_| CredentialsError::Unavailable("the clock stands before 1970"))?.as_secs();
        if let Profile::Aws(aws) = &self.0
            && let AwsAuth::SigV4 { region, keys } = aws.auth()
        {
            // As it stands in the request that is signed.
            let host = if ask.host.contains(':') { format!("[{}]", ask.host) } else { ask.host };
            let host = if ask.port == 443 { host } else { format!("{host}:{}", ask.port) };
            return Ok(Credentials::in_url(sigv4::target(&host, region, &keys.keys().await?, now_s)));
        }
        let mut random = [0; 5];
        getrandom::fill(&mut random).map_err(|_| CredentialsError::Unavailable("the system has no randomness"))?;
        credentials(&self.0, now_s, random).ok_or(CredentialsError::Invalid("the profile computes none"))
    }
}

impl CredentialsProvider for ProfileCredentials {
    fn credentials(&self, ask: CredentialsRequest) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(self.make(ask))
    }
}
