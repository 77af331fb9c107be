//! Why a call is refused. The first word of each text is the code that clients switch on.

use std::fmt;

use crate::base::units::{Bytes, MAX_QUANTITY, Ms};
use crate::terms::states::OrderState;

/// A refusal: nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no store at the key.
    NoStore,
    /// The store does not know the SKU.
    NoSku(Bytes),
    /// The store does not know the hold, or has forgotten it (`keep-ms`).
    NoHold(Bytes),
    /// The store does not know the order, or has forgotten it (`keep-ms`).
    NoOrder(Bytes),
    /// The same, for units that come back: a forgotten order has to be named with its customer and a REF.
    Forgotten(Bytes),
    /// The order never had the gate.
    NoGate { order: Bytes, gate: Bytes },
    /// Fewer units are available than wanted.
    OutOfStock { sku: Bytes, wanted: u64, available: i64 },
    /// The same, of an order that would wait: more units than the SKU's backlog would be waited for.
    Backlog { sku: Bytes, wanted: u64, available: i64, waiting: u64, backlog: u64 },
    /// The customer would have more units than the limit of the store, or of the SKU where one is named.
    Limit { customer: Bytes, limit: u64, has: u64, sku: Option<Bytes> },
    /// The sale window has not opened yet.
    NotOpen { opens: Ms, now: Ms },
    /// The sale window has closed.
    Closed { closes: Ms, now: Ms },
    /// The hold's deadline has passed.
    Expired { hold: Bytes, at: Ms },
    /// The state of the thing does not allow it; the text says what it is in.
    BadState(String),
    /// The id is known with other content; the text names the id and what differs.
    Mismatch(String),
    /// The worker's lease expired: the token is not the current one. 0: no worker has the order.
    Fenced { current: u64, state: OrderState },
    /// A numbered feed skipped ahead.
    Gap { expected: u64 },
    /// An argument does not fit: its name, and what is wrong with it.
    Argument { name: &'static str, problem: String },
}

impl Refusal {
    /// An argument that does not fit.
    pub fn argument(name: &'static str, problem: impl Into<String>) -> Self {
        Refusal::Argument { name, problem: problem.into() }
    }

    pub(crate) fn order_is(state: OrderState) -> Self {
        Refusal::BadState(format!("order is {}", state.name()))
    }
}

/// Client ids are bytes; an error is one line of text. What is not printable ASCII is shown as `\xNN`.
pub(crate) struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoStore => write!(f, "NOSTORE no store at this key, make one with STORE.SET or INV.SET"),
            Refusal::NoSku(id) => write!(f, "NOSKU no SKU {} in this store", Shown(id)),
            Refusal::NoHold(id) => write!(f, "NOHOLD no hold {} in this store", Shown(id)),
            Refusal::NoOrder(id) => write!(f, "NOORDER no order {} in this store", Shown(id)),
            Refusal::Forgotten(id) => {
                write!(f, "NOORDER no order {} in this store; ", Shown(id))?;
                write!(f, "to return units of a forgotten order, name CUSTOMER and REF")
            }
            Refusal::NoGate { order, gate } => write!(f, "NOGATE order {} has no gate {}", Shown(order), Shown(gate)),
            Refusal::OutOfStock { sku, wanted, available } => {
                write!(f, "OUTOFSTOCK {} wanted {wanted} available {available}", Shown(sku))
            }
            Refusal::Backlog { sku, wanted, available, waiting, backlog } => {
                write!(f, "OUTOFSTOCK {} wanted {wanted} available {available} ", Shown(sku))?;
                write!(f, "backlog {waiting} of {backlog}")
            }
            Refusal::Limit { customer, limit, has, sku } => {
                write!(f, "LIMIT customer {} limit {limit} has {has}", Shown(customer))?;
                sku.as_ref().map_or(Ok(()), |sku| write!(f, " of {}", Shown(sku)))
            }
            Refusal::NotOpen { opens, now } => write!(f, "NOTOPEN opens at {opens}, now is {now}"),
            Refusal::Closed { closes, now } => write!(f, "CLOSED closed at {closes}, now is {now}"),
            Refusal::Expired { hold, at } => write!(f, "EXPIRED hold {} expired at {at}", Shown(hold)),
            Refusal::BadState(text) => write!(f, "BADSTATE {text}"),
            Refusal::Mismatch(text) => write!(f, "MISMATCH {text}"),
            Refusal::Fenced { current: 0, state } => {
                write!(f, "FENCED current token 0, nobody has the order: it is {}", state.name())
            }
            Refusal::Fenced { current, .. } => write!(f, "FENCED current token {current}"),
            Refusal::Gap { expected } => write!(f, "GAP expected {expected}"),
            Refusal::Argument { name, problem } => write!(f, "ERR {name} {problem}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Makes a refusal out of line: what hardly any call needs is then neither among the instructions that every call reads
/// into the processor's cache, nor in their way.
#[cold]
#[inline(never)]
pub fn refuse<R>(refusal: impl FnOnce() -> R) -> R {
    refusal()
}

/// A sum of quantities; past 2^53 - 1 it is refused.
pub(crate) fn checked_sum(a: u64, b: u64, name: &'static str) -> Result<u64, Refusal> {
    a.checked_add(b).filter(|sum| *sum <= MAX_QUANTITY).ok_or_else(|| {
        refuse(|| {
            let sum = u128::from(a) + u128::from(b);
            Refusal::argument(name, format!("must add up to at most {MAX_QUANTITY}, got {sum}"))
        })
    })
}

macro_rules! codes {
    ($($code:ident, $word:literal, $metric:literal, $label:literal, $meaning:literal;)*) => {
        /// The codes of refusals that a store counts: the first word of the error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $(#[doc = $meaning] $code,)* }

        impl Code {
            /// Every code, in the order of their counters.
            pub const ALL: &'static [Code] = &[$(Code::$code,)*];

            /// How many there are.
            pub const COUNT: usize = Code::ALL.len();

            /// The first word of the error.
            pub const fn word(self) -> &'static str {
                match self { $(Code::$code => $word,)* }
            }

            /// The name of its counter.
            pub const fn metric(self) -> &'static str {
                match self { $(Code::$code => concat!("refused-", $metric),)* }
            }

            /// What it says to a customer, in a few words.
            pub const fn label(self) -> &'static str {
                match self { $(Code::$code => $label,)* }
            }

            /// Why a call is refused with it, in a sentence without its full stop.
            pub const fn why(self) -> &'static str {
                match self { $(Code::$code => $meaning,)* }
            }

            /// What its counter means, in a sentence without its full stop.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$code => concat!("writes refused with `", $word, "`: ", $meaning),)* }
            }
        }
    };
}

