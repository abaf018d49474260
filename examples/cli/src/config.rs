//! From flags, variables and the configuration file to the SDK's options.

use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use directories::ProjectDirs;
use homing::{BrokerUrl, Credentials, HttpHeader, Options, Proxy, ProxyUrl, ProxyUrlError, Scheme, SpkiPin};

use crate::args::Common;
use crate::exit::Failure;
use crate::profile::ProfileArgs;
use crate::values::{duration, limit};

/// Brokers that a configuration file names and that are not used.
#[derive(Clone)]
pub(crate) struct Replaced {
    /// The file.
    file: String,
    /// Its brokers, as they stand in it.
    brokers: String,
}

/// The longest configuration file.
const LONGEST: u64 = 1 << 20;

impl Common {
    /// Fills in from the configuration file, if one is named, what neither flags nor variables gave.
    pub(crate) fn with_config(mut self) -> Result<Self, Failure> {
        if let Some(path) = self.config.clone() {
            let text =
                read(&path).map_err(|error| Failure::usage(format_args!("--config {}: {error}", path.display())))?;
            self.merge(&path, &text)?;
        }
        Ok(self)
    }

    fn merge(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        // Never the parser's own words: they quote the line, which may hold a password.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
            Failure::usage(format_args!(
                "{}: line {line} is not valid TOML, or gives a key that stands above",
                path.display()
            ))
        })?;
        let mut user = None;
        let mut password = None;
        for (key, value) in table {
            let wrong = |problem: &str| Failure::usage(format_args!("{}: {key}: {problem}", path.display()));
            if ProfileArgs::is_table(&key) {
                self.service.table(&key, &value).map_err(|problem| wrong(&problem))?;
                continue;
            }
            let text = match value {
                toml::Value::Table(table) if key == "websocket-headers" => {
                    self.websocket_headers = headers(table).map_err(|problem| wrong(&problem))?;
                    continue;
                }
                toml::Value::Array(list) if key == "broker" => {
                    let urls: Option<Vec<_>> = list.iter().map(toml::Value::as_str).collect();
                    urls.ok_or_else(|| wrong("must be text, or a list of texts"))?.join(" ")
                }
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Array(pins) if key == "tls-pin" => {
                    let pins = pins.iter().map(|pin| pin.as_str()).collect::<Option<Vec<_>>>();
                    pins.ok_or_else(|| wrong("must be a list of texts"))?.join(",")
                }
                _ => return Err(wrong("must be text or a whole number")),
            };
            match key.as_str() {
                "store" => fill(&mut self.store, Ok(PathBuf::from(text))),
                // Checked here, for here it is known that it stands in the file.
                "proxy" => {
                    let checked = proxy(&text).map(|_| text).map_err(|error| error.to_string());
                    fill(&mut self.proxy, checked)
                }
                "broker" => {
                    if self.broker.iter().any(|given| !given.trim().is_empty()) {
                        self.replaced = Some(Replaced { file: path.display().to_string(), brokers: text });
                        Ok(())
                    } else {
                        let wrong = text.split_whitespace().find_map(|url| BrokerUrl::parse(url).err());
                        self.broker.push(text);
                        wrong.map_or(Ok(()), |error| Err(error.to_string()))
                    }
                }
                "client-id" => fill(&mut self.client_id, text.parse().map_err(|error| format!("{error}"))),
                "mqtt" => fill(&mut self.mqtt, choice(&text)),
                "keep-alive" => fill(&mut self.keep_alive, duration(&text)),
                "session-expiry" => fill(&mut self.session_expiry, duration(&text)),
                "durability" => fill(&mut self.durability, choice(&text)),
                "inflight" => fill(&mut self.inflight, count(&text)),
                "inflight-qos2" => fill(&mut self.inflight_qos2, count(&text)),
                "retention" => fill(&mut self.retention, duration(&text)),
                "outbox-limit" => fill(&mut self.outbox_limit, limit(&text)),
                "inbox-limit" => fill(&mut self.inbox_limit, limit(&text)),
                "inbox-full" => fill(&mut self.inbox_full, choice(&text)),
                "tls-ca" => fill(&mut self.tls.ca, Ok(PathBuf::from(text))),
                "tls-cert" => fill(&mut self.tls.cert, Ok(PathBuf::from(text))),
                "tls-key" => fill(&mut self.tls.key, Ok(PathBuf::from(text))),
                "tls-pin" => pins(&mut self.tls.pins, &text),
                "profile" => fill(&mut self.service.profile, choice(&text)),
                "user" => fill(&mut user, Ok(text)),
                "password" => fill(&mut password, Ok(text)),
                _ => Err("is not a key; keys are the common flags without --, user, password, and the tables \
                          websocket-headers, tencent, aws and azure"
                    .to_owned()),
            }
            .map_err(|problem| wrong(&problem))?;
        }
        match (user, password) {
            (Some(user), password) => self.credentials = Some(Credentials::new(user, password.map(String::into_bytes))),
            (None, Some(_)) => return Err(Failure::usage(format_args!("{}: password without user", path.display()))),
            (None, None) => {}
        }
        Ok(())
    }

    /// The file of the session.
    pub(crate) fn store_path(&self) -> Result<PathBuf, Failure> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let profile = self.service.profile().map_err(Failure::usage)?;
        let name = match self.client_id.as_ref().or(profile.client_id()) {
            None => "default.db".to_owned(),
            Some(id) => format!("client-{}.db", file_name(id.as_str())),
        };
        if name.len() > 200 {
            return Err(Failure::usage("--client-id is too long for a file name; name the file with --store"));
        }
        let folders = ProjectDirs::from("", "", "homing")
            .ok_or_else(|| Failure::usage("no home folder is known; name the store's file with --store"))?;
        Ok(folders.data_dir().join(name))
    }

    /// The SDK's options.
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let mut options = Options::new(self.store_path()?);
        // A variable holds all addresses of the broker, separated by white space.
        let mut addresses = self
            .broker
            .iter()
            .flat_map(|text| text.split_whitespace())
            .map(|text| BrokerUrl::parse(text).map_err(|error| Failure::usage(format_args!("--broker: {error}"))));
        options.broker = addresses.next().transpose()?;
        options.other_addresses = addresses.collect::<Result<_, _>>()?;
        let addresses = options.broker.iter().chain(&options.other_addresses);
        self.belongs(addresses)?;
        options.credentials = self.credentials.clone().map(Into::into);
        if let Some(own) = self.service.credentials().map_err(Failure::usage)? {
            if options.credentials.is_some() {
                return Err(Failure::usage(
                    "user and password of the file, and those of the profile, exclude each other",
                ));
            }
            options.credentials = Some(own);
        }
        options.tls = self.tls.options().map_err(Failure::usage)?;
        options.profile = self.service.profile().map_err(Failure::usage)?;
        let way = self.proxy.as_deref().map(proxy).transpose();
        set(&mut options.proxy, way.map_err(|error| Failure::usage(format_args!("--proxy: {error}")))?);
        options.websocket_headers = self.websocket_headers.clone();
        options.client_id = self.client_id.clone();
        set(&mut options.version, self.mqtt.map(Into::into));
        set(&mut options.keep_alive, self.keep_alive);
        set(&mut options.session_expiry, self.session_expiry);
        set(&mut options.durability, self.durability.map(Into::into));
        set(&mut options.inflight, self.inflight);
        set(&mut options.inflight_qos2, self.inflight_qos2);
        set(&mut options.retention, self.retention);
        set(&mut options.outbox_limit, self.outbox_limit);
        set(&mut options.inbox_limit, self.inbox_limit);
        set(&mut options.inbox_full, self.inbox_full.map(Into::into));
        Ok(options)
    }
}

