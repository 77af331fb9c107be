//! Images of stores and locks. The checksum is made right: it protects from a disk, not from whoever wants to forge.

use holdfast_engine::calls::locks::Lock;
use holdfast_engine::oracle::forge::{live_on, sealed};
use holdfast_engine::oracle::shop::{loaded, saved};

/// What is between the pieces of an image, in an input.
const BETWEEN: &[u8] = b"\xff\xfe|\xfe\xff";

/// What an input begins with that is the image of a lock.
const LOCK: &[u8] = b"lock:";

/// Loads an input. What loads is saved and loaded as the same, and goes on as any other.
pub fn run(input: &[u8]) {
    if let Some(image) = input.strip_prefix(LOCK) {
        return run_lock(image);
    }
    let Ok(store) = loaded(&sealed(pieces(input)), 7) else { return };
    let digest = store.digest();
    let again = loaded(&saved(&store), 8).expect("what was loaded and saved loads");
    assert_eq!(again.digest(), digest, "saved and loaded");
    live_on(store, "loaded");
}

fn run_lock(image: &[u8]) {
    let Ok(mut lock) = Lock::load(image) else { return };
    let again = Lock::load(&lock.save()).expect("what was loaded and saved loads");
    assert_eq!((again.digest(), again.next_due()), (lock.digest(), lock.next_due()));
    let now = lock.changed_at().saturating_add(1);
    let _ = lock.acquire(now, b"owner", 1_000);
    lock.expire(now.saturating_add(1_001));
    let token = lock.holder(0).map_or(0, |holder| holder.token);
    lock.renew(now, token, 5);
    lock.release(now, token);
    assert_eq!(Lock::load(&lock.save()).map(|lock| lock.digest()), Ok(lock.digest()));
}

/// The pieces of an input.
fn pieces(input: &[u8]) -> Vec<Vec<u8>> {
    let (mut pieces, mut rest) = (Vec::new(), input);
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        pieces.push(rest[..at].to_vec());
        rest = &rest[at + BETWEEN.len()..];
    }
    pieces.push(rest.to_vec());
    pieces
}

/// An input of these pieces, of which the last is not the end.
pub fn input(pieces: &[Vec<u8>]) -> Vec<u8> {
    pieces.join(BETWEEN)
}

/// An input of a lock.
pub fn lock_input(lock: &Lock) -> Vec<u8> {
    [LOCK, &lock.save()].concat()
}

#[test]
fn the_images_of_the_corpus_load() {
    for name in ["rich", "version-1", "version-2", "version-3"] {
        let path = super::corpus("image").join(name);
        let input = std::fs::read(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        loaded(&sealed(pieces(&input)), 1).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    }
}
