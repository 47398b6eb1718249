//! The allocator of the workers' Lua.
//!
//! A worker is new, so all memory that a job needs is faulted in page by page, which takes several times as long
//! as filling it (16 MiB: 9 ms in small pages, 3 in huge ones). Where the system grants huge pages on
//! request (the usual setting, `madvise`), what is large asks for them.
//!
//! | size of a block | comes from |
//! |---|---|
//! | up to [`SMALL`] | chunks that grow with the need, the later ones in huge pages; a free list for each size |
//! | up to [`LARGE`] | the C library |
//! | more | a mapping of its own, in huge pages |
//!
//! Lua gives each block back with the size that it asked for, so blocks need no header: that of a small
//! block is what makes the C library's slower and larger. Small blocks that were freed serve blocks of the
//! same size only and stay until the process ends, which is with its job.
//!
//! A job's memory limit is kept here too: what the state holds is counted, and what would go beyond is refused. Lua
//! then collects its garbage, asks again, and raises "not enough memory".

use std::ffi::c_void;
use std::ptr::null_mut;

use llib_lua::ffi::{lua_State, lua_getallocf};
use llib_lua::version;
use llib_lua::version::collector;

use llib_worker_sys as sys;

/// Sizes of small blocks are multiples of this, the alignment that Lua needs.
const GRAIN: usize = 8;
const SMALL: usize = 256;
/// From here on a block has a mapping of its own: that of a huge page.
const LARGE: usize = sys::HUGE_PAGE;
/// Of the first chunk; each further one is twice as large, until it is a huge page.
const FIRST_CHUNK: usize = 16 << 10;

/// Where a block of some size comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Arena,
    Library,
    Mapping,
}

fn source(len: usize) -> Source {
    match len {
        _ if len <= SMALL => Source::Arena,
        _ if len < LARGE => Source::Library,
        _ => Source::Mapping,
    }
}

/// The small blocks.
struct Arena {
    /// For each size the last block that was freed; it holds the address of the one before.
    free: [*mut c_void; SMALL / GRAIN + 1],
    next: *mut u8,
    left: usize,
    chunk: usize,
    /// What the state holds, of whatever source.
    used: usize,
    limit: usize,
    /// The block that was refused last; 0 if none was.
    refused: usize,
}

/// How a job stands to its memory limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Bytes that the state holds.
    pub(super) used: usize,
    /// Bytes that it may hold, if there is a limit.
    pub(super) limit: Option<usize>,
    /// Length of the block that was refused last, if one was.
    pub(super) refused: Option<usize>,
}

impl Arena {
    const fn new() -> Arena {
        Arena {
            free: [null_mut(); SMALL / GRAIN + 1],
            next: null_mut(),
            left: 0,
            chunk: FIRST_CHUNK,
            used: 0,
            limit: usize::MAX,
            refused: 0,
        }
    }

    #[inline]
    fn take(&mut self, class: usize) -> *mut c_void {
        let block = self.free[class];
        if !block.is_null() {
            // SAFETY: a freed block holds the next one's address, see `give`.
            self.free[class] = unsafe { *block.cast::<*mut c_void>() };
            return block;
        }
        let len = class * GRAIN;
        if self.left < len && !self.grow() {
            return null_mut();
        }
        let block = self.next;
        // SAFETY: `left` bytes from `next` on belong to the chunk, and `len` is no more.
        self.next = unsafe { block.add(len) };
        self.left -= len;
        block.cast()
    }

    /// Starts a new chunk; what was left of the old one is less than a small block.
    #[cold]
    fn grow(&mut self) -> bool {
        let chunk = if self.chunk < sys::HUGE_PAGE {
            // SAFETY: the call takes a number.
            unsafe { libc::malloc(self.chunk) }
        } else {
            sys::map_huge(self.chunk)
        };
        if chunk.is_null() {
            return false;
        }
        (self.next, self.left) = (chunk.cast(), self.chunk);
        self.chunk = (self.chunk * 2).min(sys::HUGE_PAGE);
        true
    }

    /// Has all further small blocks come from pages that nothing stands in yet, one after the other.
    fn start_afresh(&mut self) {
        self.free = [null_mut(); SMALL / GRAIN + 1];
        let skipped = self.next.align_offset(sys::PAGE);
        if self.left < skipped + FIRST_CHUNK && !self.grow() {
            return;
        }
        let skipped = self.next.align_offset(sys::PAGE).min(self.left);
        // SAFETY: the chunk has these bytes left.
        self.next = unsafe { self.next.add(skipped) };
        self.left -= skipped;
    }

