//! What the suite measures. Not every combination: around one usual case (one hot SKU, 50 connections, at most the last
//! second lost) each question is varied by itself.

use clap::ValueEnum;

use super::terms::{Contender, Durability, Shape, Workload};

pub const CONNECTIONS: u32 = 50;
/// A shop's servers, each order by itself: how buyers meet it.
pub const ONE_AT_A_TIME: Shape = Shape::new(CONNECTIONS, 1);
/// Clients that share connections, as most Redis clients do under load.
pub const PIPELINED: Shape = Shape::new(CONNECTIONS, 16);
/// Of every durability.
pub const SHAPES: [Shape; 2] = [ONE_AT_A_TIME, PIPELINED];
pub const DURABILITIES: [Durability; 3] = [Durability::None, Durability::Second, Durability::Always];
/// What the workloads and shapes are measured with.
pub const USUAL_DURABILITY: Durability = Durability::Second;
/// The other numbers of connections, one order at a time, and the deepest pipeline.
pub const OTHER_SHAPES: [Shape; 3] = [Shape::new(1, 1), Shape::new(500, 1), Shape::new(CONNECTIONS, 64)];

/// Contenders that take turns at the same work, so that they meet the same machine.
#[derive(Clone, Debug)]
pub struct Group {
    pub workload: Workload,
    pub durability: Durability,
    pub shape: Shape,
    pub contenders: Vec<Contender>,
}

/// All groups, of these contenders.
pub fn groups(contenders: &[Contender]) -> Vec<Group> {
    let durable =
        DURABILITIES.into_iter().flat_map(|durability| SHAPES.map(|shape| (Workload::Hot, durability, shape)));
    let others = Workload::value_variants().iter().filter(|workload| **workload != Workload::Hot);
    let others = others.map(|&workload| (workload, USUAL_DURABILITY, PIPELINED));
    let shapes = OTHER_SHAPES.into_iter().map(|shape| (Workload::Hot, USUAL_DURABILITY, shape));
    let groups = durable.chain(others).chain(shapes).map(|(workload, durability, shape)| {
        let contenders = contenders.iter().copied();
        let contenders = contenders.filter(|contender| takes_part(*contender, workload, durability, shape)).collect();
        Group { workload, durability, shape, contenders }
    });
    groups.filter(|group| !group.contenders.is_empty()).collect()
}

/// Who cannot have several orders under way has its numbers of one at a time already, but for other workloads.
fn takes_part(contender: Contender, workload: Workload, durability: Durability, shape: Shape) -> bool {
    let is_new = workload != Workload::Hot || shape.of(contender) == shape;
    contender.can(workload) && contender.has(durability) && is_new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_measured_twice() {
        let groups = groups(Contender::value_variants());
        let mut cells = Vec::new();
        for group in &groups {
            for contender in &group.contenders {
                cells.push((group.workload, group.durability, group.shape.of(*contender), *contender));
            }
        }
        for (at, cell) in cells.iter().enumerate() {
            assert!(!cells[..at].contains(cell), "{cell:?}");
        }
        assert!(cells.len() > 80);
    }
}
