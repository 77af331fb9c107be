//! `holdfast`: runs a sale, replays a shop's orders, measures and watches, on a server of its own or on any other.

mod bench;
mod check;
mod connect;
mod display;
mod replay;
mod sale;
mod store;
mod target;
mod text;
mod watch;

use clap::{Parser, Subcommand};
use holdfast_lab::cleanup;

/// Runs sales, replays orders, measures and watches Holdfast, the Redis module for a shop's busiest minute.
#[derive(Parser)]
#[command(name = "holdfast", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open a pop-up store, let thousands of customers in, and prove that nothing was oversold.
    Sale(sale::SaleArgs),
    /// Feed a CSV of real order lines through a store and check every SKU's count afterwards.
    Replay(replay::ReplayArgs),
    /// Measure: ratios of one run on one machine.
    Bench(bench::BenchArgs),
    /// Show every number of a server's stores in a browser or, with --tui, in this terminal, while it happens; serve
    /// them to Prometheus.
    Watch(watch::WatchArgs),
}

fn main() {
    connect::secrets::leave_the_command_line();
    cleanup::install();
    cleanup::end_on_panic();
    let outcome = match Cli::parse().command {
        Command::Sale(args) => sale::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Watch(args) => watch::run(args),
    };
    let code = match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("holdfast: {}", in_full(&error));
            1
        }
    };
    cleanup::exit(code);
}

/// An error with its causes, each said once: some errors repeat their cause in their own text.
fn in_full(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.contains(&cause) {
        true => text,
        false if text.is_empty() => cause,
        false => format!("{text}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::in_full;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("refused").context("connecting: refused").context("opening");
        assert_eq!(in_full(&error), "opening: connecting: refused");
    }
}
