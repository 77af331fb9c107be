//! The module's allocator: the server's own, counted, so that MEMORY USAGE knows what each store takes.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

thread_local! {
    /// Bytes allocated less bytes freed by this thread.
    static NET: Cell<i64> = const { Cell::new(0) };
}

/// Bytes this thread has allocated and not freed since it started, as the server's allocator counts them. The
/// difference between two calls is what the work between them took.
pub fn net() -> i64 {
    NET.with(Cell::get)
}

fn count(bytes: i64) {
    // A thread that ends frees its own storage last: nothing is counted any more.
    let _ = NET.try_with(|net| net.set(net.get() + bytes));
}

/// The server's allocator. In unit tests, which run without a server, the system's.
pub struct ServerAlloc;

/// The largest alignment that the server's allocator keeps, for a size that is a multiple of it. That of the system
/// does so for every size; the one that Redis brings (jemalloc, with a quantum of 8) aligns 40 bytes to 8 alone, and 48
/// to 16.
const ALIGNED: usize = 2 * size_of::<usize>();

/// What is asked of the server for a layout of at most that alignment: a multiple of it.
#[inline]
fn padded(size: usize, layout: Layout) -> usize {
    size.next_multiple_of(layout.align())
}

// SAFETY: the functions below are malloc, calloc, realloc and free, with their guarantees: those of the server, or of
// the system in unit tests. What has to be aligned further is put into a larger allocation ([`wide`]). Neither unwinds,
// and counting allocates nothing.
unsafe impl GlobalAlloc for ServerAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGNED {
            // SAFETY: the caller's layout.
            return unsafe { wide::alloc(layout) };
        }
        // SAFETY: the size is not 0, as the caller promises.
        counted(unsafe { server::alloc(padded(layout.size(), layout)) })
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGNED {
            // SAFETY: the caller's layout; what comes back has its size, unless it is null.
            return unsafe {
                let ptr = wide::alloc(layout);
                if !ptr.is_null() {
                    ptr.write_bytes(0, layout.size());
                }
                ptr
            };
        }
        // SAFETY: as in `alloc`.
        counted(unsafe { server::alloc_zeroed(padded(layout.size(), layout)) })
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from here with this layout, and is live: so is the server's that it is in.
        unsafe {
            let ptr = if layout.align() > ALIGNED { wide::allocated(ptr) } else { ptr };
            count(-server::usable(ptr));
            server::free(ptr);
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() > ALIGNED {
            // SAFETY: the caller's pointer, layout and size.
            return unsafe { wide::realloc(self, ptr, layout, size) };
        }
        // SAFETY: the pointer came from here with this layout and is live; if it cannot grow it stays.
        unsafe {
            let before = server::usable(ptr);
            let moved = server::realloc(ptr, padded(size, layout));
            if !moved.is_null() {
                count(server::usable(moved) - before);
            }
            moved
        }
    }
}

/// Counts an allocation, if it could be made.
#[inline]
fn counted(ptr: *mut u8) -> *mut u8 {
    if !ptr.is_null() {
        // SAFETY: the pointer came from the server, and is live.
        count(unsafe { server::usable(ptr) });
    }
    ptr
}

/// Allocations that have to be aligned further than the server's: each is in one that is larger, whose address stands
/// right before it.
mod wide {
    use std::alloc::{GlobalAlloc, Layout};

    use super::{counted, server};

    /// # Safety
    /// As [`GlobalAlloc::alloc`].
    pub unsafe fn alloc(layout: Layout) -> *mut u8 {
        let Some(size) = layout.size().checked_add(layout.align()) else { return std::ptr::null_mut() };
        // SAFETY: the size is not 0. The server aligns to the size of an address at least, and the layout further:
        // between the beginning and the next aligned address there is room for an address.
        unsafe {
            let whole = counted(server::alloc(size));
            if whole.is_null() {
                return whole;
            }
            let ptr = whole.add(layout.align() - whole.addr() % layout.align());
            debug_assert!(ptr.addr() - whole.addr() >= size_of::<*mut u8>());
            ptr.cast::<*mut u8>().sub(1).write(whole);
            ptr
        }
    }

    /// The allocation that this one is in.
    ///
    /// # Safety
    /// The pointer must come from [`alloc`] and be live.
    pub unsafe fn allocated(ptr: *mut u8) -> *mut u8 {
        // SAFETY: `alloc` has written it.
        unsafe { ptr.cast::<*mut u8>().sub(1).read() }
    }

