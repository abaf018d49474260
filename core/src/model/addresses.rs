//! How the store keeps a broker's addresses: one text, the one in use first, without credentials (P12).

/// Stands before an address at which a session may be left that ours has nothing to do with any more.
const LEFT_BEHIND: char = '!';

/// One address as the store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept<'a> {
    /// As `BrokerUrl` shows it: no white space in it.
    pub(crate) address: &'a str,
    /// Another address of the list had no session where this one had one: if this one has one still, it is not ours.
    pub(crate) left_behind: bool,
}

/// The addresses in a text of the store.
pub(crate) fn read(text: &str) -> impl Iterator<Item = Kept<'_>> {
    text.split(' ').filter(|word| !word.is_empty()).map(|word| match word.strip_prefix(LEFT_BEHIND) {
        Some(address) => Kept { address, left_behind: true },
        None => Kept { address: word, left_behind: false },
    })
}

/// The text for addresses and whether each was left behind.
pub(crate) fn write(list: impl IntoIterator<Item = (String, bool)>) -> String {
    let words = list.into_iter().map(|(address, left_behind)| match left_behind {
        true => format!("{LEFT_BEHIND}{address}"),
        false => address,
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
        let text = write([("mqtt://a:1883".to_owned(), false), ("mqtt://b:1".to_owned(), true)]);
        assert_eq!(text, "mqtt://a:1883 !mqtt://b:1");
        let kept: Vec<_> = read(&text).map(|kept| (kept.address, kept.left_behind)).collect();
        assert_eq!(kept, [("mqtt://a:1883", false), ("mqtt://b:1", true)]);
        assert_eq!(shown("mqtt://a:1883"), Some("mqtt://a:1883"));
        assert_eq!(shown(""), None);
    }
}
