//! How the store keeps a broker's addresses: one text, the one in use first, without credentials (P12).

/// Stands before an address at which a session may be left that ours has nothing to do with any more.
const LEFT_BEHIND: char = '!';
/// Stands before an address to which a CONNECT went whose answer was not heard, while our session was at another one.
const UNHEARD: char = '?';
/// Stands before one with such a mark that the app's list names no more: it is remembered, and never tried.
const UNLISTED: char = '-';

/// One address as the store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept<'a> {
    /// As `BrokerUrl` shows it: no white space in it.
    pub(crate) address: &'a str,
    /// Another address of the list had no session where this one had one: if this one has one still, it is not ours.
    pub(crate) left_behind: bool,
    /// A CONNECT that was not answered may have made a session there: if it is not the same broker, an empty one.
    pub(crate) unheard: bool,
    /// The app's last list had it.
    pub(crate) listed: bool,
}

/// The addresses in a text of the store.
pub(crate) fn read(text: &str) -> impl Iterator<Item = Kept<'_>> {
    text.split(' ').filter(|word| !word.is_empty()).map(|word| {
        let (word, listed) = word.strip_prefix(UNLISTED).map_or((word, true), |rest| (rest, false));
        let (word, left_behind) = word.strip_prefix(LEFT_BEHIND).map_or((word, false), |rest| (rest, true));
        let (address, unheard) = word.strip_prefix(UNHEARD).map_or((word, false), |rest| (rest, true));
        Kept { address, left_behind, unheard, listed }
    })
}

/// The text for addresses.
pub(crate) fn write<'a>(list: impl IntoIterator<Item = Kept<'a>>) -> String {
    let words = list.into_iter().map(|kept| {
        let unlisted = (!kept.listed).then_some(UNLISTED);
        let left_behind = kept.left_behind.then_some(LEFT_BEHIND);
        let unheard = kept.unheard.then_some(UNHEARD);
        unlisted.into_iter().chain(left_behind).chain(unheard).chain(kept.address.chars()).collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The address that people are shown: the one in use, or the first.
pub(crate) fn shown(text: &str) -> Option<&str> {
    read(text).next().map(|kept| kept.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_one_text_and_the_text_of_older_stores_is_a_list_of_one() {
        let kept = |address, left_behind, unheard, listed| Kept { address, left_behind, unheard, listed };
        let list = [
            kept("mqtt://a:1883", false, false, true),
            kept("mqtt://b:1", true, false, true),
            kept("mqtt://c:1", true, true, false),
            kept("mqtt://d:1", false, true, true),
        ];
        let text = write(list);
        assert_eq!(text, "mqtt://a:1883 !mqtt://b:1 -!?mqtt://c:1 ?mqtt://d:1");
        assert_eq!(read(&text).collect::<Vec<_>>(), list);
        assert_eq!(shown("mqtt://a:1883"), Some("mqtt://a:1883"));
        assert_eq!(shown(""), None);
    }
}
