//! What an open order adds to what the server keeps.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::results::BytesCell;
use super::terms::{Contender, Durability, Shape, Workload};
use super::work::Work;
use crate::bench::contenders::Setup;
use crate::bench::contenders::drive::Load;

/// One connection: with PostgreSQL every connection fills pages of its own, and leaves them half empty.
const SHAPE: Shape = Shape::new(1, 16);
const ORDERS: u64 = 20_000;
const QUICK_ORDERS: u64 = 1_000;
/// Longer than any contender takes for as many.
const DEADLINE: Duration = Duration::from_secs(120);
const WORK: Work = Work { workload: Workload::Place };

/// Measures each contender by itself. Others than Holdfast may fail: they are added to `skipped` then.
pub fn measure(
    setup: &Setup,
    contenders: &[Contender],
    is_quick: bool,
    skipped: &mut Vec<String>,
) -> Result<Vec<BytesCell>> {
    let orders = if is_quick { QUICK_ORDERS } else { ORDERS };
    let mut cells = Vec::new();
    for &contender in contenders {
        let measured = bytes_an_order(setup, contender, orders);
        match measured.with_context(|| format!("{contender}; bytes an order")) {
            Ok(bytes_an_order) => cells.push(BytesCell { contender, orders, bytes_an_order }),
            Err(error) if contender == Contender::Holdfast => return Err(error),
            Err(error) => skipped.push(format!("{error:#}")),
        }
    }
    Ok(cells)
}

fn bytes_an_order(setup: &Setup, contender: Contender, orders: u64) -> Result<f64> {
    let durability = if contender.has(Durability::None) { Durability::None } else { Durability::Second };
    let mut host = setup.start(contender, durability)?;
    let load = Load { shape: SHAPE, warm: Duration::ZERO, time: DEADLINE, first: 0, most_orders: orders };
    host.prepare(WORK, &load)?;
    let empty = host.stored_bytes()?;
    host.run(WORK, load)?;
    let waiting = host.waiting()?;
    ensure!(waiting == orders, "{waiting} orders wait, {orders} should");
    Ok(host.stored_bytes()?.saturating_sub(empty) as f64 / orders as f64)
}
