//! `holdfast bench`: ratios, measured in one run on one machine.

use crate::server::TargetArgs;

/// Options of `holdfast bench`.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Runs the measurements.
///
/// # Errors
/// When no server can be started or reached.
pub fn run(args: BenchArgs) -> anyhow::Result<()> {
    let target = args.target.open(&[])?;
    anyhow::bail!("there is nothing to measure yet on {}", target.url())
}
