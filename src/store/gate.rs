//! What of the work that is due in a store may be done now.

use std::rc::Rc;

use smallvec::SmallVec;

use super::keys::{has_streams, stream_name};
use crate::host::{Host, OwnStr, Str};
use holdfast_engine::store::Store;
use holdfast_engine::terms::streams::StreamKind;

/// What of the work that is due in a store may be done now. While its slot moves, some of its streams may be on another
/// node, those that the store has not made among them: a consumer can make one, with its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// All of it.
    All,
    /// What writes no stream of orders: holds, samples.
    Holds,
    /// None: the store is not to be written.
    Nothing,
}

/// Asks the gate ([`Host::may_write`]) for a store and its streams.
pub fn may_write_store(host: impl Host, name: Str<'_>, store: &Store) -> Open {
    const OF_ORDERS: [StreamKind; 3] = [StreamKind::Orders, StreamKind::Retry, StreamKind::Dead];
    if !host.flags().cluster() || !has_streams(name.bytes()) {
        return if host.may_write(&[name]) { Open::All } else { Open::Nothing };
    }
    let journal = (store.settings().journal > 0).then_some(StreamKind::Journal);
    if with_streams(host, name, OF_ORDERS.into_iter().chain(journal)) {
        Open::All
    } else if with_streams(host, name, journal.into_iter()) {
        Open::Holds
    } else {
        Open::Nothing
    }
}

fn with_streams(host: impl Host, name: Str<'_>, kinds: impl Iterator<Item = StreamKind>) -> bool {
    let streams: SmallVec<[Rc<OwnStr>; 4]> = kinds.map(|kind| stream_name(name.bytes(), kind)).collect();
    let keys: SmallVec<[Str<'_>; 5]> = [name].into_iter().chain(streams.iter().map(|stream| stream.get())).collect();
    host.may_write(&keys)
}
