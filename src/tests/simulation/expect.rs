//! What the server itself has to refuse, and with what: full memory and slots that move. It is refused exactly then.

use super::turn::{Said, Turn};
use super::world::World;
use crate::host::Stop;
use holdfast_engine::oracle::command::{Command, code};
use holdfast_engine::terms::states::OrderState;
use holdfast_engine::terms::streams::StreamKind;

/// The streams that a command may write.
struct Needs {
    /// Whatever becomes of it.
    writes: &'static [StreamKind],
    /// Where one was made: it may take an entry out of them.
    leaves: &'static [StreamKind],
    /// Whether units can come free by it, for orders that wait.
    frees: bool,
    /// Whether it moves stock: that goes to the journal.
    moves: bool,
}

fn needs(command: &Command) -> Needs {
    use StreamKind::{Complete, Dead, Orders, Retry};
    let moving = |writes, leaves, frees| Needs { writes, leaves, frees, moves: true };
    let quiet = |writes, leaves| Needs { writes, leaves, frees: false, moves: false };
    match command {
        Command::Place { .. } | Command::Edit { .. } | Command::Split { .. } => moving(&[Orders], &[], false),
        Command::Reserve { replace, .. } => moving(&[], &[], *replace),
        Command::Close { .. } | Command::Return { .. } => moving(&[], &[], true),
        Command::SetStock { .. } | Command::Adjust { .. } | Command::Sync { .. } => moving(&[], &[], true),
        Command::Complete { .. } | Command::CompleteAndClaim { .. } => moving(&[Orders, Complete], &[Retry], false),
        Command::Fail { .. } => moving(&[Dead], &[Orders, Retry], true),
        Command::Redrive { .. } => moving(&[Orders], &[Dead], false),
        Command::Cancel { .. } => moving(&[Orders], &[Retry, Dead], false),
        Command::Gate { .. } => quiet(&[], &[Retry]),
        Command::Pass { .. } => quiet(&[Orders], &[]),
        _ => quiet(&[], &[]),
    }
}

impl World {
    /// Whether a command makes something new.
    fn takes_in(&self, command: &Command) -> bool {
        let model = &self.truth.model;
        if !self.truth.exists {
            return matches!(command, Command::SetStock { .. } | Command::Sync { .. });
        }
        match command {
            Command::Place { order, .. } => !model.orders.contains_key(order),
            Command::Reserve { hold, replace, items, .. } => model.holds.get(hold).is_none_or(|hold| {
                let mut skus: Vec<_> = items.iter().map(|(sku, _)| sku).collect();
                skus.sort_unstable();
                skus.dedup();
                *replace && skus.len() > hold.items.len()
            }),
            Command::SetStock { sku, .. } => !model.skus.contains_key(sku),
            Command::Sync { source, seq, counts } => {
                let is_old = model.sources.get(source).is_some_and(|(last, _)| seq <= last);
                !is_old && counts.iter().any(|(sku, _)| !model.skus.contains_key(sku))
            }
            _ => false,
        }
    }

    /// Whether a stream that the command may write is not here, while the slot moves.
    fn lacks_streams(&self, turn: &Turn, command: &Command) -> bool {
        let (needs, model) = (needs(command), &self.truth.model);
        let waits = || model.orders.values().any(|order| order.state == OrderState::Waitlisted);
        let frees = Some(StreamKind::Orders).filter(|_| needs.frees && waits());
        let journal = Some(StreamKind::Journal).filter(|_| needs.moves && model.setting("journal") > 0);
        let made = needs.leaves.iter().filter(|kind| turn.made.contains(kind));
        let all = needs.writes.iter().chain(made).copied().chain(frees).chain(journal);
        self.truth.exists && turn.missing.iter().any(|kind| all.clone().any(|needed| needed == *kind))
    }

    /// What the server itself has to refuse a command with now.
    fn stops(&self, turn: &Turn, command: &Command) -> Option<&'static str> {
        let is_full = self.primary().server.memory_full.get();
        if is_full && self.takes_in(command) {
            Some("OOM")
        } else if self.lacks_streams(turn, command) {
            Some("TRYAGAIN")
        } else {
            None
        }
    }

    /// Whether the server itself refused a command: exactly where it has to. Arguments are read before that.
    pub fn is_refused_by_the_server(&self, turn: &Turn, said: &Said) -> bool {
        let refused = match &said.done {
            Err(Stop::Server(text)) => text.split(' ').next(),
            _ => None,
        };
        let is_misread = matches!(&said.done, Err(Stop::Refused(refusal)) if code(refusal) == "ERR");
        let wanted = self.stops(turn, &said.command).filter(|_| !is_misread);
        assert_eq!(refused, wanted, "{:?}: {:?}", said.command, said.done);
        refused.is_some()
    }
}