codes! {
    NoSku, "NOSKU", "nosku", "Unknown product", "the store has no such SKU";
    NoHold, "NOHOLD", "nohold", "Unknown cart", "the store has no such hold, or has forgotten it";
    NoOrder, "NOORDER", "noorder", "Unknown order", "the store has no such order, or has forgotten it";
    OutOfStock, "OUTOFSTOCK", "outofstock", "Not enough units left", "more was wanted than is available";
    Limit, "LIMIT", "limit", "Customer's limit reached", "one customer may have only so many units";
    NotOpen, "NOTOPEN", "notopen", "Too early", "the sale has not opened yet";
    Closed, "CLOSED", "closed", "Too late", "the sale has closed";
    Expired, "EXPIRED", "expired", "Cart expired", "the hold expired before it was ordered";
    BadState, "BADSTATE", "badstate", "Not possible any more", "the order or hold is in a state that does not allow it";
    Mismatch, "MISMATCH", "mismatch", "Same id, other content", "a repeated call differs from the first";
    Fenced, "FENCED", "fenced", "Worker came too late",
        "the worker's lease had expired, and its token is no longer the current one";
    Gap, "GAP", "gap", "Feed skipped ahead", "a number is missing in an outside system's stock feed";
    Err, "ERR", "err", "Call not understood", "an argument is missing or out of range";
    NoGate, "NOGATE", "nogate", "Unknown gate", "the order never had such a gate";
}

impl Code {
    /// The code of a refusal; none where there is no store to count it.
    pub fn of(refusal: &Refusal) -> Option<Code> {
        Some(match refusal {
            Refusal::NoStore => return None,
            Refusal::NoSku(_) => Code::NoSku,
            Refusal::NoHold(_) => Code::NoHold,
            Refusal::NoOrder(_) | Refusal::Forgotten(_) => Code::NoOrder,
            Refusal::NoGate { .. } => Code::NoGate,
            Refusal::OutOfStock { .. } | Refusal::Backlog { .. } => Code::OutOfStock,
            Refusal::Limit { .. } => Code::Limit,
            Refusal::NotOpen { .. } => Code::NotOpen,
            Refusal::Closed { .. } => Code::Closed,
            Refusal::Expired { .. } => Code::Expired,
            Refusal::BadState(_) => Code::BadState,
            Refusal::Mismatch(_) => Code::Mismatch,
            Refusal::Fenced { .. } => Code::Fenced,
            Refusal::Gap { .. } => Code::Gap,
            Refusal::Argument { .. } => Code::Err,
        })
    }
}
