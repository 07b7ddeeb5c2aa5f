//! The machine's frames: one buddy allocator, and a stack of single frames at each CPU.
//!
//! The kernel has a reserve that user memory does not get, so that its own allocations, which are
//! bounded by what user programs were admitted, practically never fail. It is one contiguous block,
//! which user memory cannot break into single frames: the kernel also needs several in a row.

use super::{
    buddy::Buddy,
    meta::{self, Meta},
};
use crate::cpu::{self, MAX_CPUS};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use spin::Mutex;

/// Frames a CPU keeps at most, and how many go to and fro at once.
const KEPT: usize = 256;
const BATCH: usize = 128;

/// The reserve is this part of memory, within these bounds (in frames).
const RESERVE_PART: usize = 32;
const RESERVE_BOUNDS: (usize, usize) = (256, 4096);

#[derive(Debug)]
#[repr(align(64))]
struct Stack {
    len: usize,
    frames: [u32; KEPT],
}

static BUDDY: Mutex<Buddy> = Mutex::new(Buddy::empty());
/// The reserve. Lock order: a stack, `BUDDY`; this one alone.
static RESERVE: Mutex<Buddy> = Mutex::new(Buddy::empty());
static RESERVE_START: AtomicU32 = AtomicU32::new(0);
static RESERVE_LEN: AtomicU32 = AtomicU32::new(0);
static STACKS: [Mutex<Stack>; MAX_CPUS] =
    [const { Mutex::new(Stack { len: 0, frames: [0; KEPT] }) }; MAX_CPUS];
static TOTAL: AtomicUsize = AtomicUsize::new(0);
/// What the buddy allocator has free, readable without its lock.
static FREE: AtomicUsize = AtomicUsize::new(0);

/// On whose behalf a frame is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A program's: fails when only the reserve is left.
    User,
    /// The kernel's.
    #[cfg(any(target_os = "none", test))]
    Kernel,
}

/// Starts with these records and these ranges of free frames; once. Frame 0 must be in none.
pub(crate) fn init(records: &'static [Meta], free: impl Iterator<Item = (u32, u32)>) {
    meta::install(records);
    let mut buddy = BUDDY.lock();
    *buddy = Buddy::new(records);
    for (start, end) in free {
        buddy.release_range(start, end);
    }
    let total = buddy.free();
    TOTAL.store(total, Ordering::Relaxed);
    let wanted = (total / RESERVE_PART).clamp(RESERVE_BOUNDS.0, RESERVE_BOUNDS.1);
    if let Some((start, order)) =
        (1..=wanted.ilog2() as usize).rev().find_map(|order| Some((buddy.allocate(order)?, order)))
    {
        let mut reserve = RESERVE.lock();
        *reserve = Buddy::of_block(records, order);
        reserve.release_range(start, start + (1 << order));
        RESERVE_START.store(start, Ordering::Relaxed);
        RESERVE_LEN.store(1 << order, Ordering::Relaxed);
    }
    FREE.store(buddy.free(), Ordering::Relaxed);
}

/// Whether a frame belongs to the reserve.
#[inline]
fn is_reserved(frame: u32) -> bool {
    frame.wrapping_sub(RESERVE_START.load(Ordering::Relaxed)) < RESERVE_LEN.load(Ordering::Relaxed)
}

/// Adds frames that were in use since boot.
#[cfg(target_os = "none")]
pub(crate) fn add(start: u32, end: u32) {
    TOTAL.fetch_add((end - start) as usize, Ordering::Relaxed);
    let mut buddy = BUDDY.lock();
    buddy.release_range(start, end);
    FREE.store(buddy.free(), Ordering::Relaxed);
}

/// Takes one frame; its contents are anything.
#[inline]
pub(crate) fn take(purpose: Purpose) -> Option<u32> {
    #[cfg(not(target_os = "none"))]
    crate::machine::memory::ensure();
    let mut stack = STACKS[cpu::current().index()].lock();
    if stack.len == 0 && !refill(&mut stack) {
        drop(stack);
        return take_last(purpose);
    }
    stack.len -= 1;
    Some(stack.frames[stack.len])
}

/// Gives one frame back.
#[inline]
pub(crate) fn give(frame: u32) {
    if is_reserved(frame) {
        return give_reserved(frame);
    }
    let mut stack = STACKS[cpu::current().index()].lock();
    if stack.len == KEPT {
        spill(&mut stack);
    }
    let len = stack.len;
    stack.frames[len] = frame;
    stack.len += 1;
}

