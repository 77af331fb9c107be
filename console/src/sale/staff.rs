//! The people who work in the shop: who is slow, who dozes off, who dies, who goes home early. One seed, one staff.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Every so many places, one is of a slow person; every other place loses its people.
const SLOW_EVERY: usize = 4;
const SLOW_PLACE: usize = 2;
/// A slow person takes so many times as long.
const SLOW_PACE: f64 = 3.0;
/// So many people leave a place before the one who stays to the end.
const PEOPLE_WHO_LEAVE: u32 = 2;
/// Each of them leaves after this part of what a place packs in all.
const LEAVE_AFTER: std::ops::Range<f64> = 0.05..0.35;
/// A slow person dozes off each time after this part of it.
const DOZE_AFTER: f64 = 0.06;
const DOZE_AFTER_MIN: u64 = 3;

/// How somebody's work ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Stays until the sale is over.
    Stays,
    /// Is gone without a word, with orders in hand.
    Dies,
    /// Goes home, and gives back what is in hand.
    GoesHome,
}

/// A worker's ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ways {
    /// How many times as long as others this one takes.
    pub pace: f64,
    pub leaving: Leaving,
    /// Leaves once this many orders were taken.
    pub leaves_after: u64,
    /// Dozes off, every so many orders; 0: never.
    pub dozes_every: u64,
}

impl Ways {
    /// Somebody who is as quick as most, and stays.
    pub fn steady(pace: f64) -> Ways {
        Ways { pace, leaving: Leaving::Stays, leaves_after: u64::MAX, dozes_every: 0 }
    }

    /// The ways of the n-th person (from 0) at a place (from 1) that packs about `share` orders in all.
    pub fn of(seed: u64, place: usize, nth: u32, share: f64) -> Ways {
        let mut random = StdRng::seed_from_u64(seed ^ (place as u64).rotate_left(40) ^ u64::from(nth).rotate_left(20));
        let leaving = match (nth < PEOPLE_WHO_LEAVE, place % 2) {
            (false, _) => Leaving::Stays,
            (true, 1) => Leaving::Dies,
            (true, _) => Leaving::GoesHome,
        };
        let is_slow = place % SLOW_EVERY == SLOW_PLACE;
        Ways {
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
    fn in_a_crew_some_die_some_are_slow_and_somebody_stays() {
        let ways = |place, nth| Ways::of(1, place, nth, 1_000.0);
        let count = |wanted: fn(Ways) -> bool| (1..=8).filter(|place| wanted(ways(*place, 0))).count();
        assert_eq!(count(|ways| ways.leaving == Leaving::Dies), 4);
        assert_eq!(count(|ways| ways.leaving == Leaving::GoesHome), 4);
        assert_eq!(count(|ways| ways.pace > 1.0 && ways.dozes_every > 0), 2);
        assert!((1..=8).all(|place| ways(place, PEOPLE_WHO_LEAVE).leaving == Leaving::Stays));
    }

    #[test]
    fn also_in_a_small_shop_somebody_dies() {
        let ways = Ways::of(1, 1, 0, 0.5);
        assert_eq!((ways.leaving, ways.leaves_after), (Leaving::Dies, 1));
    }

    #[test]
    fn one_seed_one_staff() {
        assert_eq!(Ways::of(7, 3, 1, 800.0), Ways::of(7, 3, 1, 800.0));
        assert_ne!(Ways::of(7, 3, 1, 800.0), Ways::of(8, 3, 1, 800.0));
    }
}
