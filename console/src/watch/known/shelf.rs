//! Things kept for the stores that somebody looks at, and forgotten when nobody does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::model::Key;

/// How long a thing is kept that nobody asks for.
const KEPT_UNUSED: Duration = Duration::from_secs(60);

/// One `T` for each store. Whoever holds its lock makes it; others who want it meanwhile wait, and make nothing.
#[derive(Debug, Default)]
pub struct Shelf<T> {
    kept: Mutex<HashMap<Key, Kept<T>>>,
}

#[derive(Debug)]
struct Kept<T> {
    used: Instant,
    thing: Arc<tokio::sync::Mutex<T>>,
}

impl<T: Default> Shelf<T> {
    /// The store's thing; a new one if the store has none.
    pub fn of(&self, key: &Key) -> Arc<tokio::sync::Mutex<T>> {
        let now = Instant::now();
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| now.duration_since(kept.used) < KEPT_UNUSED);
        let kept = all.entry(key.clone()).or_insert_with(|| Kept { used: now, thing: Arc::default() });
        kept.used = now;
        kept.thing.clone()
    }
}
