//! `--profile`: the fields of a cloud service, from a table of the configuration file and from variables.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use homing::{
    Aws, AwsKeySource, AwsKeys, AzureEventGrid, AzureIotHub, Credentials, CredentialsSource, CustomAuthorizer, Hmac,
    Profile, ProfileError, Tencent,
};

use crate::token;
use crate::values::duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    Generic,
    Tencent,
    Aws,
    Azure,
}

/// Each service's fields: `[tencent] secret` in the file, `HOMING_TENCENT_SECRET` as a variable.
const FIELDS: [(&str, &[&str]); 3] = [
    ("tencent", &["product_id", "device_name", "secret", "hmac", "host", "lifetime"]),
    (
        "aws",
        &[
            "endpoint",
            "auth",
            "region",
            "access_key_id",
            "secret_access_key",
            "session_token",
            "user",
            "password",
            "authorizer",
            "token_key",
            "token",
            "token_signature",
        ],
    ),
    (
        "azure",
        &[
            "service",
            "hub",
            "device_id",
            "key",
            "token_lifetime",
            "host",
            "client_id",
            "auth",
            "token",
            "token_file",
            "user",
        ],
    ),
];

/// No `Debug`: it may hold secrets.
#[derive(Args, Clone, Default)]
pub(crate) struct ProfileArgs {
    /// The cloud service that the broker belongs to; its fields come from a table of the configuration file, or from
    /// variables like HOMING_TENCENT_SECRET (see docs/clouds.md) [default: generic]
    #[arg(long, global = true, value_name = "SERVICE", env = "HOMING_PROFILE", hide_env_values = true)]
    pub(crate) profile: Option<Service>,
    /// The file's fields, as `service.field`.
    #[arg(skip)]
    file: BTreeMap<String, String>,
}

impl ProfileArgs {
    /// Whether a key of the configuration file is a service's table.
    pub(crate) fn is_table(key: &str) -> bool {
        FIELDS.iter().any(|(service, _)| *service == key)
    }

    /// Takes a service's table. Errors name keys, never values.
    pub(crate) fn table(&mut self, service: &str, value: &toml::Value) -> Result<(), String> {
        let known = FIELDS.iter().find(|(name, _)| *name == service).map_or(&[][..], |(_, fields)| fields);
        let table = value.as_table().ok_or_else(|| format!("must be a table: write [{service}]"))?;
        for (field, value) in table {
            if !known.contains(&field.as_str()) {
                return Err(format!("{field} is not a key; keys are {}", known.join(", ")));
            }
            let text = value.as_str().ok_or_else(|| format!("{field} must be text"))?;
            self.file.insert(format!("{service}.{field}"), text.to_owned());
        }
        Ok(())
    }

    /// The SDK's profile.
    pub(crate) fn profile(&self) -> Result<Profile, String> {
        self.from(|name| std::env::var(name).ok())
    }

    /// What the app has to bring itself: Event Grid's tokens, or the name beside its certificate.
    pub(crate) fn credentials(&self) -> Result<Option<CredentialsSource>, String> {
        match self.profile()? {
            Profile::AzureEventGrid(_) => {
                event_grid_credentials(|field| self.given(&|name| std::env::var(name).ok(), "azure", field))
            }
            _ => Ok(None),
        }
    }

    fn given(&self, variable: &impl Fn(&str) -> Option<String>, service: &str, field: &str) -> Option<String> {
        let name = format!("HOMING_{service}_{field}").to_ascii_uppercase();
        // Set to nothing is not set, as for flags.
        variable(&name)
            .filter(|value| !value.is_empty())
            .or_else(|| self.file.get(&format!("{service}.{field}")).cloned())
    }

