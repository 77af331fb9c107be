//! Hash slots of a cluster: names of keys that are in the slot of another.

use smallvec::SmallVec;

use super::string::OwnStr;

/// The hash tag of a key: what is between the first `{` and the first `}` behind it, if there is anything.
pub fn tag(name: &[u8]) -> Option<&[u8]> {
    let open = name.iter().position(|b| *b == b'{')?;
    let len = name[open + 1..].iter().position(|b| *b == b'}')?;
    (len > 0).then(|| &name[open + 1..open + 1 + len])
}

/// The key that has this suffix behind the name, in the slot of the name.
pub fn with_suffix(name: &[u8], suffix: &[&[u8]]) -> OwnStr {
    let mut key: SmallVec<[u8; 128]> = SmallVec::new();
    if tag(name).is_some() {
        key.extend_from_slice(name);
    } else {
        key.push(b'{');
        key.extend_from_slice(name);
        key.push(b'}');
    }
    suffix.iter().for_each(|part| key.extend_from_slice(part));
    OwnStr::new(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_the_servers() {
        assert_eq!(tag(b"shop:{42}:x{y}"), Some(&b"42"[..]));
        assert_eq!(tag(b"a{}b{c}"), None);
        assert_eq!(tag(b"}a{b"), None);
    }

    #[test]
    fn a_suffix_stays_in_the_slot() {
        assert_eq!(with_suffix(b"popup", &[b":orders"]).get().bytes(), b"{popup}:orders");
        assert_eq!(with_suffix(b"shop:{42}", &[b":", b"dead"]).get().bytes(), b"shop:{42}:dead");
    }
}