impl Common {
    /// Whether what the file has for its own brokers may go to these: a password that was written down for one host is not
    /// shown to another because a flag names it.
    fn belongs<'a>(&self, mut brokers: impl Iterator<Item = &'a BrokerUrl>) -> Result<(), Failure> {
        let Some(Replaced { file, brokers: own }) = &self.replaced else { return Ok(()) };
        let own: Vec<_> = own.split_whitespace().filter_map(|text| BrokerUrl::parse(text).ok()).collect();
        let password = |broker: &BrokerUrl| self.credentials.is_some() && broker.credentials().is_none();
        let headers = !self.websocket_headers.is_empty();
        let stranger = brokers.find(|broker| {
            let shown = password(broker) || headers && broker.scheme().is_websocket();
            shown && !own.iter().any(|own| is_meant(own, broker))
        });
        let Some(stranger) = stranger else { return Ok(()) };
        let what = if password(stranger) { "user and password" } else { "the WebSocket headers" };
        Err(Failure::usage(format_args!(
            "--broker: {what} in {file} are for the brokers in it, and {stranger} is none of them; take the broker out of the \
             file, or give HOMING_BROKER with user:password@ and a file without"
        )))
    }
}

/// The same host, and not in the clear what was meant for TLS; this machine is one host under all its names.
fn is_meant(own: &BrokerUrl, broker: &BrokerUrl) -> bool {
    let here = |broker: &BrokerUrl| match broker.scheme() {
        Scheme::Unix => true,
        _ => {
            let address = broker.host().parse::<IpAddr>();
            broker.host() == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
    };
    own.host() == broker.host() && (broker.is_tls() || !own.is_tls()) || here(own) && here(broker)
}

fn proxy(text: &str) -> Result<Proxy, ProxyUrlError> {
    match text {
        "none" => Ok(Proxy::Direct),
        "system" => Ok(Proxy::System),
        url => ProxyUrl::parse(url).map(Proxy::Url),
    }
}

/// One of a flag's values; clap's own error does not say which there are.
fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let names: Vec<_> = T::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
        let names: Vec<_> = names.iter().map(clap::builder::PossibleValue::get_name).collect();
        format!("must be {}", names.join(" or "))
    })
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = Vec::new();
    std::fs::File::open(file)?.take(LONGEST + 1).read_to_end(&mut text)?;
    match text.len() as u64 > LONGEST {
        true => Err(std::io::Error::other("it is longer than 1 MiB; is it the right file?")),
        false => String::from_utf8(text).map_err(|_| std::io::Error::other("it is not UTF-8 text")),
    }
}

