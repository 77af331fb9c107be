//! MATCH patterns, as Redis's KEYS and SCAN take them: `*`, `?`, `[abc]`, `[^a-z]`, `\x`.

use regex::bytes::{Regex, RegexBuilder};

use holdfast_engine::terms::refusal::Refusal;

/// Compiled patterns above this size are refused.
const SIZE_LIMIT_BYTES: usize = 1 << 20;

/// A pattern to match ids with, of the argument `name`. Matching takes time linear in the id, whatever the pattern.
pub fn compile(name: &'static str, pattern: &[u8]) -> Result<Regex, Refusal> {
    let mut text = String::from("^(?:");
    let mut rest = pattern;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'*' => text.push_str(".*"),
            b'?' => text.push('.'),
            b'[' => rest = class(rest, &mut text),
            b'\\' if !rest.is_empty() => {
                literal(rest[0], &mut text);
                rest = &rest[1..];
            }
            byte => literal(*byte, &mut text),
        }
    }
    text.push_str(")$");
    RegexBuilder::new(&text)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(SIZE_LIMIT_BYTES)
        .build()
        .map_err(|_| Refusal::argument(name, format!("must be a shorter pattern, got {} bytes", pattern.len())))
}

fn literal(byte: u8, text: &mut String) {
    text.push_str(&format!("\\x{byte:02x}"));
}

/// A class up to its `]`, or to the end of the pattern, as Redis reads it.
fn class<'a>(mut rest: &'a [u8], text: &mut String) -> &'a [u8] {
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b']' => break,
            b'\\' if !rest.is_empty() => {
                ranges.push((rest[0], rest[0]));
                rest = &rest[1..];
            }
            from if rest.len() >= 2 && rest[0] == b'-' => {
                ranges.push((*from.min(&rest[1]), *from.max(&rest[1])));
                rest = &rest[2..];
            }
            byte => ranges.push((*byte, *byte)),
        }
    }
    match (ranges.is_empty(), negated) {
        // Nothing is in an empty class, and everything is outside it.
        (true, false) => text.push_str(r"[^\x00-\xff]"),
        (true, true) => text.push('.'),
        (false, _) => {
            text.push_str(if negated { "[^" } else { "[" });
            for (from, to) in ranges {
                text.push_str(&format!("\\x{from:02x}-\\x{to:02x}"));
            }
            text.push(']');
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn patterns_match_as_redis_matches_them() {
        for (pattern, id, matches) in [
            (&b"*"[..], &b""[..], true),
            (b"sku-*", b"sku-1", true),
            (b"sku-*", b"xsku-1", false),
            (b"h?llo", b"hallo", true),
            (b"h[ae]llo", b"hillo", false),
            (b"h[^e]llo", b"hallo", true),
            (b"h[a-b]llo", b"hbllo", true),
            (b"h[b-a]llo", b"hallo", true),
            (b"\\*", b"*", true),
            (b"\\*", b"x", false),
            (b"a.b", b"axb", false),
            (b"*\xff", b"\x00\n\xff", true),
            (b"[]x", b"x", false),
            (b"[^]", b"x", true),
            (b"[a", b"a", true),
            (b"a\\", b"a\\", true),
        ] {
            let regex = compile("MATCH", pattern).expect("a pattern");
            assert_eq!(regex.is_match(id), matches, "{} on {}", pattern.escape_ascii(), id.escape_ascii());
        }
    }

    #[test]
    fn a_huge_pattern_is_refused_not_a_crash() {
        let _ = compile("MATCH", &vec![b'*'; 600_000]);
        let _ = compile("MATCH", &vec![b'['; 600_000]);
    }
}
