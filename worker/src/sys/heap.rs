//! Rust's allocator, which is the C library's, and what happens in a job when it has nothing more to give.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;

/// See [`on_exhaustion`].
static ACTION: OnceLock<fn()> = OnceLock::new();

/// Sets what a job does when there is no memory left. Without it the process would abort, which does not tell
/// why. The action must not allocate.
pub(crate) fn on_exhaustion(action: fn()) {
    let _ = ACTION.set(action);
}

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

fn checked(block: *mut u8) -> *mut u8 {
    if block.is_null()
        && let Some(action) = ACTION.get()
    {
        action();
    }
    block
}

// SAFETY: every call goes to the system's allocator as it came, and its result back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        checked(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        checked(unsafe { System.realloc(block, layout, size) })
    }
}
