//! Which of the broker's addresses is tried when: the last that worked first, then the others in the app's order, each once
//! a round; between rounds the back-off waits.

use crate::model::addresses::{Kept, read, write};
use crate::model::broker_url::BrokerUrl;
use crate::model::options::Options;

/// So many redirects are followed in a row before the back-off has its turn.
const MOST_REDIRECTS: u32 = 3;

#[derive(Debug)]
struct Address {
    url: BrokerUrl,
    tried: bool,
    /// The broker refused us there: not before then.
    refused_until: Option<i64>,
    /// See [`Kept::left_behind`].
    left_behind: bool,
    /// See [`Kept::unheard`].
    unheard: bool,
    /// The session found there is to be ended first.
    foreign: bool,
}

/// Addresses that the app's list names no more are remembered up to this number.
const MOST_UNLISTED: usize = 16;

/// What becomes of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    /// The address is one of ours and is tried next.
    Followed,
    /// No address of ours.
    Foreign,
    /// Too many in a row.
    TooMany,
}

/// Addresses that have refused us, and until when.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Vec<(BrokerUrl, i64)>);

/// The broker's addresses. Times are `Now::mono_ms`.
#[derive(Debug)]
pub struct Addresses {
    list: Vec<Address>,
    /// The app's first, or the one that the broker has moved to in this run.
    first: usize,
    /// Where a round begins.
    start: usize,
    /// The one in use, or tried last.
    at: usize,
    /// The one to try next, and whether for now only.
    next: Option<(usize, bool)>,
    /// The one in use is used for now only: the next round begins where this one did.
    borrowed: bool,
    redirects: u32,
    /// Where a CONNACK was accepted last, in this run or an earlier one.
    used: Option<usize>,
    known: bool,
    /// With a mark, and not in the list: left behind, unheard.
    unlisted: Vec<(String, bool, bool)>,
}

impl Addresses {
    /// The app's list, or the store's if the app names none; `kept` is the store's text.
    pub fn new(options: &Options, kept: Option<&str>) -> Self {
        let kept: Vec<Kept<'_>> = kept.map(|text| read(text).collect()).unwrap_or_default();
        // A client id that the service gives ties the store to it. Without one, what the profile makes could go to whatever
        // broker the store knows.
        let names_endpoint = options.profile.broker().is_some() && options.profile.client_id().is_none();
        let urls: Vec<BrokerUrl> = match &options.broker {
            Some(broker) => std::iter::once(broker).chain(&options.other_addresses).cloned().collect(),
            None if kept.is_empty() || names_endpoint => options.profile.broker().cloned().into_iter().collect(),
            // An address that this build cannot read is left out.
            None => {
                kept.iter().filter(|kept| kept.listed).filter_map(|kept| BrokerUrl::parse(kept.address).ok()).collect()
            }
        };
        let address = |url: BrokerUrl| {
            let text = url.to_string();
            let kept = kept.iter().find(|kept| kept.address == text);
            let left_behind = kept.is_some_and(|kept| kept.left_behind);
            let unheard = kept.is_some_and(|kept| kept.unheard);
            (Address { tried: false, refused_until: None, left_behind, unheard, foreign: false, url }, kept)
        };
        let (list, found): (Vec<Address>, Vec<Option<&Kept<'_>>>) = urls.into_iter().map(address).unzip();
        let used = kept.first().and_then(|first| found.iter().position(|kept| *kept == Some(first)));
        let named = (options.broker.is_some() || names_endpoint) && !options.same_broker && !kept.is_empty();
        let known = !named || found.iter().any(Option::is_some);
        let start = used.unwrap_or(0);
        let unlisted = kept.iter().filter(|kept| (kept.left_behind || kept.unheard) && !found.contains(&Some(kept)));
        let unlisted = unlisted.map(|kept| (kept.address.to_owned(), kept.left_behind, kept.unheard));
        Self {
            list,
            first: 0,
            start,
            at: start,
            next: None,
            borrowed: false,
            redirects: 0,
            used,
            known,
            unlisted: unlisted.take(MOST_UNLISTED).collect(),
        }
    }

    /// Whether this is the broker that the store knows, if it knows one: one address at least is the same.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        self.list.len() > 1
    }

    /// The one in use, or the one to be tried.
    pub fn current(&self) -> Option<&BrokerUrl> {
        self.list.get(self.at).map(|address| &address.url)
    }

