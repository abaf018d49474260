//! The proxy that the environment names, by curl's rules (`Proxy::System`).

use std::net::IpAddr;

use crate::model::proxy::{ProxyUrl, ProxyUrlError};

/// The proxy for `host`, if the environment names one and does not except the host.
///
/// # Errors
/// Which variable cannot be understood, and why. Its text is not repeated.
pub fn system_proxy(host: &str) -> Result<Option<ProxyUrl>, (&'static str, ProxyUrlError)> {
    choose(host, |name| std::env::var(name).ok())
}

fn choose(
    host: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<ProxyUrl>, (&'static str, ProxyUrlError)> {
    let set = |name: &'static str| Some((name, variable(name).filter(|value| !value.trim().is_empty())?));
    let except = ["no_proxy", "NO_PROXY"].into_iter().find_map(set);
    let chosen = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].into_iter().find_map(set);
    let Some((name, text)) = chosen.filter(|_| !except.is_some_and(|(_, list)| excepts(&list, host))) else {
        return Ok(None);
    };
    let text = text.trim();
    let url = match text.contains("://") {
        true => ProxyUrl::parse(text),
        false => ProxyUrl::parse(&format!("http://{text}")),
    };
    url.map(Some).map_err(|error| (name, error))
}

fn excepts(list: &str, host: &str) -> bool {
    let address = host.parse::<IpAddr>().ok();
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| match address {
        _ if entry == "*" => true,
        Some(address) => within(address, entry.trim_start_matches('[').trim_end_matches(']')),
        None => {
            let name = entry.trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
            let host = host.trim_end_matches('.');
            // The name itself, and what is below it.
            !name.is_empty() && host.strip_suffix(&name).is_some_and(|front| front.is_empty() || front.ends_with('.'))
        }
    })
}

/// An address, or a network: `10.0.0.0/8`.
fn within(address: IpAddr, entry: &str) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse().ok()),
        None => (entry, Some(u32::MAX)),
    };
    let Some(bits) = bits else { return false };
    match (address, network.parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(network))) => {
            let differ = u32::from(address) ^ u32::from(network);
            differ.leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(network))) => {
            let differ = u128::from(address) ^ u128::from(network);
            differ.leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(host: &str, variables: &[(&str, &str)]) -> Option<String> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        choose(host, find).unwrap().map(|url| url.to_string())
    }

    #[test]
    fn the_first_variable_that_is_set_counts() {
        let all = ("ALL_PROXY", "socks5h://all:1");
        assert_eq!(chosen("home", &[]), None);
        assert_eq!(chosen("home", &[("HTTP_PROXY", "http://web:1")]), None);
        assert_eq!(chosen("home", &[all]).as_deref(), Some("socks5h://all:1"));
        assert_eq!(chosen("home", &[all, ("https_proxy", "")]).as_deref(), Some("socks5h://all:1"));
        assert_eq!(chosen("home", &[all, ("HTTPS_PROXY", "u:p@web:3128")]).as_deref(), Some("http://web:3128"));
        let both = [("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "http://lower:1")];
        assert_eq!(chosen("home", &both).as_deref(), Some("http://lower:1"));
        let wrong = choose("home", |name| (name == "ALL_PROXY").then(|| "ftp://secret:1".to_owned()));
        assert!(matches!(wrong, Err(("ALL_PROXY", ProxyUrlError::Scheme { .. }))));
    }

    #[test]
    fn hosts_are_excepted() {
        for (list, host, expected) in [
            ("*", "anything", true),
            ("home.example, other", "home.example", true),
            (".home.example", "broker.home.example", true),
            ("Home.Example", "broker.home.example.", true),
            ("home.example", "nothome.example", false),
            (".", "home", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("10.0.0.0/8,fd00::/8", "10.9.8.7", true),
            ("10.0.0.0/8,fd00::/8", "fd12::1", true),
            ("10.0.0.0/8,fd00::/8", "11.0.0.1", false),
            ("10.0.0.0/x", "10.0.0.0", false),
            ("0.0.0.0/0", "9.9.9.9", true),
            ("[::1]", "::1", true),
            ("1.1", "10.1.1.1", false),
        ] {
            assert_eq!(excepts(list, host), expected, "{list} {host}");
        }
    }
}
