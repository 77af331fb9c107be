//! Keys and ids are bytes: how they stand in a URL and in JSON (`id`), before people (`name`), and in a pattern.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde::Serialize;

/// What `encodeURIComponent` escapes: a page may then put an id into a URL as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Bytes as text that loses nothing: percent-encoded as `encodeURIComponent` does.
pub fn id_of(bytes: &[u8]) -> String {
    percent_encode(bytes, ESCAPED).to_string()
}

/// The bytes of an id, the inverse of [`id_of`].
pub fn bytes_of(id: &str) -> Vec<u8> {
    percent_decode_str(id).collect()
}

/// Bytes for people: UTF-8 as it is, any other byte as `\xNN`.
pub fn name_of(bytes: &[u8]) -> String {
    let mut name = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        name.push_str(chunk.valid());
        name.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    name
}

/// An id, for URLs (percent-encoded) and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    pub id: String,
    pub name: String,
}

impl Named {
    pub fn of(bytes: &[u8]) -> Named {
        Named { id: id_of(bytes), name: name_of(bytes) }
    }
}

/// Bytes as a label of Prometheus: as for people, but no two keys have the same. A backslash is two.
pub fn label_of(bytes: &[u8]) -> String {
    let mut label = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        label.push_str(&chunk.valid().replace('\\', "\\\\"));
        label.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    label
}

/// A pattern, as KEYS takes it, that matches exactly these bytes.
pub fn pattern_of(text: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(text.len());
    for byte in text {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_every_byte() {
        assert_eq!(name_of("pöpup".as_bytes()), "pöpup");
        assert_eq!(name_of(b"a\xff\xc3b"), "a\\xff\\xc3b");
    }

    #[test]
    fn keys_that_look_alike_have_labels_of_their_own() {
        let keys: [&[u8]; 4] = [b"a\xff", b"a\\xff", b"a\\\\xff", b"a\\\xff"];
        let labels: std::collections::BTreeSet<_> = keys.into_iter().map(label_of).collect();
        assert_eq!(labels.len(), keys.len(), "{labels:?}");
        assert_eq!((label_of(b"a\xff").as_str(), label_of(b"popup").as_str()), ("a\\xff", "popup"));
    }

    #[test]
    fn a_pattern_takes_its_text_literally() {
        assert_eq!(pattern_of(b"why? [50%*]"), b"why\\? \\[50%\\*\\]");
        assert_eq!(pattern_of(b"a\\b"), b"a\\\\b");
    }
}
