//! Locks: one holder at a time, tokens that only grow, images from anyone.

use proptest::collection::vec;
use proptest::prelude::*;

use super::generate::cases;
use super::shop::START;
use crate::base::packed::{put, put_all, put_bytes};
use crate::base::units::{MAX_ID_BYTES, MAX_QUANTITY, Ms};
use crate::calls::locks::{FLOOR_MAX, LINGER_MS, Lock};
use crate::terms::refusal::Refusal;

fn take(lock: &mut Lock, now: Ms, owner: &str, ttl_ms: Ms) -> Option<u64> {
    lock.acquire(now, owner.as_bytes(), ttl_ms).unwrap().map(|taken| taken.token)
}

#[test]
fn one_owner_at_a_time() {
    let mut lock = Lock::new(0);
    assert_eq!(take(&mut lock, START, "ann", 100), Some(START * 1024));
    assert_eq!(take(&mut lock, START, "bob", 100), None);
    let holder = lock.holder(START).unwrap();
    assert_eq!((holder.owner, holder.taken_at, holder.deadline), (&b"ann"[..], START, START + 100));
    assert!(lock.holder(START + 99).is_some());
    assert!(lock.holder(START + 100).is_none(), "the lease has ended");
    assert_eq!(take(&mut lock, START + 100, "bob", 100), Some((START + 100) * 1024));
}

#[test]
fn the_same_owner_keeps_its_token() {
    let mut lock = Lock::new(0);
    let token = take(&mut lock, START, "ann", 100);
    let again = lock.acquire(START + 60, b"ann", 100).unwrap().unwrap();
    assert_eq!((Some(again.token), again.is_new), (token, false));
    let holder = lock.holder(START + 159).unwrap();
    assert_eq!((holder.taken_at, holder.deadline), (START, START + 160));
}

#[test]
fn only_the_current_token_renews_and_releases() {
    let mut lock = Lock::new(0);
    let first = take(&mut lock, START, "ann", 100).unwrap();
    assert!(lock.renew(START + 50, first, 100) && lock.holder(START + 149).is_some());
    assert!(!lock.renew(START + 150, first, 100), "too late");
    let second = take(&mut lock, START + 150, "ann", 100).unwrap();
    assert!(second > first);
    assert!(!lock.renew(START + 151, first, 1) && !lock.release(START + 151, first));
    assert!(lock.release(START + 151, second));
    assert!(!lock.release(START + 151, second), "once is enough");
    assert!(!lock.renew(START + 151, second, 100));
}

#[test]
fn a_lease_ends_and_an_idle_lock_may_go() {
    let mut lock = Lock::new(0);
    take(&mut lock, START, "ann", 100);
    assert_eq!(lock.next_due(), START + 100);
    assert!(!lock.expire(START + 99) && lock.expire(START + 100) && !lock.expire(START + 100));
    assert_eq!(lock.next_due(), START + 100 + LINGER_MS);
    assert!(!lock.is_idle(START + 99 + LINGER_MS) && lock.is_idle(START + 100 + LINGER_MS));
}

#[test]
fn tokens_grow_when_the_clock_does_not() {
    let mut lock = Lock::new(START * 2048);
    let first = take(&mut lock, START, "ann", 1).unwrap();
    assert_eq!(first, START * 2048 + 1, "above the floor");
    assert_eq!(take(&mut lock, START + 1, "ann", 1), Some(first + 1));
    lock.release(START + 1, first + 1);
    assert_eq!(take(&mut lock, START - 5_000, "ann", 1), Some(first + 2));
}

#[test]
fn a_lock_says_who_holds_it_when_it_changed_and_what_it_weighs() {
    let mut lock = Lock::new(0);
    assert_eq!((lock.is_held_by(START, b"ann"), lock.weight()), (false, 0));
    let token = take(&mut lock, START, "ann", 100).unwrap();
    assert!(lock.is_held_by(START + 99, b"ann") && !lock.is_held_by(START + 99, b"bob"));
    assert!(!lock.is_held_by(START + 100, b"ann"), "the lease has ended");
    assert_eq!((lock.changed_at(), lock.weight()), (START, 3));
    lock.release(START + 5, token);
    assert_eq!((lock.changed_at(), lock.weight(), lock.is_held_by(START + 5, b"ann")), (START + 5, 0, false));
}

