//! The errors of each command: when it gives which, and calls that make it do so. The suite makes these calls, and
//! every error that any test or simulation sees has to be among them.

use crate::commands::TABLE;
use crate::host::register::Access;

/// An error of a command.
pub struct Error {
    pub command: &'static str,
    pub code: &'static str,
    pub when: &'static str,
    /// Calls in a store `popup` with ten units of `mug`, separated by `; `. The last one is refused. Empty where only
    /// damaged data leads to it.
    pub calls: &'static str,
}

macro_rules! errors {
    ($($command:literal $code:literal, $when:literal, $calls:literal;)*) => {
        &[$(Error { command: $command, code: $code, when: $when, calls: $calls }),*]
    };
}

/// What a command can refuse, but for what every command does ([`of_every_command`]).
pub const ERRORS: &[Error] = errors! {
    "INV.SET" "OOM", "memory is full and the store or the SKU is new", "INV.SET popup cap 5";
    "INV.ADJUST" "NOSKU", "the store has no such SKU", "INV.ADJUST popup cap 1";
    "INV.ADJUST" "BADSTATE", "on-hand would fall below 0", "INV.ADJUST popup mug -11";
    "INV.ADJUST" "MISMATCH", "the REF was used for another adjustment",
        "INV.ADJUST popup mug 1 REF r-1; INV.ADJUST popup mug 2 REF r-1";
    "INV.SYNC" "GAP", "a number is missing: the error says which one is expected",
        "INV.SYNC popup erp 1 ITEMS mug 5; INV.SYNC popup erp 3 ITEMS mug 5";
    "INV.SYNC" "MISMATCH", "the last number came with other counts",
        "INV.SYNC popup erp 1 ITEMS mug 5; INV.SYNC popup erp 1 ITEMS mug 6";
    "INV.SYNC" "OOM", "memory is full and the store or a SKU is new", "INV.SYNC popup erp 1 ITEMS cap 5";

    "INV.RESERVE" "NOSKU", "the store has no such SKU", "INV.RESERVE popup h-1 ITEMS cap 1";
    "INV.RESERVE" "OUTOFSTOCK", "more is wanted than is available", "INV.RESERVE popup h-1 ITEMS mug 11";
    "INV.RESERVE" "LIMIT", "the customer would have more units than `limit`, or than the LIMIT of the SKU",
        "STORE.SET popup limit 1; INV.RESERVE popup h-1 CUSTOMER ann ITEMS mug 2";
    "INV.RESERVE" "NOTOPEN", "the sale has not opened yet",
        "STORE.SET popup opens 9000000000000; INV.RESERVE popup h-1 ITEMS mug 1";
    "INV.RESERVE" "CLOSED", "the sale has closed", "STORE.SET popup closes 1; INV.RESERVE popup h-1 ITEMS mug 1";
    "INV.RESERVE" "MISMATCH", "a live hold of this id has another customer or other items",
        "INV.RESERVE popup h-1 ITEMS mug 1; INV.RESERVE popup h-1 ITEMS mug 2";
    "INV.RESERVE" "EXPIRED", "the hold of this id has expired",
        "INV.RESERVE popup h-1 TTL 1 ITEMS mug 1; DEBUG SLEEP 0.02; INV.RESERVE popup h-1 TTL 1 ITEMS mug 1";
    "INV.RESERVE" "BADSTATE", "the hold of this id was committed or released, or became an order",
        "INV.RESERVE popup h-1 ITEMS mug 1; INV.RELEASE popup h-1; INV.RESERVE popup h-1 ITEMS mug 1";
    "INV.RESERVE" "OOM", "memory is full and the hold is new, or has more SKUs than before",
        "INV.RESERVE popup h-1 ITEMS mug 1";
    "INV.EXTEND" "NOHOLD", "the store has no such hold, or has forgotten it", "INV.EXTEND popup h-1 1000";
    "INV.EXTEND" "EXPIRED", "the hold has expired",
        "INV.RESERVE popup h-1 TTL 1 ITEMS mug 1; DEBUG SLEEP 0.02; INV.EXTEND popup h-1 1000";
    "INV.EXTEND" "BADSTATE", "the hold was committed or released, or became an order",
        "INV.RESERVE popup h-1 ITEMS mug 1; INV.RELEASE popup h-1; INV.EXTEND popup h-1 1000";
    "INV.COMMIT" "NOHOLD", "the store has no such hold, or has forgotten it", "INV.COMMIT popup h-1";
    "INV.COMMIT" "NOSKU", "the store has no such SKU",
        "INV.RESERVE popup h-1 ITEMS mug 1; INV.COMMIT popup h-1 ITEMS cap 1";
    "INV.COMMIT" "EXPIRED", "the hold has expired",
        "INV.RESERVE popup h-1 TTL 1 ITEMS mug 1; DEBUG SLEEP 0.02; INV.COMMIT popup h-1";
    "INV.COMMIT" "BADSTATE", "the hold was released or became an order, or has fewer units left than are named",
        "INV.RESERVE popup h-1 ITEMS mug 1; INV.COMMIT popup h-1 ITEMS mug 2";
    "INV.COMMIT" "MISMATCH", "the REF was used for another commit",
        "INV.RESERVE popup h-1 ITEMS mug 3; INV.COMMIT popup h-1 REF r-1 ITEMS mug 1; INV.COMMIT popup h-1 REF r-1";
    "INV.RELEASE" "NOHOLD", "the store has no such hold, or has forgotten it", "INV.RELEASE popup h-1";
    "INV.RELEASE" "NOSKU", "the store has no such SKU",
        "INV.RESERVE popup h-1 ITEMS mug 1; INV.RELEASE popup h-1 ITEMS cap 1";
    "INV.RELEASE" "EXPIRED", "the hold has expired",
        "INV.RESERVE popup h-1 TTL 1 ITEMS mug 1; DEBUG SLEEP 0.02; INV.RELEASE popup h-1";
    "INV.RELEASE" "BADSTATE", "the hold was committed or became an order, or has fewer units left than are named",
        "INV.RESERVE popup h-1 ITEMS mug 1; INV.COMMIT popup h-1; INV.RELEASE popup h-1";
    "INV.RELEASE" "MISMATCH", "the REF was used for another release",
        "INV.RESERVE popup h-1 ITEMS mug 3; INV.RELEASE popup h-1 REF r-1 ITEMS mug 1; INV.RELEASE popup h-1 REF r-1";
    "INV.HOLD" "NOHOLD", "the store has no such hold, or has forgotten it", "INV.HOLD popup h-1";

    "ORDER.PLACE" "NOSKU", "the store has no such SKU", "ORDER.PLACE popup o-1 ann ITEMS cap 1";
    "ORDER.PLACE" "OUTOFSTOCK", "more is wanted than is available; with WAIT: than the BACKLOG of the SKU has room for",
        "ORDER.PLACE popup o-1 ann ITEMS mug 11";
    "ORDER.PLACE" "LIMIT", "the customer would have more units than `limit`, or than the LIMIT of the SKU",
        "STORE.SET popup limit 1; ORDER.PLACE popup o-1 ann ITEMS mug 2";
    "ORDER.PLACE" "NOTOPEN", "the sale has not opened yet",
        "STORE.SET popup opens 9000000000000; ORDER.PLACE popup o-1 ann ITEMS mug 1";
    "ORDER.PLACE" "CLOSED", "the sale has closed; a live hold can still be ordered",
        "STORE.SET popup closes 1; ORDER.PLACE popup o-1 ann ITEMS mug 1";
    "ORDER.PLACE" "NOHOLD", "HOLD: the store has no such hold, or has forgotten it",
        "ORDER.PLACE popup o-1 ann HOLD h-1";
    "ORDER.PLACE" "EXPIRED", "HOLD: the hold has expired",
        "INV.RESERVE popup h-1 TTL 1 ITEMS mug 1; DEBUG SLEEP 0.02; ORDER.PLACE popup o-1 ann HOLD h-1";
    "ORDER.PLACE" "BADSTATE", "the order of this id was cancelled; HOLD: the hold was committed, released or ordered",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.CANCEL popup o-1; ORDER.PLACE popup o-1 ann ITEMS mug 1";
    "ORDER.PLACE" "MISMATCH", "the order of this id has other content; HOLD: the hold is of another customer",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.PLACE popup o-1 bob ITEMS mug 1";
    "ORDER.PLACE" "OOM", "memory is full and the order is new", "ORDER.PLACE popup o-1 ann ITEMS mug 1";
    "ORDER.CLAIM" "NOORDER", "ORDER: the store has no such order, or has forgotten it",
        "ORDER.CLAIM popup w-1 ORDER o-1";
    "ORDER.COMPLETE" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.COMPLETE popup o-1";
    "ORDER.COMPLETE" "FENCED", "the TOKEN is not the current one: the lease expired, or another call ended it",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.COMPLETE popup o-1 TOKEN 1";
    "ORDER.COMPLETE" "BADSTATE", "the order is waitlisted, pending, dead or cancelled",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.CANCEL popup o-1; ORDER.COMPLETE popup o-1";
    "ORDER.COMPLETE" "MISMATCH", "the order was completed with another RESULT",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.COMPLETE popup o-1; ORDER.COMPLETE popup o-1 RESULT 1";
    "ORDER.FAIL" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.FAIL popup o-1";
    "ORDER.FAIL" "FENCED", "the TOKEN is not the current one",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.FAIL popup o-1 TOKEN 1";
    "ORDER.FAIL" "BADSTATE", "the order is waitlisted, pending, completed or cancelled",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.COMPLETE popup o-1; ORDER.FAIL popup o-1";
    "ORDER.FAIL" "MISMATCH", "the attempt failed already, under this TOKEN, with another REASON, AFTER or FATAL",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.CLAIM popup w-1; ORDER.FAIL popup o-1 TOKEN {token} REASON a; \
         ORDER.FAIL popup o-1 TOKEN {token} REASON b";
    "ORDER.RENEW" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.RENEW popup o-1 TOKEN 1";
    "ORDER.RENEW" "FENCED", "the TOKEN is not the current one",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.RENEW popup o-1 TOKEN 1";
    "ORDER.RENEW" "BADSTATE", "the order ended or died under this TOKEN",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.CLAIM popup w-1; ORDER.COMPLETE popup o-1 TOKEN {token}; \
         ORDER.RENEW popup o-1 TOKEN {token}";
    "ORDER.GATE" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.GATE popup o-1 payment 1000";
    "ORDER.GATE" "BADSTATE", "a worker has the order, it is dead or has ended, or the gate is passed or has expired",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.CLAIM popup w-1; ORDER.GATE popup o-1 payment 1000";
    "ORDER.PASS" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.PASS popup o-1 payment";
    "ORDER.PASS" "NOGATE", "the order never had the gate",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.PASS popup o-1 payment";
    "ORDER.PASS" "BADSTATE", "the order is cancelled, or a gate of it has expired",
        "ORDER.PLACE popup o-1 ann GATE payment 0 ITEMS mug 1; ORDER.CANCEL popup o-1; ORDER.PASS popup o-1 payment";
    "ORDER.ADVANCE" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.ADVANCE popup o-1 packed";
    "ORDER.ADVANCE" "FENCED", "the TOKEN is not the current one",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.ADVANCE popup o-1 packed TOKEN 1";
    "ORDER.ADVANCE" "BADSTATE", "the order is not at the step FROM names, or it has ended or is dead",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.ADVANCE popup o-1 packed FROM picked";
    "ORDER.EDIT" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.EDIT popup o-1 ITEMS mug 1";
    "ORDER.EDIT" "NOSKU", "the store has no such SKU",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.EDIT popup o-1 ITEMS cap 1";
    "ORDER.EDIT" "OUTOFSTOCK", "more is added than is available, or than the BACKLOG has room for if the order waits",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.EDIT popup o-1 ITEMS mug 11";
    "ORDER.EDIT" "LIMIT", "the customer would have more units than `limit`, or than the LIMIT of the SKU",
        "STORE.SET popup limit 1; ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.EDIT popup o-1 ITEMS mug 2";
    "ORDER.EDIT" "FENCED", "a worker has the order and TOKEN is not its token, or is not named",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.CLAIM popup w-1; ORDER.EDIT popup o-1 ITEMS mug 2";
    "ORDER.EDIT" "BADSTATE", "the order is dead or has ended",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.COMPLETE popup o-1; ORDER.EDIT popup o-1 ITEMS mug 2";
    "ORDER.EDIT" "MISMATCH", "the REF was used for another edit",
        "ORDER.PLACE popup o-1 ann ITEMS mug 3; ORDER.EDIT popup o-1 REF r-1 ITEMS mug 2; \
         ORDER.EDIT popup o-1 REF r-1 ITEMS mug 1";
    "ORDER.SPLIT" "NOORDER", "the store has no such order, or has forgotten it",
        "ORDER.SPLIT popup o-1 o-2 ITEMS mug 1";
    "ORDER.SPLIT" "NOSKU", "the store has no such SKU",
        "ORDER.PLACE popup o-1 ann ITEMS mug 2; ORDER.SPLIT popup o-1 o-2 ITEMS cap 1";
    "ORDER.SPLIT" "FENCED", "a worker has the order and TOKEN is not its token, or is not named",
        "ORDER.PLACE popup o-1 ann ITEMS mug 2; ORDER.CLAIM popup w-1; ORDER.SPLIT popup o-1 o-2 ITEMS mug 1";
    "ORDER.SPLIT" "BADSTATE",
        "the order is dead or has ended, or has fewer units than are named; or the part is cancelled",
        "ORDER.PLACE popup o-1 ann ITEMS mug 2; ORDER.SPLIT popup o-1 o-2 ITEMS mug 3";
    "ORDER.SPLIT" "MISMATCH", "there is an order of the new id that is not from this split",
        "ORDER.PLACE popup o-1 ann ITEMS mug 2; ORDER.PLACE popup o-2 ann ITEMS mug 2; \
         ORDER.SPLIT popup o-1 o-2 ITEMS mug 1";
    "ORDER.CANCEL" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.CANCEL popup o-1";
    "ORDER.CANCEL" "BADSTATE", "the order is completed",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.COMPLETE popup o-1; ORDER.CANCEL popup o-1";
    "ORDER.CANCEL" "MISMATCH", "the order was cancelled with another REASON",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.CANCEL popup o-1 REASON a; ORDER.CANCEL popup o-1 REASON b";
    "ORDER.RETURN" "NOORDER", "the store has no such order; or it is forgotten, and CUSTOMER and REF are not named",
        "ORDER.RETURN popup o-1 ITEMS mug 1";
    "ORDER.RETURN" "NOSKU", "the store has no such SKU",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.COMPLETE popup o-1; ORDER.RETURN popup o-1 ITEMS cap 1";
    "ORDER.RETURN" "BADSTATE", "the order is not completed, or fewer units can be returned than are named",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.COMPLETE popup o-1; ORDER.RETURN popup o-1 ITEMS mug 2";
    "ORDER.RETURN" "MISMATCH", "the order is of another CUSTOMER, or the REF was used for another return",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.COMPLETE popup o-1; \
         ORDER.RETURN popup o-1 CUSTOMER bob ITEMS mug 1";
    "ORDER.REDRIVE" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.REDRIVE popup o-1";
    "ORDER.REDRIVE" "BADSTATE", "the order is not dead",
        "ORDER.PLACE popup o-1 ann ITEMS mug 1; ORDER.REDRIVE popup o-1";
    "ORDER.GET" "NOORDER", "the store has no such order, or has forgotten it", "ORDER.GET popup o-1";

    "LOCK.ACQUIRE" "BADSTATE", "the tokens have come to their end, 9007199254740991: delete the key", "";
    "LOCK.ACQUIRE" "OOM", "memory is full and the key is new", "LOCK.ACQUIRE doc:7 editor-1 1000";
};

