//! A lock for a document that lives elsewhere: one owner at a time, for as long as its lease lasts, under a token.
//!
//! The token is what makes the lock safe: it grows with every owner, so whoever keeps the document can refuse a write
//! that comes with an older one, from an owner whose lease has passed on without its knowing. As everywhere in the
//! engine, time comes with the call, and nothing in here reads a clock.

use xxhash_rust::xxh3::xxh3_128;

use crate::base::packed::{put, put_all, put_bytes, take, take_bytes};
use crate::base::units::{Bytes, MAX_ID_BYTES, MAX_QUANTITY, Ms};
use crate::terms::refusal::Refusal;

/// How long a lock that nobody holds is kept, milliseconds since its last change. One that is taken again and again is
/// not created each time; and its slot takes the last token along to another node of a cluster, whose clock may lag by
/// that much and whose floor knows nothing of it.
pub const LINGER_MS: Ms = 60_000;

/// Tokens of one millisecond of the clock: that many owners a millisecond, for hours, before tokens run ahead of it.
const TOKENS_A_MS: u64 = 1024;

/// The highest floor there is. A token beyond it cannot come from a clock, only from a forged image: such a lock runs
/// out of tokens alone, and leaves 2^40 to all others.
pub const FLOOR_MAX: u64 = MAX_QUANTITY - (1 << 40);

/// The version of the image.
const VERSION: u64 = 1;

/// A lock. It is held while it has an owner and the lease lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Empty when it is free.
    owner: Bytes,
    /// The last one that was given; before the first, the floor the lock was made with.
    token: u64,
    taken_at: Ms,
    /// When the lease ends; 0 when it is free.
    deadline: Ms,
    changed_at: Ms,
}

/// What an owner got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub token: u64,
    /// Whether it was free before; otherwise the same owner held it already.
    pub is_new: bool,
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder<'a> {
    pub owner: &'a [u8],
    pub token: u64,
    /// When it was taken, Unix milliseconds.
    pub taken_at: Ms,
    /// When the lease ends, Unix milliseconds.
    pub deadline: Ms,
}

impl Lock {
    /// A lock nobody has held yet, whose tokens are all higher than `floor`.
    pub fn new(floor: u64) -> Self {
        Lock { owner: Bytes::default(), token: floor, taken_at: 0, deadline: 0, changed_at: 0 }
    }

    /// Who holds it at a time; at time 0, who was the last to take it and has not let go.
    pub fn holder(&self, now: Ms) -> Option<Holder<'_>> {
        let held = !self.owner.is_empty() && self.deadline > now;
        held.then_some(Holder {
            owner: &self.owner,
            token: self.token,
            taken_at: self.taken_at,
            deadline: self.deadline,
        })
    }

    /// Whether this owner holds it.
    pub fn is_held_by(&self, now: Ms, owner: &[u8]) -> bool {
        self.holder(now).is_some_and(|holder| holder.owner == owner)
    }

    /// Whether it is held under this token.
    fn is_held_under(&self, now: Ms, token: u64) -> bool {
        self.holder(now).is_some_and(|holder| holder.token == token)
    }

    /// Takes it for `ttl_ms` milliseconds; none if another owner holds it. An owner who holds it already keeps the
    /// token and the time it was taken, and the lease starts again: the same call again, after a lost reply, is safe.
    pub fn acquire(&mut self, now: Ms, owner: &[u8], ttl_ms: Ms) -> Result<Option<Taken>, Refusal> {
        if let Some(holder) = self.holder(now) {
            let (token, same) = (holder.token, holder.owner == owner);
            if same {
                self.extend(now, ttl_ms);
            }
            return Ok(same.then_some(Taken { token, is_new: false }));
        }
        let token = self.next_token(now)?;
        self.owner = owner.into();
        self.token = token;
        self.taken_at = now;
        self.extend(now, ttl_ms);
        Ok(Some(Taken { token, is_new: true }))
    }

    fn next_token(&self, now: Ms) -> Result<u64, Refusal> {
        let token = self.token.saturating_add(1).max(now.saturating_mul(TOKENS_A_MS));
        if token > MAX_QUANTITY {
            return Err(Refusal::BadState("lock has no higher token left".into()));
        }
        Ok(token)
    }

    fn extend(&mut self, now: Ms, ttl_ms: Ms) {
        self.deadline = now.saturating_add(ttl_ms).min(MAX_QUANTITY);
        self.changed_at = now;
    }

    /// Starts the lease again, from now; false if it is not held under this token any more.
    pub fn renew(&mut self, now: Ms, token: u64, ttl_ms: Ms) -> bool {
        let held = self.is_held_under(now, token);
        if held {
            self.extend(now, ttl_ms);
        }
        held
    }

    /// Lets go of it; false if it is not held under this token any more.
    pub fn release(&mut self, now: Ms, token: u64) -> bool {
        let held = self.is_held_under(now, token);
        if held {
            self.set_free(now);
        }
        held
    }

    /// Frees it if its lease has ended; says whether that is so.
    pub fn expire(&mut self, now: Ms) -> bool {
        let ended = !self.owner.is_empty() && self.deadline <= now;
        if ended {
            self.set_free(now);
        }
        ended
    }

    fn set_free(&mut self, now: Ms) {
        self.owner = Bytes::default();
        self.taken_at = 0;
        self.deadline = 0;
        self.changed_at = now;
    }

    /// Whether nobody has held it for [`LINGER_MS`]: it may go.
    pub fn is_idle(&self, now: Ms) -> bool {
        self.owner.is_empty() && self.next_due() <= now
    }

    /// When it has to be looked at next: the end of the lease, or the time it may go.
    pub fn next_due(&self) -> Ms {
        if self.owner.is_empty() { self.changed_at.saturating_add(LINGER_MS) } else { self.deadline }
    }

    /// When it was changed last, Unix milliseconds.
    pub fn changed_at(&self) -> Ms {
        self.changed_at
    }

    /// What new locks have to stay above once this one is deleted.
    pub fn floor(&self) -> u64 {
        self.token.min(FLOOR_MAX)
    }

    /// Bytes next to the structure itself.
    pub fn weight(&self) -> usize {
        self.owner.len()
    }

    /// The lock as bytes.
    pub fn save(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_ID_BYTES / 8 + self.owner.len());
        put(&mut out, VERSION);
        put_bytes(&mut out, &self.owner);
        put_all(&mut out, [self.token, self.taken_at, self.deadline, self.changed_at]);
        out
    }

    /// Reads an image, which anyone may have written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(mut image: &[u8]) -> Result<Self, &'static str> {
        const CUT: &str = "corrupt lock image: cut off";
        let image = &mut image;
        if take(image).ok_or(CUT)? != VERSION {
            return Err("a lock image of another version");
        }
        let owner = take_bytes(image).ok_or(CUT)?;
        let mut number = || take(image).filter(|n| *n <= MAX_QUANTITY).ok_or("corrupt lock image: a number");
        let (token, taken_at, deadline, changed_at) = (number()?, number()?, number()?, number()?);
        let free = owner.is_empty();
        if !image.is_empty() || owner.len() > MAX_ID_BYTES || free != (deadline == 0) || (free && taken_at != 0) {
            return Err("corrupt lock image");
        }
        Ok(Lock { owner: owner.into(), token, taken_at, deadline, changed_at })
    }

    /// The same for the same lock on a primary, its replicas, after a restart.
    pub fn digest(&self) -> u128 {
        xxh3_128(&self.save())
    }
}