    /// What the store is to keep.
    pub fn kept(&self) -> Option<String> {
        let used = self.used.unwrap_or(0);
        let rest = (0..self.list.len()).filter(|at| *at != used);
        let list = std::iter::once(used).chain(rest).filter_map(|at| self.list.get(at));
        let listed: Vec<_> =
            list.map(|address| (address.url.to_string(), address.left_behind, address.unheard)).collect();
        let all = listed.iter().map(|kept| (kept, true)).chain(self.unlisted.iter().map(|kept| (kept, false)));
        let text = write(all.map(|((address, left_behind, unheard), listed)| Kept {
            address,
            left_behind: *left_behind,
            unheard: *unheard,
            listed,
        }));
        Some(text).filter(|text| !text.is_empty())
    }

    fn pick(&self, now: i64) -> Option<usize> {
        let order = [self.start, self.first].into_iter().chain(0..self.list.len());
        order.filter(|at| self.is_open(*at, now)).find(|at| self.list.get(*at).is_some_and(|address| !address.tried))
    }

    fn is_open(&self, at: usize, now: i64) -> bool {
        self.list.get(at).is_some_and(|address| address.refused_until.is_none_or(|until| until <= now))
    }

    /// An attempt begins: chooses its address. Says whether it is another one than before.
    pub fn choose(&mut self, now: i64) -> bool {
        let before = self.at;
        let refused = |at: &usize| self.list.get(*at).and_then(|address| address.refused_until);
        (self.at, self.borrowed) = match self.next.take() {
            Some(next) => next,
            // All have refused us, and time is up for none: the one that did so first.
            None => (self.pick(now).or_else(|| (0..self.list.len()).min_by_key(refused)).unwrap_or(0), false),
        };
        if let Some(address) = self.list.get_mut(self.at) {
            address.tried = true;
        }
        self.at != before
    }

    /// The next attempt goes to the same address.
    pub fn again(&mut self) {
        self.next.get_or_insert((self.at, self.borrowed));
    }

    /// Whether the next address is settled already.
    pub fn is_redirected(&self) -> bool {
        self.next.is_some()
    }

    /// Whether an address is left to be tried at once.
    pub fn is_one_left(&self, now: i64) -> bool {
        self.next.is_some() || self.pick(now).is_some()
    }

    /// None is left: the next attempt begins a new round.
    pub fn end_round(&mut self) {
        self.next = None;
        self.redirects = 0;
        self.list.iter_mut().for_each(|address| address.tried = false);
    }

    /// A CONNECT goes out. If its answer is not heard, and this is another broker than the one that has our session,
    /// whatever the app says, there is an empty session from now on. Says whether one before it was not heard.
    pub fn ask(&mut self) -> bool {
        let (several, elsewhere) = (self.are_several(), self.used != Some(self.at));
        let Some(address) = self.list.get_mut(self.at) else { return false };
        let before = address.unheard;
        address.unheard |= several && elsewhere;
        before
    }

    /// A CONNACK that accepts: what session there is at the address in use is known.
    pub fn heard(&mut self) {
        if let Some(address) = self.list.get_mut(self.at) {
            address.unheard = false;
        }
    }

    /// The session is up.
    pub fn worked(&mut self) {
        if !self.borrowed {
            self.start = self.at;
        }
        self.used = Some(self.at);
        self.list.iter_mut().for_each(|address| address.tried = false);
        if let Some(address) = self.list.get_mut(self.at) {
            (address.refused_until, address.left_behind) = (None, false);
        }
    }

    /// The link did its work for a while: what comes is no loop.
    pub fn stable(&mut self) {
        self.redirects = 0;
    }

    /// The address works, but its links do not last: the others come first.
    pub fn move_on(&mut self) {
        if !self.list.is_empty() {
            self.start = (self.at + 1) % self.list.len();
        }
    }

    /// The network is another one: the app's order counts again.
    pub fn start_over(&mut self) {
        self.start = self.first;
        self.end_round();
    }

    /// The broker refused us at this address.
    pub fn refuse(&mut self, until: i64) {
        if let Some(address) = self.list.get_mut(self.at) {
            address.refused_until = Some(until);
        }
    }

    /// For a list that is made anew.
    pub fn refusals(&self) -> Refusals {
        let refused = |address: &Address| Some((address.url.clone(), address.refused_until?));
        Refusals(self.list.iter().filter_map(refused).collect())
    }

