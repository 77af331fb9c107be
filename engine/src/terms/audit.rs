//! What an audit says.

/// One thing on which the books and the recount disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was compared: `on-hand`, `held`, `sold`, `customer`, `customer by SKU`, `orders`, `holds`, `queue`,
    /// `group`, `worker`, `late`, `due`, `index`, `stream`, `waiting`, `waitlist`.
    pub what: &'static str,
    /// Of which SKU, customer, state or stream.
    pub id: Box<[u8]>,
    /// What the books say.
    pub books: i64,
    /// What the recount says.
    pub recount: i64,
}
