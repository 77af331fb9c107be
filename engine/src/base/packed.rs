//! Small integers and byte strings packed into bytes: LEB128 varints, as Protocol Buffers use them.

use smallvec::SmallVec;

/// What packed bytes are written to.
pub(crate) trait Out {
    fn byte(&mut self, byte: u8);
    fn bytes(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    fn byte(&mut self, byte: u8) {
        self.push(byte);
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<const N: usize> Out for SmallVec<[u8; N]>
where
    [u8; N]: smallvec::Array<Item = u8>,
{
    fn byte(&mut self, byte: u8) {
        self.push(byte);
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Bytes of the longest packed integer.
const LONGEST: usize = 10;

/// Appends `n` in 1 to 10 bytes.
#[inline]
pub(crate) fn put(out: &mut impl Out, n: u64) {
    if n < 0x80 {
        out.byte(n as u8);
    } else {
        put_long(out, n);
    }
}

/// Out of line, as most integers take one byte.
#[inline(never)]
fn put_long(out: &mut impl Out, mut n: u64) {
    let (mut packed, mut len) = ([0; LONGEST], 0);
    while n >= 0x80 {
        packed[len] = n as u8 | 0x80;
        n >>= 7;
        len += 1;
    }
    packed[len] = n as u8;
    out.bytes(&packed[..=len]);
}

/// Appends integers one behind the other.
pub(crate) fn put_all(out: &mut impl Out, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|n| put(out, n));
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut impl Out, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.bytes(bytes);
}

/// Appends 16 bytes, the lowest first.
pub(crate) fn put_wide(out: &mut impl Out, n: u128) {
    out.bytes(&n.to_le_bytes());
}

/// Takes an integer from the front of `bytes`; `None` if there is none or it is over 64 bits.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    match bytes.split_first()? {
        (first, rest) if *first < 0x80 => {
            *bytes = rest;
            Some(u64::from(*first))
        }
        _ => take_long(bytes),
    }
}

#[inline(never)]
fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for (at, byte) in bytes.iter().take(LONGEST).enumerate() {
        n |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return (at + 1 < LONGEST || *byte < 2).then_some(n);
        }
    }
    None
}

/// Takes a length and that many bytes from the front.
#[inline]
pub(crate) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take(bytes)?).ok()?;
    let taken = bytes.get(..len)?;
    *bytes = &bytes[len..];
    Some(taken)
}

/// Takes an integer that has to fit 32 bits.
pub(crate) fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(take(bytes)?).ok()
}

/// Signed integers with small absolute values stay small: 0, -1, 1, -2 … become 0, 1, 2, 3 …
pub(crate) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_as_they_went() {
        for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), (1 << 53) - 1, u64::MAX] {
            let mut out = Vec::new();
            put(&mut out, n);
            let mut rest = &out[..];
            assert_eq!(take(&mut rest), Some(n));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn small_signed_integers_stay_small_and_no_two_become_one() {
        assert_eq!([0, -1, 1, -2, i64::MAX, i64::MIN].map(zigzag), [0, 1, 2, 3, u64::MAX - 1, u64::MAX]);
    }

    #[test]
    fn what_is_cut_or_too_long_is_refused() {
        assert_eq!(take(&mut &[0x80u8][..]), None);
        assert_eq!(take(&mut &[0xffu8; 11][..]), None);
        assert_eq!(take_bytes(&mut &[5u8, 1, 2][..]), None);
    }
}
