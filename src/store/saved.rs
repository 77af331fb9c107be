//! The type of a store's key: how stores are saved, loaded, copied and registered where they come to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, c_int};

use super::keys::{check_new, note_arrival};
use super::value::StoreValue;
use super::wire;
use crate::host::ctx::seed;
use crate::host::data_type::{At, DataType, Log, Pieces, Value};
use crate::host::key::{Key, Mode};
use crate::host::opened::Write;
use crate::host::{Ctx, Str, clock, deadlines, memory, waiters};
use holdfast_engine::books::image::load::Loader;

static STORE_TYPE: DataType<StoreValue> = DataType::new();

/// Stores whose pieces are coming, by database and key, and the bytes they take so far.
type Loading = HashMap<(c_int, Vec<u8>), (Loader, i64)>;

thread_local! {
    /// What is coming from a log, or from a primary.
    static LOADING: RefCell<Loading> = RefCell::new(HashMap::new());
}

impl Value for StoreValue {
    const NAME: &'static CStr = c"holdstore";
    const ENCODING: c_int = 1;

    #[inline]
    fn data_type() -> &'static DataType<Self> {
        &STORE_TYPE
    }

    fn save(&self, write: &mut dyn FnMut(&[u8])) {
        self.store.save(&mut |piece| write(piece));
    }

    fn load(pieces: &Pieces<'_>) -> Result<Self, String> {
        let before = memory::net();
        let mut loader = Loader::new(seed());
        loop {
            match loader.piece(&pieces.next()?).map_err(|corrupt| corrupt.to_string())? {
                Ok(store) => return Ok(loaded(*store, before)),
                Err(more) => loader = more,
            }
        }
    }

    /// A piece is a call each: a store of any size, in bounded commands.
    fn rewrite(&self, log: &Log<'_>) {
        self.store.save(&mut |piece| log.apply(wire::LOAD, piece));
    }

    fn digest(&self) -> u128 {
        self.store.digest()
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(0)
    }

    fn weight(&self) -> usize {
        self.store.weight()
    }

    fn defrag(&mut self, cursor: u64, put: &mut dyn FnMut(Vec<u8>) -> Vec<u8>) -> u64 {
        self.store.defrag(cursor, put)
    }

    fn copy(&self, to: Option<At<'_>>) -> Option<Self> {
        if to.is_some_and(is_refused) {
            return None;
        }
        let before = memory::net();
        let mut loader = Some(Loader::new(seed()));
        let mut made = None;
        self.store.save(&mut |piece| match loader.take().map(|loader| loader.piece(piece)) {
            Some(Ok(Ok(store))) => made = Some(store),
            Some(Ok(Err(more))) => loader = Some(more),
            _ => {}
        });
        made.map(|store| loaded(*store, before))
    }

    fn placed(&mut self, (db, key): At<'_>) {
        deadlines::set(self.uid, db, key.bytes(), self.next_look(clock::now()));
    }

    fn unlinked(&self) {
        deadlines::forget(self.uid);
        waiters::leave(self.uid);
    }
}

/// A value for a store that was loaded since `before`, a reading of [`memory::net`].
fn loaded(store: holdfast_engine::store::Store, before: i64) -> StoreValue {
    let bytes = memory::net() - before;
    StoreValue::new(store, bytes)
}

/// Takes the next piece of a store from a log; the store, once it is whole. Its hash tables have the key `seed`.
///
/// # Errors
/// What is wrong with the piece.
pub fn load_piece(db: c_int, key: &[u8], piece: &[u8], seed: u64) -> Result<Option<StoreValue>, String> {
    LOADING.with_borrow_mut(|loading| {
        let before = memory::net();
        // A head begins a new store: what came before it was cut off, with the migration of a slot that failed, say.
        let begun = loading.remove(&(db, key.to_vec())).filter(|_| !Loader::is_head(piece));
        let (loader, bytes) = begun.unwrap_or_else(|| (Loader::new(seed), 0));
        match loader.piece(piece).map_err(|corrupt| corrupt.to_string())? {
            Ok(store) => Ok(Some(loaded(*store, before - bytes))),
            Err(more) => {
                let bytes = bytes + memory::net() - before;
                loading.insert((db, key.to_vec()), (more, bytes));
                Ok(None)
            }
        }
    })
}

/// Forgets stores of which only some pieces came.
pub fn forget_pieces() {
    LOADING.with_borrow_mut(HashMap::clear);
}

/// Whether a COPY is refused, as a new store would be: its streams would be another store's. The server's reply to that
/// has no reason in it, the log has. A replica and a log do as the primary did.
fn is_refused((db, key): At<'_>) -> bool {
    Ctx::with_own(|ctx| {
        let decides = ctx.select(db) && ctx.is_primary() && !ctx.is_replayed();
        let problem = if decides { check_new(ctx, key).err().and_then(|stop| stop.text()) } else { None };
        if let Some(problem) = &problem {
            ctx.warn(&format!("a COPY to {} was refused: {problem}", key.bytes().escape_ascii()));
        }
        problem.is_some()
    })
}

/// A store that was renamed, moved, copied or restored is registered under its new name. Nothing is written in here.
pub fn arrived(ctx: Ctx<'_>, name: Str<'_>) {
    let Some(Ok(mut value)) = Key::open(ctx, name, Mode::Read).map(Write::<_, StoreValue>::open) else { return };
    note_arrival(ctx, name, &mut value);
    value.placed((ctx.db(), name));
    drop(value);
    deadlines::arm(ctx);
}
