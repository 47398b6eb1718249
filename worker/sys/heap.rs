//! Rust's allocator: the C library's, with two additions. A job with no memory left can say so, and what a worker
//! allocates in its first steps stands close together.
//!
//! A forked process shares its parent's pages until it writes to them. Blocks from the C library come from gaps all over
//! the parent's heap, and each costs the copy of a page, several times as long as what is done there. So a worker has a
//! `Scratch`: a few pages that nobody has touched, given out in order.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::PAGE;

/// See [`on_exhaustion`].
static ACTION: OnceLock<fn()> = OnceLock::new();

/// Sets what a job does when there is no memory left. Without it the process would abort, which does not tell
/// why. The action must not allocate.
pub fn on_exhaustion(action: fn()) {
    let _ = ACTION.set(action);
}

fn checked(block: *mut u8) -> *mut u8 {
    if block.is_null()
        && let Some(action) = ACTION.get()
    {
        action();
    }
    block
}

/// Bytes of a worker's scratch: more than a usual job takes of it.
const SCRATCH: usize = 4 * PAGE;

/// A piece of memory given out from its start to its end. Blocks do not come back, except the last one.
struct Scratch {
    /// Where it begins; 0 where there is none.
    start: AtomicUsize,
    /// Where the next block begins; 0 until it is opened.
    next: AtomicUsize,
}

static OF_THIS_PROCESS: Scratch = Scratch::new();

/// Sets memory apart for the scratch of each process that is forked from now on. Until one calls [`open_scratch`],
/// nothing changes.
pub fn prepare_scratch() {
    OF_THIS_PROCESS.prepare();
}

/// Takes the next blocks from the scratch that the parent has prepared.
pub fn open_scratch() {
    OF_THIS_PROCESS.open();
}

impl Scratch {
    const fn new() -> Scratch {
        Scratch { start: AtomicUsize::new(0), next: AtomicUsize::new(0) }
    }

    fn prepare(&self) {
        // Nothing is written there, so it takes no memory here.
        // SAFETY: the layout has a size and an alignment.
        let block = unsafe { System.alloc(Layout::from_size_align_unchecked(SCRATCH, PAGE)) };
        self.start.store(block.expose_provenance(), Ordering::Relaxed);
    }

    fn open(&self) {
        self.next.store(self.start.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether `address` is in it.
    fn contains(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::Relaxed);
        start != 0 && (start..start + SCRATCH).contains(&address)
    }

    /// The next block; null where there is no room. Threads may ask at the same time.
    fn take(&self, layout: Layout) -> *mut u8 {
        let end = self.start.load(Ordering::Relaxed) + SCRATCH;
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            let block = next.checked_next_multiple_of(layout.align())?;
            let after = block.checked_add(layout.size())?;
            (next != 0 && after <= end).then_some(after)
        });
        match taken {
            Ok(next) => std::ptr::with_exposed_provenance_mut(next.next_multiple_of(layout.align())),
            Err(_) => std::ptr::null_mut(),
        }
    }

    /// Moves the end of the block `from..from + old` to `from + new`, if it is the last one and there is room.
    fn resize(&self, from: usize, old: usize, new: usize) -> bool {
        let end = self.start.load(Ordering::Relaxed) + SCRATCH;
        from.checked_add(new).is_some_and(|after| {
            let ordering = Ordering::Relaxed;
            after <= end && self.next.compare_exchange(from + old, after, ordering, ordering).is_ok()
        })
    }
}

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: a block is one of the scratch, which are apart from each other and never given out twice while they are in use, or
// a call goes to the system's allocator as it came, and its result back. The address of a block tells which.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = OF_THIS_PROCESS.take(layout);
        if !block.is_null() {
            return block;
        }
        // SAFETY: as the caller promises.
        checked(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if OF_THIS_PROCESS.contains(block.addr()) {
            OF_THIS_PROCESS.resize(block.addr(), layout.size(), 0);
            return;
        }
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = OF_THIS_PROCESS.take(layout);
        if !block.is_null() {
            // SAFETY: the block is that long. Another may have been there before.
            unsafe { block.write_bytes(0, layout.size()) };
            return block;
        }
        // SAFETY: as the caller promises.
        checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !OF_THIS_PROCESS.contains(block.addr()) {
            // SAFETY: as the caller promises.
            return checked(unsafe { System.realloc(block, layout, size) });
        }
        if OF_THIS_PROCESS.resize(block.addr(), layout.size(), size) {
            return block;
        }
        // SAFETY: as the caller promises, `size` is a size for this alignment and `block` is of `layout`.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn a_scratch_gives_nothing_until_it_is_open() {
        let scratch = Scratch::new();
        assert!(scratch.take(layout(8, 8)).is_null());
        scratch.prepare();
        assert!(scratch.take(layout(8, 8)).is_null());
        scratch.open();
        assert!(!scratch.take(layout(8, 8)).is_null());
    }

    #[test]
    fn its_blocks_are_aligned_apart_and_inside() {
        let scratch = Scratch::new();
        scratch.prepare();
        scratch.open();
        let mut after = scratch.start.load(Ordering::Relaxed);
        for (size, align) in [(1, 1), (8, 8), (3, 1), (100, 64), (7, 2), (4096, 4096), (16, 16)] {
            let block = scratch.take(layout(size, align)).addr();
            assert!(block >= after && block.is_multiple_of(align) && scratch.contains(block), "{size}");
            after = block + size;
            assert!(scratch.contains(after - 1));
        }
        assert!(scratch.take(layout(SCRATCH, 1)).is_null());
        assert!(scratch.take(layout(usize::MAX >> 1, 1)).is_null());
        assert!(!scratch.take(layout(1, 1)).is_null(), "what was refused has taken nothing");
    }

    #[test]
    fn the_last_block_grows_shrinks_and_goes_and_others_do_not() {
        let scratch = Scratch::new();
        scratch.prepare();
        scratch.open();
        let first = scratch.take(layout(100, 4)).addr();
        let last = scratch.take(layout(100, 4)).addr();
        assert!(!scratch.resize(first, 100, 104));
        assert!(scratch.resize(last, 100, 1000));
        assert!(!scratch.resize(last, 1000, SCRATCH));
        assert!(scratch.resize(last, 1000, 10));
        assert!(scratch.resize(last, 10, 0));
        assert_eq!(scratch.take(layout(1, 1)).addr(), last);
    }

    #[test]
    fn threads_get_blocks_of_their_own() {
        let scratch = Scratch::new();
        scratch.prepare();
        scratch.open();
        let take = || {
            let mut blocks = Vec::new();
            loop {
                let block = scratch.take(layout(24, 8)).addr();
                if block == 0 {
                    return blocks;
                }
                blocks.push(block);
            }
        };
        let mut blocks: Vec<usize> = std::thread::scope(|scope| {
            let threads = [scope.spawn(take), scope.spawn(take), scope.spawn(take)];
            threads.into_iter().flat_map(|thread| thread.join().expect("it does not panic")).collect()
        });
        assert_eq!(blocks.len(), SCRATCH / 24);
        blocks.sort_unstable();
        assert!(blocks.windows(2).all(|pair| pair[1] - pair[0] == 24));
    }
}
