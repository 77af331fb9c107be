//! `holdfast sale`.

use crate::server::TargetArgs;

/// Options of `holdfast sale`.
#[derive(clap::Args, Debug)]
pub struct SaleArgs {
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Runs it.
///
/// # Errors
/// When no server can be started or reached.
pub fn run(args: SaleArgs) -> anyhow::Result<()> {
    let target = args.target.open(&[])?;
    anyhow::bail!("this version has no sale to run on {}", target.url())
}
