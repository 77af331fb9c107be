//! The states of orders and holds, with their meaning, once: replies, docs, page and terminal view take their words
//! from here.

macro_rules! states {
    ($(#[$about:meta])* $type:ident {
        $($state:ident = $number:literal, $name:literal, $label:literal, $meaning:literal;)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $type { $(#[doc = $meaning] $state = $number,)* }

        impl $type {
            /// Every state, in the order they are listed.
            pub const ALL: [$type; [$($number),*].len()] = [$($type::$state,)*];

            /// How many there are.
            pub const COUNT: usize = $type::ALL.len();

            /// The name clients see.
            pub const fn name(self) -> &'static str {
                match self { $($type::$state => $name,)* }
            }

            /// A short title for people.
            pub const fn label(self) -> &'static str {
                match self { $($type::$state => $label,)* }
            }

            /// What it means, in a sentence without its full stop.
            pub const fn meaning(self) -> &'static str {
                match self { $($type::$state => $meaning,)* }
            }

            /// The state of a name, in any case.
            pub fn by_name(name: &[u8]) -> Option<$type> {
                Self::ALL.into_iter().find(|state| state.name().as_bytes().eq_ignore_ascii_case(name))
            }

            pub(crate) fn by_number(number: u64) -> Option<$type> {
                Self::ALL.get(usize::try_from(number).ok()?).copied()
            }
        }
    };
}

states! {
    /// Where an order is in its life.
    OrderState {
        Queued = 0, "queued", "Queued", "waits for a worker";
        Claimed = 1, "claimed", "In work", "a worker has it under a lease";
        Retrying = 2, "retrying", "Retrying", "an attempt failed; it waits for the next one";
        Dead = 3, "dead", "Dead", "out of attempts; its units went back on sale";
        Completed = 4, "completed", "Completed", "fulfilled; its units are sold";
        Cancelled = 5, "cancelled", "Cancelled", "called off; its units went back on sale";
        Pending = 6, "pending", "Pending", "holds its units until every gate is passed";
        Waitlisted = 7, "waitlisted", "Waitlisted", "waits for units, first come, first served";
    }
}

states! {
    /// Where a hold is in its life.
    HoldState {
        Live = 0, "live", "Live", "its units are set aside";
        Committed = 1, "committed", "Committed", "its last units were committed";
        Released = 2, "released", "Released", "its last units were released";
        Expired = 3, "expired", "Expired", "its deadline passed";
        Ordered = 4, "ordered", "Ordered", "it became an order";
    }
}

impl OrderState {
    /// Whether an order in this state can be in that one after a call.
    pub(crate) fn may_become(self, next: OrderState) -> bool {
        match self {
            OrderState::Completed | OrderState::Cancelled => next == self,
            OrderState::Dead => matches!(next, OrderState::Dead | OrderState::Queued | OrderState::Cancelled),
            OrderState::Waitlisted => !matches!(next, OrderState::Claimed | OrderState::Retrying | OrderState::Dead),
            _ => next != OrderState::Waitlisted,
        }
    }

    /// Whether workers have the order or get it in its turn.
    pub const fn is_for_workers(self) -> bool {
        matches!(self, OrderState::Queued | OrderState::Claimed | OrderState::Retrying)
    }

    /// Whether the order takes part in its lane: it has not ended. A dead one can be redriven into it.
    pub(crate) const fn is_in_lane(self) -> bool {
        self.is_open() || matches!(self, OrderState::Dead)
    }

    /// Whether the order still holds its units, or waits for them: it has neither ended nor died.
    pub const fn is_open(self) -> bool {
        !matches!(self, OrderState::Dead | OrderState::Completed | OrderState::Cancelled)
    }
}