    fn from(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Profile, String> {
        let given = |service: &str, field: &str| self.given(&variable, service, field);
        match self.profile.unwrap_or(Service::Generic) {
            Service::Generic => Ok(Profile::Generic),
            Service::Tencent => tencent(|field| given("tencent", field)).map(Profile::Tencent),
            Service::Aws => aws(|field| given("aws", field)).map(Profile::Aws),
            Service::Azure => match given("azure", "service").as_deref() {
                None | Some("iot-hub") => azure(|field| given("azure", field)).map(Profile::AzureIotHub),
                Some("event-grid") => event_grid(|field| given("azure", field)).map(Profile::AzureEventGrid),
                Some(_) => Err("azure profile: service must be iot-hub or event-grid".to_owned()),
            },
        }
    }
}

fn said(error: ProfileError) -> String {
    error.to_string()
}

fn tencent(given: impl Fn(&str) -> Option<String>) -> Result<Tencent, String> {
    let field = |name| given(name).unwrap_or_default();
    let mut made = Tencent::new(&field("product_id"), &field("device_name"), &field("secret")).map_err(said)?;
    made = match given("hmac").as_deref() {
        None | Some("sha256") => made,
        Some("sha1") => made.hmac(Hmac::Sha1),
        Some(_) => return Err("tencent profile: hmac must be sha256 or sha1".to_owned()),
    };
    if let Some(time) = given("lifetime") {
        let time = duration(&time).map_err(|problem| format!("tencent profile: lifetime: {problem}"))?;
        made = made.lifetime(time).map_err(said)?;
    }
    match given("host") {
        Some(host) => made.host(&host).map_err(said),
        None => Ok(made),
    }
}

fn azure(given: impl Fn(&str) -> Option<String>) -> Result<AzureIotHub, String> {
    let field = |name| given(name).unwrap_or_default();
    let made = AzureIotHub::new(&field("hub"), &field("device_id"), &field("key")).map_err(said)?;
    match given("token_lifetime") {
        Some(time) => {
            let time = duration(&time).map_err(|problem| format!("azure profile: token_lifetime: {problem}"))?;
            made.token_lifetime(time).map_err(said)
        }
        None => Ok(made),
    }
}

fn event_grid(given: impl Fn(&str) -> Option<String>) -> Result<AzureEventGrid, String> {
    let field = |name| given(name).unwrap_or_default();
    AzureEventGrid::new(&field("host"), &field("client_id")).map_err(said)
}

fn event_grid_credentials(given: impl Fn(&str) -> Option<String>) -> Result<Option<CredentialsSource>, String> {
    let method = match given("auth").as_deref() {
        None | Some("custom-jwt") => AzureEventGrid::METHOD,
        Some("entra-jwt") => AzureEventGrid::ENTRA_METHOD,
        Some("x509") => return Ok(given("user").map(|user| Credentials::new(user, None).into())),
        Some(_) => return Err("azure profile: auth must be custom-jwt, entra-jwt or x509".to_owned()),
    };
    let made = match (given("token"), given("token_file")) {
        (Some(token), None) => token::fixed(method, &token),
        (None, Some(file)) => token::in_file(method, file.into()),
        (Some(_), Some(_)) => Err("token and token_file exclude each other".to_owned()),
        (None, None) => {
            Err("token is missing; or give token_file, a file that is kept fresh, or auth = x509".to_owned())
        }
    };
    made.map(Some).map_err(|problem| format!("azure profile: {problem}"))
}

fn aws(given: impl Fn(&str) -> Option<String>) -> Result<Aws, String> {
    let field = |name| given(name).unwrap_or_default();
    let endpoint = field("endpoint");
    match given("auth").as_deref() {
        None | Some("x509") => Aws::x509(&endpoint).map_err(said),
        Some("x509-443") => Aws::x509_on_443(&endpoint).map_err(said),
        Some("custom") => {
            let mut authorizer = CustomAuthorizer::new(&field("user"), given("authorizer").as_deref()).map_err(said)?;
            if let Some(token) = given("token") {
                let signature = given("token_signature");
                authorizer = authorizer.token(&field("token_key"), &token, signature.as_deref()).map_err(said)?;
            }
            if let Some(password) = given("password") {
                authorizer = authorizer.password(password);
            }
            Aws::custom(&endpoint, authorizer).map_err(said)
        }
        Some("sigv4") => {
            let token = given("session_token");
            let keys = AwsKeys::new(&field("access_key_id"), &field("secret_access_key"), token.as_deref());
            let keys = AwsKeySource::fixed(keys.map_err(said)?);
            Aws::sigv4(&endpoint, given("region").as_deref(), keys).map_err(said)
        }
        Some(_) => Err("aws profile: auth must be x509, x509-443, custom or sigv4".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(service: Service, fields: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Profile, String> {
        let mut args = ProfileArgs { profile: Some(service), ..ProfileArgs::default() };
        for (field, value) in fields {
            let (service, field) = field.split_once('.').unwrap();
            let table = toml::Table::from_iter([(field.to_owned(), toml::Value::String((*value).to_owned()))]);
            args.table(service, &toml::Value::Table(table))?;
        }
        args.from(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn fields_come_from_the_file_and_variables_go_before_it() {
        let file = [("tencent.product_id", "P"), ("tencent.device_name", "d"), ("tencent.secret", "AAAA")];
        let id = |profile: Profile| profile.client_id().unwrap().as_str().to_owned();
        assert_eq!(id(made(Service::Tencent, &file, &[]).unwrap()), "Pd");
        assert_eq!(id(made(Service::Tencent, &file, &[("HOMING_TENCENT_DEVICE_NAME", "e")]).unwrap()), "Pe");
        assert!(matches!(made(Service::Generic, &file, &[]), Ok(Profile::Generic)));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named_and_no_value_is_repeated() {
        let problem = |fields: &[(&str, &str)]| {
            let service = if fields[0].0.starts_with("aws") { Service::Aws } else { Service::Azure };
            made(service, fields, &[]).unwrap_err()
        };
        assert_eq!(problem(&[("azure.device_id", "d")]), "azure profile: hub is missing");
        assert!(problem(&[("azure.secret", "tops3cret")]).starts_with("secret is not a key; keys are service, hub, "));
        assert_eq!(problem(&[("azure.service", "tops3cret")]), "azure profile: service must be iot-hub or event-grid");
        let grid = [("azure.service", "event-grid"), ("azure.host", "h.example")];
        assert_eq!(problem(&grid), "azure profile: client_id is missing");
        assert_eq!(problem(&[("aws.auth", "tops3cret")]), "aws profile: auth must be x509, x509-443, custom or sigv4");
        let sigv4 = [("aws.endpoint", "a.iot.eu-west-1.amazonaws.com"), ("aws.auth", "sigv4")];
        assert_eq!(problem(&sigv4), "aws profile: access_key_id is missing");
    }

    #[test]
    fn event_grid_is_reached_by_a_token_or_a_certificate() {
        let given = |fields: &'static [(&str, &str)]| {
            event_grid_credentials(move |field| {
                fields.iter().find(|(name, _)| *name == field).map(|(_, value)| (*value).to_owned())
            })
        };
        let method = |fields| match given(fields) {
            Ok(Some(CredentialsSource::Static(credentials))) => credentials.enhanced.clone().unwrap().method,
            other => panic!("{other:?}"),
        };
        assert_eq!(method(&[("token", "t")]), "CUSTOM-JWT");
        assert_eq!(method(&[("token", "t"), ("auth", "entra-jwt")]), "OAUTH2-JWT");
        assert!(matches!(given(&[("auth", "x509")]), Ok(None)));
        let named = given(&[("auth", "x509"), ("user", "phone")]).unwrap();
        assert!(matches!(named, Some(CredentialsSource::Static(own)) if own == Credentials::new("phone", None)));
        let problem = |fields| given(fields).unwrap_err();
        assert!(problem(&[]).starts_with("azure profile: token is missing; or give token_file"));
        assert!(problem(&[("token", " ")]).contains("token must have 1 to"));
        assert!(problem(&[("token", "tops3cret"), ("token_file", "f")]).ends_with("exclude each other"));
        assert!(problem(&[("auth", "tops3cret")]).ends_with("auth must be custom-jwt, entra-jwt or x509"));
        assert!(problem(&[("token_file", "no-such-file")]).ends_with("token_file no-such-file: cannot be read"));
    }
}