    /// # Safety
    /// `block` came from `take` for this class and is not used any more.
    #[inline]
    unsafe fn give(&mut self, block: *mut c_void, class: usize) {
        // SAFETY: as demanded; every block has room for an address and its alignment.
        unsafe { *block.cast::<*mut c_void>() = self.free[class] };
        self.free[class] = block;
    }
}

fn class(len: usize) -> usize {
    len.div_ceil(GRAIN)
}

/// A new state that gets its memory here, or where its version allows no other source, from there; null if there
/// is none.
pub(super) fn new_state() -> *mut lua_State {
    // The state needs it until the process ends.
    let arena = Box::leak(Box::new(Arena::new()));
    // SAFETY: the allocator serves any request. Blocks that come from the C library, before it was there, end up in
    // the right place too: small ones are as good for a free list as any, since their room is a multiple of the
    // grain, and larger ones are freed as what they are.
    unsafe {
        let lua = version::state::new(allocate, (&raw mut *arena).cast());
        if !lua.is_null() {
            arena.used = collector::bytes(lua);
        }
        lua
    }
}

/// The arena of a state; none where its version has a source of its own for memory.
unsafe fn arena<'a>(lua: *mut lua_State) -> Option<&'a mut Arena> {
    let mut arena = null_mut();
    // SAFETY: every state here comes from `new_state`, and callers run while no call of the allocator does.
    unsafe {
        lua_getallocf(lua, &mut arena);
        version::TAKES_ALLOCATOR.then(|| &mut *arena.cast::<Arena>())
    }
}

/// Prepares a state that is done for now for processes that are forked with it: what they allocate comes from few pages,
/// instead of from gaps all over the heap, each of which would cost them the copy of a page. The gaps are given up.
///
/// # Safety
/// `lua` is a state of [`new_state`].
pub(super) unsafe fn settle(lua: *mut lua_State) {
    // SAFETY: as demanded.
    if let Some(arena) = unsafe { arena(lua) } {
        arena.start_afresh();
    }
}