    /// # Safety
    /// As [`GlobalAlloc::realloc`].
    pub unsafe fn realloc(to: &super::ServerAlloc, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(size, layout.align()) else { return std::ptr::null_mut() };
        // SAFETY: both are live, and do not overlap; the old one came from here with its layout.
        unsafe {
            let moved = alloc(new);
            if !moved.is_null() {
                ptr.copy_to_nonoverlapping(moved, layout.size().min(size));
                to.dealloc(ptr, layout);
            }
            moved
        }
    }
}

/// The server's functions. They are set before anything is allocated: without them the process is not a server, and
/// ends.
#[cfg(not(test))]
mod server {
    use redis_module::raw;

    /// # Safety
    /// The size must not be 0.
    pub unsafe fn alloc(size: usize) -> *mut u8 {
        // SAFETY: takes any size.
        unsafe { raw::RedisModule_Alloc.map_or_else(|| std::process::abort(), |alloc| alloc(size)) }.cast()
    }

    /// # Safety
    /// As [`alloc`].
    pub unsafe fn alloc_zeroed(size: usize) -> *mut u8 {
        // SAFETY: takes any size.
        unsafe { raw::RedisModule_Calloc.map_or_else(|| std::process::abort(), |calloc| calloc(1, size)) }.cast()
    }

    /// # Safety
    /// The pointer must come from here and be live.
    pub unsafe fn realloc(ptr: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: a live pointer of the server.
        unsafe { raw::RedisModule_Realloc.map_or_else(|| std::process::abort(), |realloc| realloc(ptr.cast(), size)) }
            .cast()
    }

    /// # Safety
    /// The pointer must come from here, be live, and not be used afterwards.
    pub unsafe fn free(ptr: *mut u8) {
        // SAFETY: a live pointer of the server.
        unsafe { raw::RedisModule_Free.map_or_else(|| std::process::abort(), |free| free(ptr.cast())) }
    }

    /// What an allocation takes, bytes.
    ///
    /// # Safety
    /// The pointer must come from here and be live.
    pub unsafe fn usable(ptr: *mut u8) -> i64 {
        // SAFETY: a live pointer of the server.
        unsafe { raw::RedisModule_MallocUsableSize.map_or(0, |size| size(ptr.cast()) as i64) }
    }
}

/// The system's functions.
#[cfg(test)]
mod server {
    pub unsafe fn alloc(size: usize) -> *mut u8 {
        // SAFETY: takes any size.
        unsafe { libc::malloc(size) }.cast()
    }

    pub unsafe fn alloc_zeroed(size: usize) -> *mut u8 {
        // SAFETY: takes any size.
        unsafe { libc::calloc(1, size) }.cast()
    }

    pub unsafe fn realloc(ptr: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: a live pointer of malloc's.
        unsafe { libc::realloc(ptr.cast(), size) }.cast()
    }

    pub unsafe fn free(ptr: *mut u8) {
        // SAFETY: a live pointer of malloc's.
        unsafe { libc::free(ptr.cast()) }
    }

    pub unsafe fn usable(ptr: *mut u8) -> i64 {
        // SAFETY: a live pointer of malloc's.
        unsafe { libc::malloc_usable_size(ptr.cast()) as i64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_asked_for_multiples_of_the_alignment() {
        let layout = Layout::from_size_align(36, 16).expect("a layout");
        assert_eq!((padded(36, layout), padded(48, layout), padded(49, layout)), (48, 48, 64));
    }

    #[test]
    fn every_alignment_is_kept_and_counted() {
        for align in [1, 8, 16, 32, 64, 4096] {
            for size in [1, 24, 100, 5_000] {
                let (layout, before) = (Layout::from_size_align(size, align).expect("a layout"), net());
                // SAFETY: the layout is not empty; the pointer is used as far as the layout goes, and freed once.
                unsafe {
                    let ptr = ServerAlloc.alloc_zeroed(layout);
                    assert!(!ptr.is_null() && ptr.addr().is_multiple_of(align), "{size} bytes at {align}");
                    assert!(std::slice::from_raw_parts(ptr, size).iter().all(|byte| *byte == 0));
                    assert!(net() - before >= size as i64);
                    ptr.add(size - 1).write(7);
                    let ptr = ServerAlloc.realloc(ptr, layout, 2 * size);
                    assert!(ptr.addr().is_multiple_of(align), "{size} bytes at {align}, grown");
                    assert_eq!(ptr.add(size - 1).read(), 7);
                    ServerAlloc.dealloc(ptr, Layout::from_size_align(2 * size, align).expect("a layout"));
                }
                assert_eq!(net(), before);
            }
        }
    }
}
