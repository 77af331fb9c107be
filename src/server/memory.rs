//! The module's allocator: the server's own, counted, so that MEMORY USAGE knows what each store takes.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

#[cfg(not(test))]
use redis_module::raw;

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
    // A thread that ends frees its own storage last: nothing to count any more.
    let _ = NET.try_with(|net| net.set(net.get() + bytes));
}

/// The server's allocator. In unit tests, which run without a server, the system's.
pub struct ServerAlloc;

/// The server's allocator aligns to 16 bytes, or to the largest power of two that divides the size.
#[cfg(not(test))]
fn padded(layout: Layout) -> usize {
    layout.size().next_multiple_of(layout.align())
}

#[cfg(not(test))]
fn usable(ptr: *mut u8) -> i64 {
    // SAFETY: `ptr` came from RM_Alloc or RM_Realloc and is live; the function is set before any allocation.
    unsafe { raw::RedisModule_MallocUsableSize.map_or(0, |size| size(ptr.cast()) as i64) }
}

// SAFETY: RM_Alloc, RM_Realloc and RM_Free are jemalloc's or libc's, with their guarantees; sizes are padded to the
// alignment, which both honour for such sizes. Allocating before the server's API is there aborts.
#[cfg(not(test))]
unsafe impl GlobalAlloc for ServerAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(alloc) = raw::RedisModule_Alloc else { std::process::abort() };
        let ptr: *mut u8 = alloc(padded(layout)).cast();
        count(usable(ptr));
        ptr
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(calloc) = raw::RedisModule_Calloc else { std::process::abort() };
        let ptr: *mut u8 = calloc(1, padded(layout)).cast();
        count(usable(ptr));
        ptr
    }

    unsafe fn dealloc(&self, ptr: *mut u8, _: Layout) {
        count(-usable(ptr));
        if let Some(free) = raw::RedisModule_Free {
            free(ptr.cast());
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(realloc) = raw::RedisModule_Realloc else { std::process::abort() };
        count(-usable(ptr));
        let ptr: *mut u8 = realloc(ptr.cast(), size.next_multiple_of(layout.align())).cast();
        count(usable(ptr));
        ptr
    }
}

// SAFETY: hands everything to the system's allocator.
#[cfg(test)]
unsafe impl GlobalAlloc for ServerAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let ptr = std::alloc::System.alloc(layout);
        count(layout.size() as i64);
        ptr
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        std::alloc::System.dealloc(ptr, layout);
    }
}
