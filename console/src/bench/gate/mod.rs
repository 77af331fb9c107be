//! The gate: instructions and instruction-cache misses of the commands of a life, counted by callgrind, against figures
//! that the repository keeps. The counts are the same on an idle and on a busy machine.

mod callgrind;
mod figures;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use redis::{Cmd, Connection, InfoDict, Value, cmd};

use self::callgrind::Callgrind;
use self::figures::{Counts, Figures, MadeWith};
use super::report::table;
use super::wire::Wire;
use super::workload::{Case, FILL_PIPELINE, Held, claim};
use crate::target::{OwnArgs, connect};

/// Operations that are counted, of each command.
const OPS: u64 = 4_096;
/// Operations before those: memory is allocated, and the simulated caches are filled.
const WARM_UP: u64 = 1_024;
/// What comes before the version of the compiler in a module's file, in its section `.comment`.
const RUSTC_MARK: &[u8] = b"rustc version ";
/// How the table names them.
const PING: &str = "PING";
const XADD: &str = "XADD";

/// Options of `holdfast bench gate`.
#[derive(clap::Args, Clone, Debug)]
pub struct GateArgs {
    #[command(flatten)]
    own: OwnArgs,
    /// The file with the figures
    #[arg(long, value_name = "FILE", default_value = "tests/gate/figures.json")]
    figures: PathBuf,
    /// Write what was counted to that file, instead of comparing
    #[arg(long)]
    write: bool,
    /// Keep callgrind's dumps in this folder, a file for each command, for callgrind_annotate
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Counts, prints and compares. Fails when a figure is not what the file says, and when something cannot be counted.
pub fn run(args: &GateArgs) -> Result<()> {
    let (valgrind, own) = (callgrind::version()?, &args.own);
    let mut subject = Callgrind::start(own.options(true, &[])?, args.keep.as_deref())?;
    let mut control = connect(&subject.server.url())?;
    let made_with = MadeWith {
        server: server(&mut control)?,
        rustc: rustc(&own.find_module()?)?,
        valgrind,
        architecture: std::env::consts::ARCH.to_string(),
    };
    let mut counted = count_all(&mut subject, &mut control)?;
    print(&made_with, &counted);
    // What any command costs: shown, and none of the figures that are kept.
    counted.remove(PING);
    if args.write {
        return write(&args.figures, &Figures { made_with, commands: counted });
    }
    compare(&args.figures, &made_with, &counted)
}

fn compare(path: &Path, made_with: &MadeWith, counted: &BTreeMap<String, Counts>) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let kept: Figures = serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let (others, differences) = (made_with.differences(&kept.made_with), kept.differences(counted));
    differences.iter().for_each(|difference| println!("{difference}"));
    if !others.is_empty() {
        println!("The figures do not apply here, so no difference counts as a failure:");
        others.iter().for_each(|other| println!("  {other}"));
        return Ok(());
    }
    ensure!(
        differences.is_empty(),
        "{} figures are not those of {}. If that is meant to be, write new ones with 'holdfast bench gate --write', \
         and commit the file",
        differences.len(),
        path.display()
    );
    println!("All figures are those of {}.", path.display());
    Ok(())
}

fn write(path: &Path, figures: &Figures) -> Result<()> {
    let text = serde_json::to_string_pretty(figures)? + "\n";
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    println!("Wrote {}.", path.display());
    Ok(())
}

/// Each command's counts, for one operation, by its name. Each has an emptied server or the state that the one before
/// it left: what is claimed was placed, what is completed was claimed.
fn count_all(subject: &mut Callgrind, control: &mut Connection) -> Result<BTreeMap<String, Counts>> {
    let mut wire = Wire::connect(&subject.server.url())?;
    let mut counted = BTreeMap::new();
    for case in [Case::Ping, Case::Xadd, Case::Reserve, Case::Place] {
        case.prepare(control).context("preparing its state")?;
        let name = case.to_string();
        let (counts, _) = count(subject, &mut wire, &name, |n| case.command(n, ""))?;
        counted.insert(name, counts);
    }
    let (counts, claimed) = count(subject, &mut wire, "ORDER.CLAIM", |_| claim(1))?;
    counted.insert("ORDER.CLAIM".to_string(), counts);
    let held: Vec<Held> = claimed.into_iter().map(Held::all).collect::<Result<Vec<_>>>()?.concat();
    let wanted = usize::try_from(WARM_UP + OPS)?;
    ensure!(held.len() == wanted, "ORDER.CLAIM must give {wanted} orders, got {}", held.len());
    let (counts, _) = count(subject, &mut wire, "ORDER.COMPLETE", |n| held[n as usize].complete())?;
    counted.insert("ORDER.COMPLETE".to_string(), counts);
    Ok(counted)
}

