//! Small pieces of memory that can be put elsewhere, for a server that defragments its memory.

use smallvec::SmallVec;

/// Puts a piece of memory elsewhere, or leaves it where it is: the bytes and the capacity stay as they are. Only the
/// side of the server knows how.
pub type Move<'a> = dyn FnMut(Vec<u8>) -> Vec<u8> + 'a;

/// A record with small pieces of memory of its own.
pub(crate) trait Defrag {
    /// Offers each piece to be moved.
    fn defrag(&mut self, put: &mut Move<'_>);
}

impl<const N: usize> Defrag for SmallVec<[u8; N]>
where
    [u8; N]: smallvec::Array<Item = u8>,
{
    fn defrag(&mut self, put: &mut Move<'_>) {
        if self.spilled() {
            *self = SmallVec::from_vec(put(std::mem::take(self).into_vec()));
        }
    }
}

impl Defrag for Box<[u8]> {
    fn defrag(&mut self, put: &mut Move<'_>) {
        if !self.is_empty() {
            *self = put(std::mem::take(self).into_vec()).into_boxed_slice();
        }
    }
}