#[test]
fn tokens_end_before_they_repeat() {
    let mut lock = Lock::new(MAX_QUANTITY - 1);
    assert_eq!(take(&mut lock, START, "ann", 1), Some(MAX_QUANTITY));
    let before = lock.clone();
    assert!(matches!(lock.acquire(START + 1, b"bob", 1), Err(Refusal::BadState(_))));
    assert_eq!(lock, before, "refused, and nothing has changed");
    assert_eq!(lock.floor(), FLOOR_MAX, "the others have tokens left");
}

#[test]
fn a_lease_past_the_end_of_time_is_cut() {
    let mut lock = Lock::new(0);
    take(&mut lock, START, "ann", MAX_QUANTITY);
    assert_eq!(lock.holder(START).unwrap().deadline, MAX_QUANTITY);
    assert_eq!(Lock::load(&lock.save()).unwrap(), lock);
}

/// What a history does at a step; times in milliseconds.
#[derive(Clone, Debug)]
enum Step {
    Acquire(u8, Ms),
    /// With the token so many back.
    Renew(usize, Ms),
    Release(usize),
    Sweep,
    Reload,
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let clock = prop_oneof![8 => 0i64..3, 4 => 3i64..60, 1 => -500i64..0, 1 => 59_000i64..120_000];
    let step = prop_oneof![
        6 => (0u8..3, 1u64..50).prop_map(|(owner, ttl)| Step::Acquire(owner, ttl)),
        3 => (0usize..3, 1u64..50).prop_map(|(back, ttl)| Step::Renew(back, ttl)),
        3 => (0usize..3).prop_map(Step::Release),
        3 => Just(Step::Sweep),
        1 => Just(Step::Reload),
    ];
    (clock, step)
}

/// The lock as its users see it, and the rules they count on.
struct History {
    /// None after an idle lock was removed.
    lock: Option<Lock>,
    floor: u64,
    now: Ms,
    /// Every token, in the order given.
    tokens: Vec<u64>,
    /// Who holds it by the book: owner, token, end of the lease.
    holder: Option<(u8, u64, Ms)>,
}

impl History {
    fn step(&mut self, (ms, step): &(i64, Step)) {
        self.now = self.now.saturating_add_signed(*ms);
        let now = self.now;
        let held = self.holder.filter(|(_, _, deadline)| *deadline > now);
        let token = |back: usize| self.tokens.iter().rev().nth(back).copied().unwrap_or(1);
        let (fenced, deadline) = match step {
            Step::Renew(back, ttl) => (token(*back), now + ttl),
            Step::Release(back) => (token(*back), now),
            _ => (0, 0),
        };
        let current = held.filter(|(_, token, _)| *token == fenced);
        let lock = self.lock.get_or_insert_with(|| Lock::new(self.floor));
        match step {
            Step::Acquire(owner, ttl) => self.acquire(held, *owner, now + ttl),
            Step::Renew(_, ttl) => {
                assert_eq!(lock.renew(now, fenced, *ttl), current.is_some());
                self.holder = current.map_or(self.holder, |(owner, token, _)| Some((owner, token, deadline)));
            }
            Step::Release(_) => {
                assert_eq!(lock.release(now, fenced), current.is_some());
                self.holder = if current.is_some() { None } else { self.holder };
            }
            Step::Sweep => self.sweep(),
            Step::Reload => {
                let again = Lock::load(&lock.save()).unwrap();
                assert_eq!((again.digest(), &again), (lock.digest(), &*lock));
            }
        }
    }

    fn acquire(&mut self, held: Option<(u8, u64, Ms)>, owner: u8, deadline: Ms) {
        let lock = self.lock.as_mut().unwrap();
        let taken = lock.acquire(self.now, &[b'a' + owner], deadline - self.now).unwrap();
        match (held, taken) {
            (None, Some(taken)) => {
                assert!(taken.is_new && self.tokens.last().is_none_or(|last| *last < taken.token), "tokens grow");
                assert!(taken.token >= self.now * 1024);
                self.tokens.push(taken.token);
                self.holder = Some((owner, taken.token, deadline));
            }
            (Some((holder, token, _)), Some(taken)) => {
                assert_eq!((holder, token, false), (owner, taken.token, taken.is_new), "two holders");
                self.holder = Some((owner, token, deadline));
            }
            (held, None) => assert!(held.is_some_and(|(holder, ..)| holder != owner), "free, and refused"),
        }
    }

