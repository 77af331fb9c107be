//! The types of replies, in both protocols. The suite compares every reply that any test sees with them.

/// A reply of a command.
pub struct Reply {
    pub resp2: &'static str,
    pub resp3: &'static str,
    pub what: &'static str,
}

const fn same(kind: &'static str, what: &'static str) -> Reply {
    Reply { resp2: kind, resp3: kind, what }
}

const fn map(what: &'static str) -> Reply {
    Reply { resp2: "array", resp3: "map", what }
}

const INTEGER: &[Reply] = &[same("integer", "as above")];
const ENTRY_OR_NIL: &[Reply] =
    &[same("bulk string", "the id of its entry"), same("nil", "it is not queued: waitlisted or pending")];
const MAP: &[Reply] = &[map("names and values by turns in RESP2")];
const MAPS: &[Reply] = &[same("array", "of maps; in RESP2 each is an array of names and values by turns")];
const SCAN: &[Reply] = &[same("array", "a bulk string with the next cursor, and an array of bulk strings")];

/// The replies of a command that is not refused.
pub fn replies(command: &str) -> &'static [Reply] {
    match command {
        "STORE.SET" | "STORE.DROP" => const { &[same("simple string", "OK")] },
        "INV.SYNC" => const { &[same("simple string", "APPLIED or DUPLICATE")] },
        "STORE.GET" | "STORE.INFO" | "INV.HOLD" | "ORDER.GET" | "ORDER.FAIL" | "LOCK.GET" => MAP,
        "STORE.LANES" | "STORE.AUDIT" | "ORDER.CLAIM" => MAPS,
        "INV.GET" => const { &[same("array", "a map for each SKU, in RESP2 an array; nil for one that is unknown")] },
        "INV.SCAN" | "INV.HOLDS" | "ORDER.SCAN" => SCAN,
        "ORDER.PLACE" | "ORDER.SPLIT" => ENTRY_OR_NIL,
        "ORDER.COMPLETE" => {
            const {
                &[
                    same("bulk string", "the id of its entry in `…:complete`"),
                    same("array", "with CLAIM: that id, and the next order (a map, in RESP2 an array) or nil"),
                ]
            }
        }
        "LOCK.ACQUIRE" => const { &[same("integer", "the token"), same("nil", "another owner has the lock")] },
        _ => INTEGER,
    }
}

/// What changed in a command since it came.
pub fn history(command: &str) -> &'static [(&'static str, &'static str)] {
    match command {
        "STORE.SET" => &[("0.2.0", "Added `alerts`, `hold-max-ms` and `hold-max-units`.")],
        "STORE.GET" => &[("0.2.0", "Added `alerts`, `hold-max-ms` and `hold-max-units`.")],
        "STORE.INFO" => &[("0.2.0", "Names are those of the metrics; added waitlisted and pending orders.")],
        "STORE.REPAIR" => &[("0.2.0", "Removes entries that belong to no order.")],
        "INV.SET" => &[("0.2.0", "Added `BACKLOG`.")],
        "INV.ADJUST" => &[("0.2.0", "Below 0 is `BADSTATE`, was `OUTOFSTOCK`. A REF belongs to its command.")],
        "INV.GET" => &[("0.2.0", "`on-hand`, was `on_hand`; added `waiting` and `backlog`.")],
        "INV.RESERVE" => &[(
            "0.2.0",
            "Added `REPLACE`. A hold that ended is `EXPIRED` or `BADSTATE`, not answered as if it were live.",
        )],
        "ORDER.PLACE" => &[(
            "0.2.0",
            "Added `LANE`, `GATE` and `WAIT`. A cancelled order is `BADSTATE`. The order of the items does not matter.",
        )],
        "ORDER.CLAIM" => &[("0.2.0", "Added `LANES` and `ORDER`; the reply has `lane`.")],
        "ORDER.RETURN" => &[("0.2.0", "Added `CUSTOMER` and `SCRAP`; orders that are forgotten can be returned.")],
        "ORDER.GET" => &[("0.2.0", "Added `lane`, `gates` and `missing`; always has `result` and `reason`.")],
        "ORDER.SCAN" => &[("0.2.0", "Added `LANE`; states `waitlisted` and `pending`.")],
        _ => &[],
    }
}
