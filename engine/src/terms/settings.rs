//! What `STORE.SET` sets.

use crate::base::units::{MAX_QUANTITY, Ms};

macro_rules! settings {
    ($($field:ident, $variant:ident, $name:literal, $default:literal, $min:literal, $doc:literal;)*) => {
        /// The settings of a store. Times are Unix milliseconds, durations milliseconds.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Settings {
            $(#[doc = $doc] pub $field: u64,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Settings { $($field: $default,)* }
            }
        }

        /// The name of one setting.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field {
            $(#[doc = $doc] $variant,)*
        }

        /// Every field, in the order `STORE.GET` replies them.
        pub const FIELDS: &[Field] = &[$(Field::$variant,)*];

        impl Field {
            /// The name clients use.
            pub fn name(self) -> &'static str {
                match self { $(Field::$variant => $name,)* }
            }

            /// The smallest value.
            pub fn min(self) -> u64 {
                match self { $(Field::$variant => $min,)* }
            }

            /// What the field means, for the reference.
            pub fn doc(self) -> &'static str {
                match self { $(Field::$variant => $doc,)* }
            }
        }

        impl Settings {
            /// The value of a field (`paused`: 0 or 1).
            pub fn get(&self, field: Field) -> u64 {
                match field { $(Field::$variant => self.$field,)* }
            }

            pub(crate) fn set(&mut self, field: Field, value: u64) {
                match field { $(Field::$variant => self.$field = value,)* }
            }
        }
    };
}

settings! {
    opens, Opens, "opens", 0, 0, "When the sale opens, Unix milliseconds; 0: no bound.";
    closes, Closes, "closes", 0, 0, "When the sale closes, Unix milliseconds; 0: no bound.";
    limit, Limit, "limit", 0, 0,
        "Units one customer may have in live holds and in orders, net of cancels and returns; 0: no limit.";
    hold_ms, HoldMs, "hold-ms", 600_000, 1, "How long a hold without TTL lasts, milliseconds.";
    lease_ms, LeaseMs, "lease-ms", 30_000, 1, "How long a lease lasts if the claim names no LEASE, milliseconds.";
    attempts, Attempts, "attempts", 5, 1, "How many attempts an order has before it is dead.";
    backoff_ms, BackoffMs, "backoff-ms", 100, 1,
        "The wait before the first retry, milliseconds; it doubles with each retry.";
    backoff_cap_ms, BackoffCapMs, "backoff-cap-ms", 60_000, 1, "The longest wait before a retry, milliseconds.";
    keep_ms, KeepMs, "keep-ms", 86_400_000, 1,
        "How long an ended order, an ended hold or a REF is remembered for idempotency, milliseconds. After that, \
         units of an order are returned by naming CUSTOMER and REF.";
    sla_ms, SlaMs, "sla-ms", 0, 0, "An order that takes longer than this is late, milliseconds; 0: no order is late.";
    history, History, "history", 100_000, 0, "How many entries the stream `…:complete` keeps.";
    journal, Journal, "journal", 0, 0, "How many entries the stream `…:journal` keeps; 0: nothing is written to it.";
    metrics, Metrics, "metrics", 7_200, 0, "How many entries the stream `…:metrics` keeps.";
    alerts, Alerts, "alerts", 10_000, 0,
        "How many entries the stream `…:alerts` keeps; 0: nothing is written to it.";
    hold_max_ms, HoldMaxMs, "hold-max-ms", 0, 0,
        "How long a hold can live from its start, its extensions included, milliseconds; 0: no limit.";
    hold_max_units, HoldMaxUnits, "hold-max-units", 0, 0, "Units that one hold may have; 0: no limit.";
    paused, Paused, "paused", 0, 0, "While yes, workers get no orders.";
}

impl Field {
    /// The field of a name, in any case.
    pub fn by_name(name: &[u8]) -> Option<Field> {
        FIELDS.iter().copied().find(|f| f.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The largest value: 2^53 - 1 for all but `paused`.
    pub fn max(self) -> u64 {
        if self.is_switch() { 1 } else { MAX_QUANTITY }
    }

    /// `paused` is yes or no; every other field is an integer.
    pub fn is_switch(self) -> bool {
        self == Field::Paused
    }
}

impl Settings {
    /// Whether the sale window is open at `now`: 0 at either end is no bound.
    pub(crate) fn window(&self, now: Ms) -> Window {
        if self.opens > now {
            Window::NotOpen
        } else if self.closes != 0 && self.closes <= now {
            Window::Closed
        } else {
            Window::Open
        }
    }
}

/// Where a time is in relation to the sale window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    NotOpen,
    Open,
    Closed,
}