/// Runs a command many times: what one costs, and all replies. Each pipeline is sent as a whole, and small enough to be
/// read by the server as a whole, before its replies are waited for.
fn count(
    subject: &mut Callgrind,
    wire: &mut Wire,
    name: &str,
    command: impl Fn(u64) -> Cmd,
) -> Result<(Counts, Vec<Value>)> {
    let mut replies = Vec::new();
    let mut run = |from: u64, to: u64| -> Result<()> {
        for first in (from..to).step_by(FILL_PIPELINE as usize) {
            let batch = (first..first + FILL_PIPELINE).map(&command).collect();
            replies.extend(wire.exchange(&batch).context(name.to_string())?);
        }
        Ok(())
    };
    run(0, WARM_UP)?;
    let counts = subject.count(&name.to_lowercase(), || run(WARM_UP, WARM_UP + OPS))?;
    Ok((counts.each(OPS), replies))
}

/// Which server it is, with its version.
fn server(control: &mut Connection) -> Result<String> {
    let info: InfoDict = cmd("INFO").arg("server").query(control)?;
    let version = |field: &str| info.get::<String>(field);
    match (version("valkey_version"), version("redis_version")) {
        (Some(version), _) => Ok(format!("valkey {version}")),
        (None, Some(version)) => Ok(format!("redis {version}")),
        (None, None) => bail!("INFO server must have redis_version, and has none"),
    }
}

/// The compiler that a module was made by, as it left it in the file.
fn rustc(module: &Path) -> Result<String> {
    let file = fs::read(module).with_context(|| format!("reading {}", module.display()))?;
    let version = compiler_in(&file).with_context(|| format!("{} must name its compiler", module.display()))?;
    Ok(version)
}

fn compiler_in(file: &[u8]) -> Option<String> {
    let at = file.windows(RUSTC_MARK.len()).position(|window| window == RUSTC_MARK)?;
    let text = &file[at + RUSTC_MARK.len()..];
    let end = text.iter().position(|byte| !(b' '..=b'~').contains(byte))?;
    // The version, the commit and the date, in front of what another tool may have added.
    let version = str::from_utf8(&text[..end]).ok()?;
    Some(version.split_inclusive(')').next().unwrap_or(version).to_string())
}

fn print(made_with: &MadeWith, counted: &BTreeMap<String, Counts>) {
    let MadeWith { server, rustc, valgrind, architecture } = made_with;
    println!("gate: {server}, rustc {rustc}, {valgrind}, {architecture}; {OPS} of each, pipelines of {FILL_PIPELINE}");
    let xadd = counted.get(XADD).copied().unwrap_or_default();
    let ratio = |count: f64, of: f64| format!("{:.2}", count / of);
    let rows = counted.iter().map(|(command, counts)| {
        vec![
            command.clone(),
            counts.instructions.to_string(),
            ratio(counts.instructions, xadd.instructions),
            counts.l1i_misses.to_string(),
            ratio(counts.l1i_misses, xadd.l1i_misses),
            counts.l1d_misses.to_string(),
        ]
    });
    println!("{}", table(&["one operation", "instructions", "× XADD", "L1I misses", "× XADD", "L1D misses"], rows));
}

#[cfg(test)]
mod tests {
    use super::compiler_in;

    #[test]
    fn finds_the_compiler_of_a_module() {
        let file = b"\x7fELF\0\0rustc version 1.95.0 (59807616e 2026-04-14)\0Linker: LLD\0";
        assert_eq!(compiler_in(file).as_deref(), Some("1.95.0 (59807616e 2026-04-14)"));
        let inside = b"\0clang LLVM (rustc version 1.95.0 (59807616e 2026-04-14))\0";
        assert_eq!(compiler_in(inside).as_deref(), Some("1.95.0 (59807616e 2026-04-14)"));
        assert_eq!(compiler_in(b"\x7fELF"), None);
    }
}
