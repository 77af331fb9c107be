//! HOLDFAST.APPLY: a stamped command, as a primary replicates it and a log keeps it. Refused for everyone else.

use crate::host::register::{About, Access, Arg};
use crate::host::table::{Command, find};
use crate::host::{Call, Host, Stop, gate, replicate};
use crate::lock;
use crate::store::apply::{apply as apply_to_store, malformed};
use holdfast_engine::base::units::Ms;

pub const APPLY: Command = Command {
    about: About {
        name: replicate::APPLY,
        summary: "Applies a stamped command from a primary or an append-only file; not for clients",
        reply: "that of the command",
        complexity: "That of the command",
        since: "0.1.0",
        flags: "write no-monitor",
        access: Access::Insert,
        args: &[Arg::key(), Arg::integer("stamp"), Arg::text("command"), Arg::text("argument").opt().many()],
    },
    run: apply,
};

pub const MAY_WRITE: Command = Command {
    about: About {
        name: gate::MAY_WRITE,
        summary: "Does nothing; the module uses it to ask the server whether a write on these keys is allowed now",
        reply: "OK",
        complexity: "O(1)",
        since: "0.2.0",
        flags: "write no-monitor no-slowlog",
        access: Access::Update,
        args: &[Arg::key().many()],
    },
    run: |call| {
        call.ctx.status(c"OK");
        Ok(())
    },
};

fn apply(call: &Call<'_>) -> Result<(), Stop> {
    if !call.ctx.is_replayed() {
        let text = "ERR HOLDFAST.APPLY is what a primary sends its replicas and its log; call the command itself";
        return Err(Stop::Server(text.into()));
    }
    let words = call.rest;
    let [stamp, name, rest @ ..] = words else { return Err(malformed("arguments")) };
    let stamp = stamp.integer().and_then(|n| Ms::try_from(n).ok()).ok_or_else(|| malformed("stamp"))?;
    let call = Call { ctx: call.ctx, name: replicate::APPLY, key: call.key, rest, stamp: Some(stamp) };
    let result = run(&call, name.bytes());
    if let Err(Stop::Refused(refusal)) = &result {
        // The primary accepted it, so the state here differs from the state there.
        call.ctx.warn(&format!("a replicated {} was refused: {refusal}", name.bytes().escape_ascii()));
    }
    if result.is_ok() && call.ctx.flags().logs_replayed() {
        call.ctx.log(replicate::APPLY, call.key, words);
    }
    result
}

/// Does a client's command, or one that only a primary or a rewritten log makes.
fn run(call: &Call<'_>, name: &[u8]) -> Result<(), Stop> {
    if let Some(command) = find(name).filter(|command| !command.about.is_internal()) {
        return (command.run)(call);
    }
    let done = apply_to_store(call, name).or_else(|| lock::due::apply(call, name));
    done.unwrap_or_else(|| Err(malformed("command")))?;
    call.ctx.status(c"OK");
    Ok(())
}
