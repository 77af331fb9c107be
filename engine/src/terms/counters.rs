//! What a store has counted since it was made. Saturating; none of it decides anything.

use crate::terms::refusal::Refusal;

macro_rules! counters {
    ($($field:ident, $name:literal, $doc:literal;)*) => {
        /// What a store has counted since it was made.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $doc] pub $field: u64,)*
            /// Refusals.
            pub refused: Refused,
        }

        impl Counters {
            /// The counters' names, refusals left out, in the order of [`Counters::all`].
            pub(crate) const NAMES: &'static [&'static str] = &[$($name,)*];

            /// What they mean, for the reference.
            pub const DOCS: &'static [&'static str] = &[$($doc,)*];

            /// All of them, refusals last.
            pub(crate) fn all(&self) -> Vec<u64> {
                [$(self.$field,)*].into_iter().chain(self.refused.0).collect()
            }

            /// Every one of them, to be set.
            pub(crate) fn all_mut(&mut self) -> Vec<&mut u64> {
                [$(&mut self.$field,)*].into_iter().chain(&mut self.refused.0).collect()
            }
        }
    };
}

counters! {
    placed, "placed", "Orders placed.";
    completed, "completed", "Orders completed.";
    cancelled, "cancelled", "Orders cancelled.";
    returned, "returned", "Units that came back from completed orders.";
    failed, "failed", "Attempts that ended with ORDER.FAIL.";
    retried, "retried", "Retries that came due.";
    dead, "dead", "Orders that ran out of attempts.";
    expired, "expired", "Holds that expired.";
    claimed, "claimed", "Orders handed to workers.";
    units_sold, "units-sold", "Units that left by completed orders and committed holds.";
    lapsed, "lapsed", "Attempts that ended with their lease.";
    redriven, "redriven", "Dead orders that were queued anew.";
    late, "late", "Orders that were late.";
}

macro_rules! codes {
    ($($code:ident, $name:literal;)*) => {
        /// Why a store refused a call: the first word of the error, in lower case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($code,)* }

        impl Code {
            /// Every code, in the order of their counters.
            pub const ALL: &'static [Code] = &[$(Code::$code,)*];

            /// The names of their counters.
            pub const NAMES: &'static [&'static str] = &[$(concat!("refused-", $name),)*];

            /// How many there are.
            pub const COUNT: usize = Code::ALL.len();
        }
    };
}

codes! {
    NoSku, "nosku";
    NoHold, "nohold";
    NoOrder, "noorder";
    OutOfStock, "outofstock";
    Limit, "limit";
    NotOpen, "notopen";
    Closed, "closed";
    Expired, "expired";
    BadState, "badstate";
    Mismatch, "mismatch";
    Fenced, "fenced";
    Gap, "gap";
    Err, "err";
}

impl Code {
    /// The code of a refusal; none where there is no store to count it.
    pub fn of(refusal: &Refusal) -> Option<Code> {
        Some(match refusal {
            Refusal::NoStore => return None,
            Refusal::NoSku(_) => Code::NoSku,
            Refusal::NoHold(_) => Code::NoHold,
            Refusal::NoOrder(_) | Refusal::Forgotten(_) => Code::NoOrder,
            Refusal::OutOfStock { .. } => Code::OutOfStock,
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

/// Refusals by code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused(pub [u64; Code::COUNT]);

impl Refused {
    /// Counts one.
    pub fn count(&mut self, code: Code) {
        let count = &mut self.0[code as usize];
        *count = count.saturating_add(1);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// Both together.
    pub fn with(mut self, more: &Refused) -> Refused {
        self.0.iter_mut().zip(more.0).for_each(|(count, more)| *count = count.saturating_add(more));
        self
    }

    /// Refusals for a reason.
    pub fn of(&self, code: Code) -> u64 {
        self.0[code as usize]
    }
}
