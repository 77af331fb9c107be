//! What an operation costs, as the repository keeps it, and the comparison with what was counted.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// How far a number of instructions may be from the one that is kept, in parts of it: up or down.
pub const TOLERANCE: f64 = 0.03;

/// The same for misses of a cache. Which lines of code share a set of it depends on where code is put: the same server
/// had 21 and 24 misses for an XADD on two machines.
const TOLERANCE_OF_MISSES: f64 = 0.15;

/// What was counted, in all or for one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub instructions: f64,
    /// Misses of the level-1 instruction cache.
    pub l1i_misses: f64,
    /// Misses of the level-1 data cache: shown, and not compared.
    pub l1d_misses: f64,
}

impl Counts {
    /// The totals of a dump. Fails when it has none, or lacks an event.
    pub fn of_dump(dump: &str) -> Result<Counts> {
        let line = |name: &str| dump.lines().find_map(|line| line.strip_prefix(name));
        let events = line("events:").context("the dump must have a line 'events:'")?;
        let totals = line("totals:").context("the dump must have a line 'totals:'")?;
        // Callgrind leaves out zeros at the end.
        let totals = totals.split_whitespace().chain(std::iter::repeat("0"));
        let counts: BTreeMap<&str, &str> = events.split_whitespace().zip(totals).collect();
        let count = |event: &str| -> Result<f64> {
            let count = counts.get(event).with_context(|| format!("the dump must count {event}, got '{events}'"))?;
            count.parse().with_context(|| format!("{event} must be a number, got '{count}'"))
        };
        Ok(Counts {
            instructions: count("Ir")?,
            l1i_misses: count("I1mr")?,
            l1d_misses: count("D1mr")? + count("D1mw")?,
        })
    }

    /// These, of `ops` operations, for one of them: to a tenth.
    pub fn each(self, ops: u64) -> Counts {
        let each = |count: f64| (count / ops as f64 * 10.0).round() / 10.0;
        let Counts { instructions, l1i_misses, l1d_misses } = self;
        Counts { instructions: each(instructions), l1i_misses: each(l1i_misses), l1d_misses: each(l1d_misses) }
    }
}

/// What the figures depend on, apart from the module's source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeWith {
    pub server: String,
    /// The compiler of the module.
    pub rustc: String,
    pub valgrind: String,
    pub architecture: String,
}

impl MadeWith {
    /// A line for each difference.
    pub fn differences(&self, kept: &MadeWith) -> Vec<String> {
        let fields = [
            ("server", &self.server, &kept.server),
            ("compiler", &self.rustc, &kept.rustc),
            ("valgrind", &self.valgrind, &kept.valgrind),
            ("architecture", &self.architecture, &kept.architecture),
        ];
        let differs = fields.into_iter().filter(|(_, now, kept)| now != kept);
        differs.map(|(what, now, kept)| format!("{what}: {now}; the figures were made with {kept}")).collect()
    }
}

/// The file of the repository.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    pub made_with: MadeWith,
    /// For one operation, by command.
    pub commands: BTreeMap<String, Counts>,
}

impl Figures {
    /// A line for each figure of `counted` that is not what is kept here.
    pub fn differences(&self, counted: &BTreeMap<String, Counts>) -> Vec<String> {
        let differences = counted.iter().flat_map(|(command, counts)| match self.commands.get(command) {
            Some(kept) => compare(command, kept, counts),
            None => vec![format!("{command}: the file has no figures of it")],
        });
        differences.collect()
    }
}

fn compare(command: &str, kept: &Counts, counted: &Counts) -> Vec<String> {
    let figures = [
        ("instructions", TOLERANCE, kept.instructions, counted.instructions),
        ("L1 instruction-cache misses", TOLERANCE_OF_MISSES, kept.l1i_misses, counted.l1i_misses),
    ];
    let is_off = |(_, tolerance, kept, counted): &(&str, f64, f64, f64)| (counted - kept).abs() > kept * tolerance;
    let off = figures.into_iter().filter(is_off);
    let line = |(what, tolerance, kept, counted): (&str, f64, f64, f64)| {
        let (percent, change) = (tolerance * 100.0, (counted / kept - 1.0) * 100.0);
        format!("{command}: {what} must be {kept} (± {percent} %), got {counted} ({change:+.1} %)")
    };
    off.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "version: 1\nevents: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw\nfn=(1) f\n0 5\n\
        totals: 1280 300 200 640 30 34 5\n";

    fn counts(instructions: f64, l1i_misses: f64, l1d_misses: f64) -> Counts {
        Counts { instructions, l1i_misses, l1d_misses }
    }

    fn made_with(server: &str) -> MadeWith {
        let [rustc, valgrind, architecture] = ["1.95.0", "valgrind-3.19.0", "x86_64"].map(String::from);
        MadeWith { server: server.into(), rustc, valgrind, architecture }
    }

    fn figures() -> Figures {
        let commands = BTreeMap::from([("ORDER.PLACE".to_string(), counts(18_000.0, 900.0, 60.0))]);
        Figures { made_with: made_with("redis 7.0.15"), commands }
    }

    fn differences(counted: Counts) -> Vec<String> {
        figures().differences(&BTreeMap::from([("ORDER.PLACE".to_string(), counted)]))
    }

    #[test]
    fn reads_the_totals_of_a_dump() {
        assert_eq!(Counts::of_dump(DUMP).expect("counts"), counts(1_280.0, 640.0, 64.0));
        // Zeros at the end are left out.
        let short = "events: Ir I1mr D1mr D1mw\ntotals: 7\n";
        assert_eq!(Counts::of_dump(short).expect("counts"), counts(7.0, 0.0, 0.0));
        for bad in ["", "events: Ir\n", "events: Ir\ntotals: 7\n", "events: Ir I1mr D1mr D1mw\ntotals: x\n"] {
            assert!(Counts::of_dump(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn divides_by_the_operations() {
        assert_eq!(counts(1_280.0, 640.0, 3.0).each(64), counts(20.0, 10.0, 0.0));
    }

    #[test]
    fn a_little_is_no_difference() {
        assert!(differences(counts(18_540.0, 766.0, 600.0)).is_empty());
        assert_eq!(
            differences(counts(18_541.0, 900.0, 60.0)),
            ["ORDER.PLACE: instructions must be 18000 (± 3 %), got 18541 (+3.0 %)"]
        );
        assert_eq!(
            differences(counts(18_000.0, 450.0, 60.0)),
            ["ORDER.PLACE: L1 instruction-cache misses must be 900 (± 15 %), got 450 (-50.0 %)"]
        );
    }

    #[test]
    fn a_command_without_figures_is_a_difference() {
        let counted = BTreeMap::from([("ORDER.NEW".to_string(), Counts::default())]);
        assert_eq!(figures().differences(&counted), ["ORDER.NEW: the file has no figures of it"]);
    }

    #[test]
    fn another_server_is_named() {
        let (kept, other) = (figures().made_with, made_with("redis 8.0.2"));
        assert!(kept.differences(&kept).is_empty());
        assert_eq!(other.differences(&kept), ["server: redis 8.0.2; the figures were made with redis 7.0.15"]);
    }

    #[test]
    fn the_file_is_read_as_it_is_written() {
        let text = serde_json::to_string_pretty(&figures()).expect("written");
        assert_eq!(serde_json::from_str::<Figures>(&text).expect("read"), figures());
    }
}
