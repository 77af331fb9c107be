//! The median of several rounds, and how far they lie apart.

use serde::Serialize;

/// What several rounds of one measurement came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The middle value (the mean of the two in the middle, of an even number of rounds).
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// Every round's value, in the order measured.
    pub rounds: Vec<f64>,
}

impl Summary {
    /// Sums up `rounds`.
    ///
    /// # Panics
    /// When there are none: a measurement has at least one round.
    pub fn of(rounds: Vec<f64>) -> Summary {
        assert!(!rounds.is_empty(), "a summary of no rounds");
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Summary { median, min: sorted[0], max: sorted[sorted.len() - 1], rounds }
    }

    /// Round by round `above / below`: paired, so that a machine that slows down for a while does not tilt the ratio.
    pub fn ratio(above: &Summary, below: &Summary) -> Summary {
        Summary::of(above.rounds.iter().zip(&below.rounds).map(|(a, b)| a / b).collect())
    }

    /// Half the distance between the extremes, in percent of the median.
    pub fn spread_percent(&self) -> f64 {
        (self.max - self.min) / 2.0 / self.median * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn takes_the_middle_of_odd_and_even_counts() {
        assert_eq!(Summary::of(vec![9.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(Summary::of(vec![4.0, 1.0, 2.0, 100.0]).median, 3.0);
    }

    #[test]
    fn spread_is_half_the_range_in_percent() {
        let summary = Summary::of(vec![9.0, 10.0, 11.0]);
        assert!((summary.spread_percent() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn ratio_pairs_the_rounds() {
        let twice = Summary::ratio(&Summary::of(vec![2.0, 20.0, 6.0]), &Summary::of(vec![1.0, 10.0, 3.0]));
        assert_eq!(twice.rounds, vec![2.0, 2.0, 2.0]);
    }
}
