//! How workers behave: who is slow, who dozes off, who dies, who goes home early. The same seed gives the same workers.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One job in this many is a slow worker's.
const SLOW_EVERY: usize = 4;
const SLOW_JOB: usize = 2;
const SLOW_PACE: f64 = 3.0;
/// How many workers leave a job before the one who stays to the end.
const WORKERS_WHO_LEAVE: u32 = 2;
/// Each of them leaves after this part of what is packed in the job in all.
const LEAVE_AFTER: std::ops::Range<f64> = 0.05..0.35;
/// A slow worker dozes off each time after this part of it.
const DOZE_AFTER: f64 = 0.06;
const DOZE_AFTER_MIN: u64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    Stays,
    /// Is gone without a word, with orders in hand.
    Dies,
    /// Goes home, and gives back what is in hand.
    GoesHome,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// How many times as long as others this one takes.
    pub pace: f64,
    pub leaving: Leaving,
    pub leaves_after: u64,
    /// Dozes off each time after this many orders; 0: never.
    pub dozes_every: u64,
}

impl Behaviour {
    pub fn steady(pace: f64) -> Behaviour {
        Behaviour { pace, leaving: Leaving::Stays, leaves_after: u64::MAX, dozes_every: 0 }
    }

    /// The behaviour of the n-th worker (from 0) in a job (from 1) in which about `share` orders are packed in all.
    pub fn of(seed: u64, job: usize, nth: u32, share: f64) -> Behaviour {
        let mut random = StdRng::seed_from_u64(seed ^ (job as u64).rotate_left(40) ^ u64::from(nth).rotate_left(20));
        let leaving = match (nth < WORKERS_WHO_LEAVE, job % 2) {
            (false, _) => Leaving::Stays,
            (true, 1) => Leaving::Dies,
            (true, _) => Leaving::GoesHome,
        };
        let is_slow = job % SLOW_EVERY == SLOW_JOB;
        Behaviour {
            pace: if is_slow { SLOW_PACE } else { 1.0 },
            leaving,
            leaves_after: ((share * random.random_range(LEAVE_AFTER)) as u64).max(1),
            dozes_every: if is_slow { ((share * DOZE_AFTER) as u64).max(DOZE_AFTER_MIN) } else { 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_die_some_are_slow_and_somebody_stays() {
        let behaviour = |job, nth| Behaviour::of(1, job, nth, 1_000.0);
        let count = |wanted: fn(Behaviour) -> bool| (1..=8).filter(|job| wanted(behaviour(*job, 0))).count();
        assert_eq!(count(|worker| worker.leaving == Leaving::Dies), 4);
        assert_eq!(count(|worker| worker.leaving == Leaving::GoesHome), 4);
        assert_eq!(count(|worker| worker.pace > 1.0 && worker.dozes_every > 0), 2);
        assert!((1..=8).all(|job| behaviour(job, WORKERS_WHO_LEAVE).leaving == Leaving::Stays));
        let in_a_small_shop = Behaviour::of(1, 1, 0, 0.5);
        assert_eq!((in_a_small_shop.leaving, in_a_small_shop.leaves_after), (Leaving::Dies, 1));
        assert_eq!(Behaviour::of(7, 3, 1, 800.0), Behaviour::of(7, 3, 1, 800.0));
        assert_ne!(Behaviour::of(7, 3, 1, 800.0), Behaviour::of(8, 3, 1, 800.0));
    }
}
