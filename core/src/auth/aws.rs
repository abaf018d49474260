//! AWS custom authorizers: what they are given stands behind the user name, like the query of a URL.

use super::url_encoded;
use crate::model::credentials::Credentials;
use crate::model::profile::CustomAuthorizer;

pub(super) fn credentials(authorizer: &CustomAuthorizer) -> Credentials {
    let mut given = Vec::new();
    if let Some(name) = &authorizer.name {
        given.push(format!("x-amz-customauthorizer-name={}", url_encoded(name)));
    }
    if let Some((key, token, signature)) = &authorizer.token {
        if let Some(signature) = signature {
            given.push(format!("x-amz-customauthorizer-signature={}", url_encoded(signature)));
        }
        let token = String::from_utf8_lossy(token.as_bytes());
        given.push(format!("{}={}", url_encoded(key), url_encoded(&token)));
    }
    let user = match given.is_empty() {
        true => authorizer.user.clone(),
        false => format!("{}?{}", authorizer.user, given.join("&")),
    };
    Credentials::new(user, authorizer.password.as_ref().map(|password| password.as_bytes().to_vec()))
}