/// Sets how many bytes the state may hold from now on. It may hold more already; then it gets no more.
///
/// # Safety
/// `lua` is a state of [`new_state`].
pub(super) unsafe fn limit(lua: *mut lua_State, bytes: u64) {
    // SAFETY: as demanded.
    if let Some(arena) = unsafe { arena(lua) } {
        arena.limit = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
}

/// How the state stands to its limit.
///
/// # Safety
/// `lua` is a state of [`new_state`].
pub(super) unsafe fn standing(lua: *mut lua_State) -> Standing {
    // SAFETY: as demanded.
    let Some(arena) = (unsafe { arena(lua) }) else {
        // SAFETY: as demanded.
        return Standing { used: unsafe { collector::bytes(lua) }, limit: None, refused: None };
    };
    let some = |value: usize, none: usize| Some(value).filter(|value| *value != none);
    Standing { used: arena.used, limit: some(arena.limit, usize::MAX), refused: some(arena.refused, 0) }
}

/// See lua_Alloc in Lua's manual.
///
/// # Safety
/// `arena` is one; `block` is null, or of `old` bytes and from an earlier call.
unsafe extern "C" fn allocate(arena: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: as demanded; Lua makes one call at a time.
    unsafe {
        let arena = &mut *arena.cast::<Arena>();
        // Without a block, `old` says what the new one is for.
        let held = if block.is_null() { 0 } else { old };
        if new > held && arena.used.saturating_add(new - held) > arena.limit {
            arena.refused = new;
            return null_mut();
        }
        let placed = place(arena, block, held, new);
        if placed.is_null() && new > 0 {
            arena.refused = new;
        } else {
            arena.used = arena.used.wrapping_add(new).wrapping_sub(held);
        }
        placed
    }
}

/// # Safety
/// As for [`allocate`]; `old` is 0 where there is no block.
#[inline]
unsafe fn place(arena: &mut Arena, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: as demanded.
    unsafe {
        if block.is_null() {
            return if new == 0 { null_mut() } else { obtain(arena, new) };
        }
        if new == 0 {
            release(arena, block, old);
            return null_mut();
        }
        match (source(old), source(new)) {
            (Source::Arena, Source::Arena) if class(old) == class(new) => block,
            (Source::Library, Source::Library) => libc::realloc(block, new),
            (Source::Mapping, Source::Mapping) => {
                let moved = sys::remap(block, old, new);
                // A sandbox has no mremap.
                if moved.is_null() { copy(arena, block, old, new) } else { moved }
            }
            _ => copy(arena, block, old, new),
        }
    }
}

/// Moves a block to a new one of another size.
///
/// # Safety
/// As for [`allocate`], with a block.
unsafe fn copy(arena: &mut Arena, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: both blocks are as long as is copied.
    unsafe {
        let fresh = obtain(arena, new);
        if !fresh.is_null() {
            std::ptr::copy_nonoverlapping(block.cast::<u8>(), fresh.cast(), old.min(new));
            release(arena, block, old);
        }
        fresh
    }
}

#[inline]
fn obtain(arena: &mut Arena, len: usize) -> *mut c_void {
    match source(len) {
        Source::Arena => arena.take(class(len)),
        // SAFETY: the call takes a number.
        Source::Library => unsafe { libc::malloc(len) },
        Source::Mapping => sys::map_huge(len),
    }
}

/// # Safety
/// `block` is one of `len` bytes from [`allocate`], not used any more.
#[inline]
unsafe fn release(arena: &mut Arena, block: *mut c_void, len: usize) {
    // SAFETY: as demanded; its size tells where it came from.
    unsafe {
        match source(len) {
            Source::Arena => arena.give(block, class(len)),
            Source::Library => libc::free(block),
            Source::Mapping => sys::unmap(block.cast::<u8>()..block.cast::<u8>().wrapping_add(len)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_contents_whatever_size_they_get() {
        let mut arena = Arena::new();
        let sizes = [
            1,
            8,
            9,
            100,
            SMALL,
            SMALL + 1,
            20,
            LARGE - 1,
            LARGE,
            LARGE + 1,
            5 * LARGE + 17,
            3 * LARGE,
            4096,
            64,
            LARGE,
            8,
            0,
        ];
        let mut block: *mut c_void = null_mut();
        let mut old = 0;
        for new in sizes {
            // SAFETY: the block of the last round with its size; only bytes inside it are touched.
            unsafe {
                block = allocate((&raw mut arena).cast(), block, old, new);
                assert_eq!(block.is_null(), new == 0);
                if new > 0 {
                    assert!(block.addr().is_multiple_of(GRAIN));
                    let bytes = std::slice::from_raw_parts_mut(block.cast::<u8>(), new);
                    assert!(bytes[..old.min(new)].iter().all(|byte| *byte == 7));
                    bytes.fill(7);
                }
            }
            old = new;
        }
    }

    #[test]
    fn small_blocks_never_overlap_and_freed_ones_are_used_again() {
        let mut arena = Arena::new();
        let mut blocks = Vec::new();
        for round in 0..50_000 {
            let class = round % 33;
            if class == 0 {
                continue;
            }
            let block = arena.take(class).cast::<u8>();
            // SAFETY: the block is `class` grains long.
            unsafe { block.write_bytes(round as u8, class * GRAIN) };
            blocks.push((block, class, round as u8));
        }
        for (block, class, byte) in &blocks {
            // SAFETY: as above; nobody has given it back.
            let bytes = unsafe { std::slice::from_raw_parts(*block, class * GRAIN) };
            assert!(bytes.iter().all(|found| found == byte));
        }
        let (last, class, _) = blocks[blocks.len() - 1];
        // SAFETY: it is not used any more.
        unsafe { arena.give(last.cast(), class) };
        assert_eq!(arena.take(class).cast::<u8>(), last);
    }

    #[test]
    fn a_limit_refuses_what_goes_beyond_it_and_counts_what_is_given_back() {
        let mut arena = Arena { limit: 10_000, ..Arena::new() };
        let mut call = |block, old, new| {
            // SAFETY: blocks come from earlier calls, with their sizes.
            unsafe { allocate((&raw mut arena).cast(), block, old, new) }
        };
        let large = call(null_mut(), 0, 9_000);
        assert!(!large.is_null());
        // For a new block the old size is a type.
        assert!(call(null_mut(), 5_000, 1_001).is_null());
        let small = call(null_mut(), 5_000, 1_000);
        assert!(!small.is_null());
        assert!(call(small, 1_000, 1_001).is_null());
        let large = call(large, 9_000, 100);
        let more = call(null_mut(), 0, 8_900);
        assert!(!more.is_null());
        call(more, 8_900, 0);
        call(small, 1_000, 0);
        call(large, 100, 0);
        assert_eq!((arena.used, arena.refused), (0, 1_001));
    }
}