/// The commands that can be called with a key alone: no argument can be wrong but the key.
const NO_ARGUMENTS: [&str; 6] = ["STORE.INFO", "STORE.LANES", "STORE.AUDIT", "STORE.REPAIR", "STORE.DROP", "LOCK.GET"];

/// The errors of a command, those of its own first.
pub fn errors(command: &str) -> Vec<(&'static str, &'static str, String)> {
    let own = ERRORS.iter().filter(|error| error.command == command);
    let mut all: Vec<_> = own.map(|error| (error.code, error.when, error.calls.to_owned())).collect();
    let about = &TABLE.iter().find(|row| row.about.title() == command).expect("a command").about;
    let of_locks = command.starts_with("LOCK.");
    if !of_locks && about.access != Access::Insert {
        all.push(("NOSTORE", "there is no store at the key", format!("FLUSHALL; {}", example(command))));
    }
    let other = if of_locks { "the key is no lock" } else { "the key is no store, or a stream of it is no stream" };
    all.push(("WRONGTYPE", other, format!("FLUSHALL; SET popup text; {}", example(command))));
    let wrong = if NO_ARGUMENTS.contains(&command) {
        ("ERR", "there are too many or too few words", format!("{command} popup too many"))
    } else {
        ("ERR", "an argument is missing, unknown or out of its range: the text says which and why", bad(command))
    };
    all.push(wrong);
    all
}

