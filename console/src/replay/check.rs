//! After the replay: does the server agree with the file, SKU by SKU?

use anyhow::{Context, Result};
use redis::{Connection, Value, cmd};

use super::books::Movement;
use crate::store::{self, SkuCounts};
use crate::text::grouped;

/// SKUs read in one INV.GET.
const SKUS_PER_READ: usize = 500;
/// Disagreements shown one by one.
const SHOWN_MAX: usize = 10;

/// What the checks found.
#[derive(Debug, Default)]
pub struct Findings {
    /// A line for each disagreement.
    pub disagreements: Vec<String>,
    /// SKUs whose counts are what the file says.
    pub skus_right: usize,
}

/// Compares every SKU's counts, the queues and STORE.AUDIT with the replay's own books.
///
/// # Errors
/// When the server cannot be asked.
pub fn check(
    connection: &mut Connection,
    name: &str,
    skus: &[String],
    movements: &[Movement],
    orders: u64,
) -> Result<Findings> {
    let mut findings = Findings::default();
    check_counts(connection, name, skus, movements, &mut findings)?;
    check_queues(connection, name, orders, &mut findings)?;
    check_info(connection, name, movements, orders, &mut findings)?;
    let audit: Value = cmd("STORE.AUDIT").arg(name).query(connection).context("asking STORE.AUDIT")?;
    for line in store::audit_findings(audit)? {
        findings.disagreements.push(format!("STORE.AUDIT: {line}"));
    }
    let more = findings.disagreements.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        findings.disagreements.truncate(SHOWN_MAX);
        findings.disagreements.push(format!("… and {} more", grouped(more as u64)));
    }
    Ok(findings)
}

fn check_counts(
    connection: &mut Connection,
    name: &str,
    skus: &[String],
    movements: &[Movement],
    findings: &mut Findings,
) -> Result<()> {
    for (skus, movements) in skus.chunks(SKUS_PER_READ).zip(movements.chunks(SKUS_PER_READ)) {
        let counts: Vec<Option<SkuCounts>> =
            cmd("INV.GET").arg(name).arg(skus).query(connection).context("reading counts with INV.GET")?;
        for (index, sku) in skus.iter().enumerate() {
            let counted = counts.get(index).copied().flatten();
            match disagreement(counted, &movements[index]) {
                None => findings.skus_right += 1,
                Some(text) => findings.disagreements.push(format!("SKU {sku}: {text}")),
            }
        }
    }
    Ok(())
}

/// What is wrong with a SKU's counts, now that every order has ended.
fn disagreement(counts: Option<SkuCounts>, movement: &Movement) -> Option<String> {
    let on_hand = movement.on_hand();
    let wanted = SkuCounts { on_hand, held: 0, available: on_hand, sold: movement.sold - movement.returned };
    match counts {
        Some(counts) if counts == wanted => None,
        Some(counts) => Some(format!(
            "{counts:?}; by the file on_hand {on_hand} = received {} - sold {} + returned {}, held 0",
            movement.received, movement.sold, movement.returned
        )),
        None => Some("unknown to the server".to_string()),
    }
}

fn check_queues(connection: &mut Connection, name: &str, orders: u64, findings: &mut Findings) -> Result<()> {
    for (stream, wanted) in [("orders", 0), ("retry", 0), ("dead", 0), ("complete", orders)] {
        let stream = store::stream(name, stream);
        let length: u64 = cmd("XLEN").arg(&stream).query(connection)?;
        if length != wanted {
            findings.disagreements.push(format!("{stream} has {length} entries, wanted {wanted}"));
        }
    }
    Ok(())
}

/// The store's own totals, and its orders by state.
fn check_info(
    connection: &mut Connection,
    name: &str,
    movements: &[Movement],
    orders: u64,
    findings: &mut Findings,
) -> Result<()> {
    let info: Value = cmd("STORE.INFO").arg(name).query(connection).context("asking STORE.INFO")?;
    let total = |units: fn(&Movement) -> i64| movements.iter().map(units).sum::<i64>();
    let wanted = [
        ("skus", i64::try_from(movements.len())?),
        ("on_hand", total(Movement::on_hand)),
        ("held", 0),
        ("sold", total(|movement| movement.sold - movement.returned)),
        ("queued", 0),
        ("completed", i64::try_from(orders)?),
    ];
    findings.disagreements.extend(store::info_findings(info, &wanted)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_count_is_found() {
        let movement = Movement { received: 10, sold: 8, returned: 1 };
        let counts = |on_hand, held| Some(SkuCounts { on_hand, held, available: on_hand - held, sold: 7 });
        assert_eq!(disagreement(counts(3, 0), &movement), None);
        assert!(disagreement(counts(2, 0), &movement).expect("too few").contains("by the file on_hand 3"));
        assert!(disagreement(counts(3, 1), &movement).is_some());
        assert!(disagreement(None, &movement).is_some());
    }
}
