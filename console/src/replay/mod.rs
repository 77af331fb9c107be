//! `holdfast replay`.

use crate::server::TargetArgs;

/// Options of `holdfast replay`.
#[derive(clap::Args, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Runs it.
///
/// # Errors
/// When no server can be started or reached.
pub fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let target = args.target.open(&[])?;
    anyhow::bail!("this version has no replay to run on {}", target.url())
}
