//! What was run: worlds, steps, faults, and how commands ended.

use std::collections::BTreeMap;
use std::ffi::CStr;

use super::action::Action;
use crate::host::Stop;

/// A command that changed something.
const DONE: &str = "done";

/// One that was said before, or had nothing to do.
const UNCHANGED: &str = "unchanged";

/// How often each command ended how: done, unchanged, or with the code of an error.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(BTreeMap<&'static CStr, BTreeMap<String, u64>>);

impl Outcomes {
    /// Counts a command.
    pub fn count<T>(&mut self, name: &'static CStr, done: &Result<T, Stop>, is_changed: bool) {
        let outcome = match done {
            Ok(_) if is_changed => DONE.to_owned(),
            Ok(_) => UNCHANGED.to_owned(),
            Err(stop) => stop.text().unwrap_or_default().split(' ').next().unwrap_or_default().to_owned(),
        };
        *self.0.entry(name).or_default().entry(outcome).or_default() += 1;
    }

    fn add(&mut self, other: &Outcomes) {
        for (name, outcomes) in &other.0 {
            let sums = self.0.entry(name).or_default();
            outcomes.iter().for_each(|(outcome, count)| *sums.entry(outcome.clone()).or_default() += count);
        }
    }

    /// A line a command: how many there were, how many of them were done, and how the others ended.
    fn print(&self) {
        for (name, outcomes) in &self.0 {
            let all: u64 = outcomes.values().sum();
            let done = outcomes.get(DONE).copied().unwrap_or(0);
            let mut others: Vec<_> = outcomes.iter().filter(|(outcome, _)| *outcome != DONE).collect();
            others.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(**count));
            let others: Vec<_> = others.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
            let (name, percent, others) = (name.to_string_lossy(), done * 100 / all.max(1), others.join(", "));
            println!("{name:<15} {all:>9}, {percent:>2} % done; {others}");
        }
    }
}

/// What was run.
#[derive(Default)]
pub struct Tally {
    pub worlds: u64,
    pub steps: u64,
    faults: BTreeMap<&'static str, u64>,
    outcomes: Outcomes,
}

impl Tally {
    /// Counts a world.
    pub fn count(&mut self, list: &[Action]) {
        self.worlds += 1;
        self.steps += list.len() as u64;
        list.iter().filter_map(Action::fault).for_each(|fault| *self.faults.entry(fault).or_default() += 1);
    }

    /// Adds what a world's commands came to.
    pub fn add_outcomes(&mut self, outcomes: &Outcomes) {
        self.outcomes.add(outcomes);
    }

    pub fn add(&mut self, other: &Tally) {
        self.worlds += other.worlds;
        self.steps += other.steps;
        other.faults.iter().for_each(|(fault, count)| *self.faults.entry(fault).or_default() += count);
        self.outcomes.add(&other.outcomes);
    }

    pub fn print(&self) {
        self.faults.iter().for_each(|(fault, count)| println!("{count:>9} × {fault}"));
        self.outcomes.print();
    }
}