    fn sweep(&mut self) {
        let lock = self.lock.as_mut().unwrap();
        let ended = self.holder.is_some_and(|(_, _, deadline)| deadline <= self.now);
        assert_eq!(lock.expire(self.now), ended);
        self.holder = self.holder.filter(|_| !ended);
        if lock.is_idle(self.now) {
            assert!(self.holder.is_none());
            self.floor = self.floor.max(lock.floor());
            self.lock = None;
        }
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn tokens_grow_and_nobody_shares(steps in vec(step(), 1..120)) {
        let mut history = History { lock: None, floor: 0, now: START, tokens: Vec::new(), holder: None };
        for step in &steps {
            history.step(step);
        }
    }

    #[test]
    fn the_same_stamped_calls_make_the_same_lock(steps in vec(step(), 1..60)) {
        let (mut one, mut other) = (Lock::new(7), Lock::new(7));
        let mut now = START;
        for (ms, step) in steps {
            now = now.saturating_add_signed(ms);
            let before = one.clone();
            for lock in [&mut one, &mut other] {
                let token = lock.holder(now).map(|held| held.token);
                match step {
                    Step::Acquire(owner, ttl) => drop(lock.acquire(now, &[owner + 1], ttl)),
                    Step::Renew(_, ttl) => drop(token.map(|token| lock.renew(now, token, ttl))),
                    Step::Release(_) => drop(token.map(|token| lock.release(now, token))),
                    Step::Sweep | Step::Reload => drop(lock.expire(now)),
                }
            }
            other = Lock::load(&other.save()).unwrap();
            prop_assert_eq!(one.digest(), other.digest());
            prop_assert_eq!(one.digest() == before.digest(), one == before);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_a_lock(bytes in vec(any::<u8>(), 0..60)) {
        lives_or_not(&bytes);
    }

    #[test]
    fn any_fields_are_refused_or_a_lock(owner in vec(any::<u8>(), 0..3), numbers in vec(number(), 4)) {
        let mut image = Vec::new();
        put(&mut image, 1);
        put_bytes(&mut image, &owner);
        put_all(&mut image, numbers);
        lives_or_not(&image);
    }
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(START), Just(MAX_QUANTITY), Just(MAX_QUANTITY + 1), Just(u64::MAX), any::<u64>()]
}

/// Whatever loads is saved as it was loaded, and can be used.
fn lives_or_not(image: &[u8]) {
    let Ok(mut lock) = Lock::load(image) else { return };
    assert_eq!(Lock::load(&lock.save()).as_ref(), Ok(&lock));
    for now in [0, START, MAX_QUANTITY, u64::MAX] {
        let token = lock.holder(now).map_or(1, |holder| holder.token);
        lock.renew(now, token, MAX_QUANTITY);
        lock.release(now, token);
        let _ = lock.acquire(now, b"ann", 1);
        lock.expire(now.saturating_add(2));
        lock.is_idle(now);
        assert!(lock.floor() <= FLOOR_MAX && lock.next_due() > 0);
    }
}

#[test]
fn the_longest_owner_there_is_is_saved_and_loaded() {
    for len in [1, MAX_ID_BYTES, MAX_ID_BYTES + 1] {
        let mut lock = Lock::new(0);
        take(&mut lock, START, &"x".repeat(len), 100);
        assert_eq!(Lock::load(&lock.save()).is_ok(), len <= MAX_ID_BYTES, "{len} bytes");
    }
}

#[test]
fn a_cut_or_changed_image_is_refused_or_a_lock() {
    let mut lock = Lock::new(0);
    take(&mut lock, START, "an owner", 100);
    let image = lock.save();
    for cut in 0..image.len() {
        assert!(Lock::load(&image[..cut]).is_err(), "cut at {cut}");
    }
    for bit in 0..image.len() * 8 {
        let mut broken = image.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        lives_or_not(&broken);
    }
    assert!(Lock::load(&[&image[..], &[0]].concat()).is_err(), "longer than it is");
}
