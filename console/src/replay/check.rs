//! After the replay: does the server agree with the file, SKU by SKU?

use anyhow::{Context, Result};
use redis::{Connection, cmd};

use super::books::Movement;
use crate::check::{self, Findings};
use crate::store::SkuCounts;
use crate::text::grouped;

const SKUS_PER_READ: usize = 500;
const SHOWN_MAX: usize = 10;

/// Compares every SKU's counts, the streams, STORE.INFO and STORE.AUDIT with the replay's own books: the disagreements,
/// and how many SKUs are right. Fails when the server cannot be asked.
pub fn check(
    connection: &mut Connection,
    store: &str,
    skus: &[String],
    movements: &[Movement],
    orders: u64,
) -> Result<(Findings, usize)> {
    let mut findings = Findings::default();
    let skus_right = check_counts(connection, store, skus, movements, &mut findings)?;
    let orders = i64::try_from(orders)?;
    let lengths = [("orders", 0), ("retry", 0), ("dead", 0), ("complete", orders)];
    findings.check_streams(connection, store, &lengths)?;
    let total = |units: fn(&Movement) -> i64| movements.iter().map(units).sum::<i64>();
    let wanted = [
        ("skus", i64::try_from(movements.len())?),
        ("on-hand", total(Movement::on_hand)),
        ("held", 0),
        ("sold", total(|movement| movement.sold - movement.returned)),
        ("queued", 0),
        ("completed", orders),
    ];
    findings.check_info(&check::info(connection, store)?, &wanted);
    findings.check_audit(connection, store)?;
    let more = findings.0.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        findings.0.truncate(SHOWN_MAX);
        findings.0.push(format!("… and {} more", grouped(more as u64)));
    }
    Ok((findings, skus_right))
}

fn check_counts(
    connection: &mut Connection,
    store: &str,
    skus: &[String],
    movements: &[Movement],
    findings: &mut Findings,
) -> Result<usize> {
    let mut right = 0;
    for (skus, movements) in skus.chunks(SKUS_PER_READ).zip(movements.chunks(SKUS_PER_READ)) {
        let counts: Vec<Option<SkuCounts>> =
            cmd("INV.GET").arg(store).arg(skus).query(connection).context("reading counts with INV.GET")?;
        for ((sku, movement), counts) in skus.iter().zip(movements).zip(counts) {
            match disagreement(counts, movement) {
                None => right += 1,
                Some(text) => findings.0.push(format!("SKU {sku}: {text}")),
            }
        }
    }
    Ok(right)
}

/// What is wrong with a SKU's counts, now that every order has ended.
fn disagreement(counts: Option<SkuCounts>, movement: &Movement) -> Option<String> {
    let on_hand = movement.on_hand();
    let wanted = SkuCounts { on_hand, held: 0, available: on_hand, sold: movement.sold - movement.returned };
    match counts {
        Some(counts) if counts == wanted => None,
        Some(counts) => Some(format!(
            "{counts:?}; by the file on-hand {on_hand} = received {} - sold {} + returned {}, held 0",
            movement.received, movement.sold, movement.returned
        )),
        None => Some("unknown to the server".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_count_is_found() {
        let movement = Movement { received: 10, sold: 8, returned: 1 };
        let counts = |on_hand, held| Some(SkuCounts { on_hand, held, available: on_hand - held, sold: 7 });
        assert_eq!(disagreement(counts(3, 0), &movement), None);
        assert!(disagreement(counts(2, 0), &movement).expect("too few").contains("by the file on-hand 3"));
        assert!(disagreement(counts(3, 1), &movement).is_some());
        assert!(disagreement(None, &movement).is_some());
    }
}