#[cold]
fn give_reserved(frame: u32) {
    RESERVE.lock().release(frame, 0);
}

#[cold]
fn refill(stack: &mut Stack) -> bool {
    let mut buddy = BUDDY.lock();
    while stack.len < BATCH {
        // A block of the right size gives neighbours, which join again when they come back.
        let Some(frame) = buddy.allocate(0) else { break };
        stack.frames[stack.len] = frame;
        stack.len += 1;
    }
    FREE.store(buddy.free(), Ordering::Relaxed);
    // The frame next handed out is the lowest, so that what follows is ascending.
    let len = stack.len;
    stack.frames[..len].reverse();
    len > 0
}

/// Looks for a frame in the stacks of the other CPUs, then in the reserve.
#[cold]
fn take_last(purpose: Purpose) -> Option<u32> {
    drain();
    let mut buddy = BUDDY.lock();
    let frame = buddy.allocate(0);
    FREE.store(buddy.free(), Ordering::Relaxed);
    drop(buddy);
    if frame.is_none() && purpose != Purpose::User { RESERVE.lock().allocate(0) } else { frame }
}

#[cold]
fn spill(stack: &mut Stack) {
    let mut buddy = BUDDY.lock();
    // The oldest go: the newest are in the CPU's cache.
    for frame in &stack.frames[..BATCH] {
        buddy.release(*frame, 0);
    }
    stack.frames.copy_within(BATCH.., 0);
    stack.len -= BATCH;
    FREE.store(buddy.free(), Ordering::Relaxed);
}

/// Moves what all CPUs keep back to the buddy allocator.
fn drain() {
    for stack in &STACKS {
        let mut stack = stack.lock();
        let mut buddy = BUDDY.lock();
        for frame in &stack.frames[..stack.len] {
            buddy.release(*frame, 0);
        }
        stack.len = 0;
        FREE.store(buddy.free(), Ordering::Relaxed);
    }
}

#[cfg(any(target_os = "none", test))]
/// Takes `count` contiguous frames for the kernel; the first is a multiple of the next power of two.
pub(crate) fn take_run(count: usize) -> Option<u32> {
    #[cfg(not(target_os = "none"))]
    crate::machine::memory::ensure();
    let order = count.next_power_of_two().ilog2() as usize;
    if order >= super::buddy::ORDERS {
        return None;
    }
    take_run_of(&BUDDY, count, order)
        .or_else(|| {
            drain();
            take_run_of(&BUDDY, count, order)
        })
        .or_else(|| take_run_of(&RESERVE, count, order))
}

#[cfg(any(target_os = "none", test))]
fn take_run_of(from: &Mutex<Buddy>, count: usize, order: usize) -> Option<u32> {
    let mut buddy = from.lock();
    let first = buddy.allocate(order)?;
    let end = first + (1 << order);
    buddy.release_range(first + u32::try_from(count).ok()?, end);
    note_free(from, &buddy);
    Some(first)
}

#[cfg(any(target_os = "none", test))]
/// Gives a run back, or a part of one.
pub(crate) fn give_run(first: u32, count: usize) {
    let Ok(count) = u32::try_from(count) else { return };
    let to = if is_reserved(first) { &RESERVE } else { &BUDDY };
    let mut buddy = to.lock();
    buddy.release_range(first, first + count);
    note_free(to, &buddy);
}

/// Keeps what can be read without the lock; the reserve has nothing of the kind.
#[cfg(any(target_os = "none", test))]
fn note_free(of: &Mutex<Buddy>, buddy: &Buddy) {
    if core::ptr::eq(of, &BUDDY) {
        FREE.store(buddy.free(), Ordering::Relaxed);
    }
}

/// All frames.
pub(crate) fn total() -> usize {
    #[cfg(not(target_os = "none"))]
    crate::machine::memory::ensure();
    TOTAL.load(Ordering::Relaxed)
}

/// Free frames, exactly at the moment when each stack was looked at.
pub(crate) fn free() -> usize {
    let kept: usize = STACKS.iter().map(|stack| stack.lock().len).sum();
    let reserved = RESERVE.lock().free();
    FREE.load(Ordering::Relaxed) + kept + reserved
}

/// Frames that user memory may still take; cheap, not counting what the CPUs keep.
pub(crate) fn available() -> usize {
    FREE.load(Ordering::Relaxed)
}

/// Frames kept back from user memory.
pub(crate) fn reserve() -> usize {
    RESERVE_LEN.load(Ordering::Relaxed) as usize
}
