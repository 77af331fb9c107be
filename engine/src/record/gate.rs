//! Gates: what an order has to pass before workers get it, a payment or a fraud check.

use crate::base::units::{Bytes, Ms};

/// The most gates an order can have.
pub const GATES_MAX: usize = 8;

/// A gate as a call names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewGate<'a> {
    pub name: &'a [u8],
    /// How long it can be passed, milliseconds; 0: no end.
    pub ms: Ms,
}

/// A gate of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    pub name: Bytes,
    /// The milliseconds that ORDER.PLACE named; none if ORDER.GATE added the gate.
    pub placed_ms: Option<Ms>,
    pub state: GateState,
}

/// Whether a gate is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GateState {
    /// The order waits for units: the gate can be passed for so long from when it has them, milliseconds; 0: no end.
    Waits(Ms),
    /// It can be passed until this time; 0: no end.
    Open(Ms),
    /// It is passed; how many gates of the order were still to pass then.
    Passed(u64),
}

impl GateState {
    /// Whether it is still to be passed.
    pub fn is_to_pass(self) -> bool {
        !matches!(self, GateState::Passed(_))
    }
}

/// The gates of an order, in the order they were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gates(pub Vec<Gate>);

impl Gates {
    /// Those that ORDER.PLACE names, before the order has its units.
    pub fn placed(named: &[NewGate<'_>]) -> Gates {
        let gate = |new: &NewGate<'_>| Gate {
            name: new.name.into(),
            placed_ms: Some(new.ms),
            state: GateState::Waits(new.ms),
        };
        Gates(named.iter().map(gate).collect())
    }

    /// The gate of a name.
    pub fn find(&self, name: &[u8]) -> Option<&Gate> {
        self.0.iter().find(|gate| &*gate.name == name)
    }

    /// Sets the state of a gate, which is added if it is new.
    pub fn set(&mut self, name: &[u8], state: GateState) {
        match self.0.iter_mut().find(|gate| &*gate.name == name) {
            Some(gate) => gate.state = state,
            None => self.0.push(Gate { name: name.into(), placed_ms: None, state }),
        }
    }

    /// How many are still to be passed.
    pub fn to_pass(&self) -> u64 {
        self.0.iter().filter(|gate| gate.state.is_to_pass()).count() as u64
    }

    /// The gate that expires first, of several in one millisecond the one that was named first, and when.
    pub fn first_to_expire(&self) -> Option<(Ms, &Gate)> {
        let open = self.0.iter().filter_map(|gate| match gate.state {
            GateState::Open(until) if until > 0 => Some((until, gate)),
            _ => None,
        });
        open.min_by_key(|(until, _)| *until)
    }

    /// Whether ORDER.PLACE named these gates, in any order, and no others.
    pub fn were_placed(&self, named: &[NewGate<'_>]) -> bool {
        let placed = self.0.iter().filter(|gate| gate.placed_ms.is_some()).count();
        let knows = |new: &NewGate<'_>| self.find(new.name).is_some_and(|gate| gate.placed_ms == Some(new.ms));
        placed == named.len() && named.iter().all(knows)
    }

    /// Whether ORDER.PLACE named any.
    pub fn any_placed(&self) -> bool {
        self.0.iter().any(|gate| gate.placed_ms.is_some())
    }
}

/// What `ORDER.GET` shows of a gate. Borrowed from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateView<'a> {
    pub name: &'a [u8],
    /// Until when it can be passed; 0: no end, it is passed, or the order waits for units.
    pub deadline: Ms,
    pub is_passed: bool,
}

impl Gate {
    /// What is shown of it.
    pub fn view(&self) -> GateView<'_> {
        let deadline = if let GateState::Open(until) = self.state { until } else { 0 };
        GateView { name: &self.name, deadline, is_passed: !self.state.is_to_pass() }
    }
}