    /// An earlier list was told so.
    pub fn refused_before(&mut self, refusals: &Refusals) {
        for address in &mut self.list {
            let before = refusals.0.iter().find(|(url, _)| *url == address.url);
            address.refused_until = before.map(|(_, until)| *until);
        }
    }

    /// Refusals count no more: the app asks.
    pub fn forgive(&mut self) {
        self.list.iter_mut().for_each(|address| address.refused_until = None);
        self.end_round();
    }

    /// When the first address may be tried again, if all have refused us.
    pub fn refused_until(&self, now: i64) -> Option<i64> {
        match (0..self.list.len()).any(|at| self.is_open(at, now)) {
            true => None,
            false => self.list.iter().filter_map(|address| address.refused_until).min(),
        }
    }

    /// The broker names another server [4.11]; `moved`: for good, that is, for this run.
    pub fn redirect(&mut self, reference: &str, moved: bool) -> Redirect {
        let named = reference.split_whitespace().find_map(|word| {
            let others = self.list.iter().enumerate().filter(|(at, _)| *at != self.at);
            others.into_iter().find(|(_, address)| names(word, &address.url)).map(|(at, _)| at)
        });
        let Some(named) = named else { return Redirect::Foreign };
        if self.redirects >= MOST_REDIRECTS {
            return Redirect::TooMany;
        }
        self.redirects += 1;
        self.next = Some((named, !moved));
        if moved {
            (self.first, self.start) = (named, named);
        }
        Redirect::Followed
    }

    /// Whether the session found at the address in use is to be ended before ours begins.
    pub fn is_foreign(&self) -> bool {
        self.list.get(self.at).is_some_and(|address| address.foreign)
    }

    /// It is, or it is no more.
    pub fn set_foreign(&mut self, foreign: bool) {
        if let Some(address) = self.list.get_mut(self.at) {
            address.foreign = foreign;
        }
    }

    /// Whether a session found at the address in use cannot be ours.
    pub fn is_left_behind(&self) -> bool {
        self.list.get(self.at).is_some_and(|address| address.left_behind)
    }

    /// The address in use has no session of ours though we had one. If we had it at another address, they are not one broker,
    /// whatever the app says: what the others still hold is not ours any more, and its packet identifiers would swallow our
    /// messages.
    pub fn session_lost(&mut self) {
        // None: it was one that the list has no more.
        let elsewhere = self.used != Some(self.at);
        for (at, address) in self.list.iter_mut().enumerate() {
            address.left_behind = at != self.at && (address.left_behind || elsewhere);
        }
    }
}

/// Whether a word of a server reference names this address: `host`, `host:port`, or a URL. Without a port the scheme's own.
fn names(word: &str, url: &BrokerUrl) -> bool {
    if let Ok(named) = BrokerUrl::parse(word) {
        return (named.scheme(), named.host(), named.port()) == (url.scheme(), url.host(), url.port());
    }
    let (host, port) = match word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match word.split_once(':') {
            // An IPv6 address without brackets has no port.
            Some((_, rest)) if rest.contains(':') => (word, None),
            Some((host, port)) => (host, Some(port)),
            None => (word, None),
        },
    };
    let port = port.map_or(Some(url.scheme().port()), |port| port.parse().ok());
    !host.is_empty() && host.eq_ignore_ascii_case(url.host()) && port == Some(url.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_reference_names_host_and_port_4_11() {
        let url = |text| BrokerUrl::parse(text).unwrap();
        let here = url("mqtts://home.example:8884");
        let v6 = url("mqtt://[fe80::1]");
        for (word, address, expected) in [
            ("home.example:8884", &here, true),
            ("HOME.example:8884", &here, true),
            ("home.example", &here, false),
            ("home.example:8883", &here, false),
            ("home.example:x", &here, false),
            ("evil.example:8884", &here, false),
            ("mqtts://home.example:8884", &here, true),
            ("mqtt://home.example:8884", &here, false),
            ("[fe80::1]", &v6, true),
            ("[fe80::1]:1883", &v6, true),
            ("[fe80::1]:1884", &v6, false),
            ("fe80::1", &v6, true),
            ("", &url("unix:///run/mosquitto.sock"), false),
        ] {
            assert_eq!(names(word, address), expected, "{word} {address}");
        }
        assert!(names("home", &url("mqtts://home")));
    }
}