/// A call with enough arguments.
fn example(command: &str) -> String {
    let rest = match command {
        "STORE.SET" => "limit 1",
        "INV.SET" => "mug 5",
        "INV.ADJUST" => "mug 1",
        "INV.GET" => "mug",
        "INV.SCAN" | "INV.HOLDS" | "ORDER.SCAN" => "0",
        "INV.SYNC" => "erp 1 ITEMS mug 5",
        "INV.RESERVE" => "h-1 ITEMS mug 1",
        "INV.EXTEND" => "h-1 1000",
        "INV.COMMIT" | "INV.RELEASE" | "INV.HOLD" => "h-1",
        "ORDER.PLACE" => "o-1 ann ITEMS mug 1",
        "ORDER.CLAIM" | "ORDER.YIELD" => "w-1",
        "ORDER.RENEW" => "o-1 TOKEN 1",
        "ORDER.GATE" => "o-1 payment 1000",
        "ORDER.PASS" => "o-1 payment",
        "ORDER.ADVANCE" => "o-1 packed",
        "ORDER.EDIT" | "ORDER.RETURN" => "o-1 ITEMS mug 1",
        "ORDER.SPLIT" => "o-1 o-2 ITEMS mug 1",
        "LOCK.ACQUIRE" => "editor-1 1000",
        "LOCK.RENEW" => "1 1000",
        "LOCK.RELEASE" => "1",
        _ if command.starts_with("ORDER.") && command != "ORDER.PURGE" => "o-1",
        _ => "",
    };
    format!("{command} popup {rest}").trim_end().to_owned()
}

/// A call with one argument too many, or out of its range.
fn bad(command: &str) -> String {
    match command {
        "STORE.GET" => "STORE.GET popup colour".to_owned(),
        "INV.GET" => format!("INV.GET popup {}", "x".repeat(513)),
        _ => format!("{} red", example(command)),
    }
}