fn headers(table: toml::Table) -> Result<Vec<HttpHeader>, String> {
    let header = |(name, value)| match value {
        toml::Value::String(value) => HttpHeader::new(name, value).map_err(|error| error.to_string()),
        _ => Err(format!("{name} must be text")),
    };
    table.into_iter().map(header).collect()
}

fn set<T>(option: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *option = value;
    }
}

fn fill<T>(flag: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    let value = value?;
    flag.get_or_insert(value);
    Ok(())
}

/// All of the flag, or all of the file.
fn pins(flag: &mut Vec<SpkiPin>, text: &str) -> Result<(), String> {
    let pins = text.split(',').map(SpkiPin::parse).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    if flag.is_empty() {
        *flag = pins;
    }
    Ok(())
}

fn count(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be between 1 and 65535".to_owned())
}

/// Letters, digits, `-` and `_` stay; every other byte becomes `%XX`, so that no two client ids share a file.
fn file_name(id: &str) -> String {
    use std::fmt::Write;
    id.bytes().fold(String::new(), |mut name, byte| {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'-' | b'_' => name.push(byte.into()),
            // Upper case is escaped too: some file systems do not tell it from lower case.
            _ => {
                let _ = write!(name, "%{byte:02x}");
            }
        }
        name
    })
}

#[cfg(test)]
mod tests;
