//! The kernel heap: objects of a few sizes cut from blocks of frames.
//!
//! Each CPU keeps a short list of free objects of each size, its *magazine*, and needs no lock for
//! it. Magazines are filled from and emptied into the blocks in batches, under the size's lock.
//! What is larger than the largest size takes whole frames.
//!
//! A block's free objects are linked through their first word. The record of its first frame holds
//! the list's head, how many objects are out, and the links of the list of blocks with free ones.

use crate::{
    PAGE_SIZE, PhysAddr,
    frame::{
        self, HeapStats, meta,
        pool::{self, Purpose},
    },
    machine::memory,
};
use core::{
    alloc::Layout,
    cell::Cell,
    ptr,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};
use spin::Mutex;

/// Object sizes. A power of two is aligned to itself, 3 * 2^n to 2^n; nothing to less than 16.
const SIZES: [usize; CLASSES] =
    [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192];
const CLASSES: usize = 16;
const LARGEST: usize = SIZES[CLASSES - 1];

/// The class of a size up to 2 KiB, by the size in units of 16 bytes.
const SMALL: [u8; 129] = {
    let mut table = [0; 129];
    let (mut units, mut class) = (0, 0);
    while units < table.len() {
        if units * 16 > SIZES[class as usize] {
            class += 1;
        }
        table[units] = class;
        units += 1;
    }
    table
};

/// The order of a class's blocks: one frame wherever objects fill it well, since there always is
/// one as long as there is memory at all, and a pair of frames there may not be.
const fn block_order(class: usize) -> u32 {
    match SIZES[class] {
        1536 | 8192 => 1,
        _ => 0,
    }
}

/// Free objects that a magazine holds at most.
const fn limit(class: usize) -> u32 {
    match SIZES[class] {
        0..=256 => 64,
        257..=1024 => 24,
        1025..=2048 => 12,
        _ => 6,
    }
}

/// The class for a layout; `None` if it takes whole frames.
#[inline]
fn class_of(layout: Layout) -> Option<usize> {
    let size = if layout.align() <= 16 {
        layout.size()
    } else {
        layout.size().max(layout.align()).next_power_of_two()
    };
    if size <= 2048 {
        return Some(SMALL[size.div_ceil(16)] as usize);
    }
    match size {
        0..=4096 => Some(CLASSES - 2),
        4097..=LARGEST => Some(CLASSES - 1),
        _ => None,
    }
}

/// A free object: the address of the next, or null.
type Object = *mut u8;

#[inline]
fn next(object: Object) -> Object {
    // SAFETY: a free object is ours, at least 16 bytes long, and its first word is the link.
    unsafe { object.cast::<Object>().read() }
}

#[inline]
fn set_next(object: Object, next: Object) {
    // SAFETY: as in `next`.
    unsafe { object.cast::<Object>().write(next) };
}

/// The free objects of one size at one CPU, which alone changes them; others read the length.
#[derive(Debug)]
struct Magazine {
    head: Cell<Object>,
    len: AtomicU32,
}

impl Magazine {
    const fn new() -> Self {
        Self { head: Cell::new(ptr::null_mut()), len: AtomicU32::new(0) }
    }

    #[inline]
    fn len(&self) -> u32 {
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    fn push(&self, object: Object) {
        set_next(object, self.head.get());
        self.head.set(object);
        self.len.store(self.len() + 1, Ordering::Relaxed);
    }

    #[inline]
    fn pop(&self) -> Option<Object> {
        let object = self.head.get();
        if object.is_null() {
            return None;
        }
        self.head.set(next(object));
        self.len.store(self.len() - 1, Ordering::Relaxed);
        Some(object)
    }
}

/// One CPU's magazines.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Magazines([Magazine; CLASSES]);

// SAFETY: the objects on the lists belong to the magazines alone.
unsafe impl Send for Magazines {}

/// What all CPUs share of one class.
struct Class {
    /// The first frame of the first block with free objects; 0 for none.
    head: u32,
    /// Blocks, with and without free objects.
    blocks: usize,
    /// Objects that are in no block: used, or in magazines.
    out: usize,
}

static BLOCKS: [Mutex<Class>; CLASSES] =
    [const { Mutex::new(Class { head: 0, blocks: 0, out: 0 }) }; CLASSES];

/// Allocations of whole frames.
static LARGE: AtomicUsize = AtomicUsize::new(0);

/// Calls `each` for each size, and last for what takes whole frames. `kept` counts in the magazines
/// of all CPUs.
#[cfg_attr(test, allow(dead_code, reason = "the magazines are the bare machine's"))]
pub(crate) fn stats(
    kept: impl Fn(&dyn Fn(&Magazines) -> usize) -> usize,
    each: &mut dyn FnMut(&HeapStats),
) {
    for (number, class) in BLOCKS.iter().enumerate() {
        let (blocks, out) = {
            let class = class.lock();
            (class.blocks, class.out)
        };
        let block_frames = 1 << block_order(number);
        each(&HeapStats {
            size: SIZES[number],
            used: out.saturating_sub(kept(&|magazines| magazines.0[number].len() as usize)),
            objects: blocks * (block_frames * PAGE_SIZE / SIZES[number]),
            blocks,
            block_frames,
        });
    }
    let used = LARGE.load(Ordering::Relaxed);
    each(&HeapStats { used, objects: used, ..HeapStats::default() });
}

impl Magazines {
    pub(crate) const fn new() -> Self {
        Self([const { Magazine::new() }; CLASSES])
    }

    /// Memory for `layout`, or null. The contents are anything.
    #[inline]
    pub(crate) fn allocate(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else { return allocate_frames(layout) };
        let magazine = &self.0[class];
        match magazine.pop() {
            Some(object) => object,
            None => {
                fill(magazine, class);
                magazine.pop().unwrap_or(ptr::null_mut())
            }
        }
    }

    /// Takes memory back.
    ///
    /// # Safety
    /// `object` came from [`allocate`](Self::allocate) of some magazines, with the same layout, and
    /// nobody uses it any more.
    #[inline]
    pub(crate) unsafe fn release(&self, object: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else { return release_frames(object, layout) };
        let magazine = &self.0[class];
        magazine.push(object);
        if magazine.len() > limit(class) {
            empty(magazine, class, limit(class) / 2);
        }
    }
}

/// Whether memory of layout `old` also serves for `new`.
pub(crate) fn fits(old: Layout, new: Layout) -> bool {
    match (class_of(old), class_of(new)) {
        (Some(old), Some(new)) => old == new,
        (None, None) => frames_of(old) == frames_of(new),
        _ => false,
    }
}

fn frames_of(layout: Layout) -> usize {
    layout.size().max(layout.align()).div_ceil(PAGE_SIZE)
}

#[cold]
fn allocate_frames(layout: Layout) -> *mut u8 {
    let count = frames_of(layout);
    let Some(first) = pool::take_run(count) else { return ptr::null_mut() };
    frame::HEAP.fetch_add(count, Ordering::Relaxed);
    LARGE.fetch_add(1, Ordering::Relaxed);
    address_of(first)
}

#[cold]
fn release_frames(object: *mut u8, layout: Layout) {
    let count = frames_of(layout);
    frame::HEAP.fetch_sub(count, Ordering::Relaxed);
    LARGE.fetch_sub(1, Ordering::Relaxed);
    pool::give_run(frame_of(object), count);
}

fn address_of(frame: u32) -> *mut u8 {
    memory::pointer(PhysAddr::new(u64::from(frame) * PAGE_SIZE as u64))
}

fn frame_of(object: *mut u8) -> u32 {
    let frame = memory::address(object).get() / PAGE_SIZE as u64;
    u32::try_from(frame).expect("the object lies in a frame")
}

/// The state of a block, in the `refs` word of its record: objects out, and the index of the first
/// free object plus one.
#[derive(Clone, Copy)]
struct Block {
    first: u32,
    out: u32,
    free: u32,
}

impl Block {
    fn load(first: u32) -> Self {
        let word = meta::of(first).refs.load(Ordering::Relaxed);
        Self { first, out: word & 0xffff, free: word >> 16 }
    }

    fn store(self) {
        meta::of(self.first).refs.store(self.out | self.free << 16, Ordering::Relaxed);
    }

    fn pop(&mut self, class: usize) -> Option<Object> {
        let index = self.free.checked_sub(1)?;
        let base = address_of(self.first);
        let object = base.wrapping_add(index as usize * SIZES[class]);
        self.free = self.index_after(next(object), class);
        self.out += 1;
        Some(object)
    }

    fn push(&mut self, object: Object, class: usize) {
        let base = address_of(self.first);
        let old = match self.free {
            0 => ptr::null_mut(),
            free => base.wrapping_add((free as usize - 1) * SIZES[class]),
        };
        set_next(object, old);
        self.free = self.index_after(object, class);
        self.out -= 1;
    }

    /// The index of an object of this block plus one; 0 for null.
    fn index_after(&self, object: Object, class: usize) -> u32 {
        if object.is_null() {
            return 0;
        }
        let offset = object.addr() - address_of(self.first).addr();
        u32::try_from(offset / SIZES[class]).expect("a block is small") + 1
    }
}

/// Puts about half a magazine's worth of objects in.
#[cold]
fn fill(magazine: &Magazine, number: usize) {
    let mut class = BLOCKS[number].lock();
    let wanted = limit(number).div_ceil(2);
    while magazine.len() < wanted {
        if class.head == 0 && !add_block(&mut class, number) {
            return;
        }
        let mut block = Block::load(class.head);
        while magazine.len() < wanted
            && let Some(object) = block.pop(number)
        {
            magazine.push(object);
            class.out += 1;
        }
        block.store();
        if block.free == 0 {
            unlink(&mut class.head, block.first);
        }
    }
}

fn add_block(class: &mut Class, number: usize) -> bool {
    let count = 1 << block_order(number);
    let taken = if count == 1 { pool::take(Purpose::Kernel) } else { pool::take_run(count) };
    let Some(first) = taken else { return false };
    frame::HEAP.fetch_add(count, Ordering::Relaxed);
    let objects = count * PAGE_SIZE / SIZES[number];
    let mut block = Block { first, out: u32::try_from(objects).unwrap_or(0), free: 0 };
    for index in (0..objects).rev() {
        block.push(address_of(first).wrapping_add(index * SIZES[number]), number);
    }
    block.store();
    class.blocks += 1;
    link(&mut class.head, first);
    true
}

/// Gives all but `kept` objects back to their blocks.
#[cold]
fn empty(magazine: &Magazine, number: usize, kept: u32) {
    let mut class = BLOCKS[number].lock();
    let count = 1u32 << block_order(number);
    while magazine.len() > kept
        && let Some(object) = magazine.pop()
    {
        let mut block = Block::load(frame_of(object) & !(count - 1));
        let was_full = block.free == 0;
        block.push(object, number);
        block.store();
        class.out -= 1;
        if was_full {
            link(&mut class.head, block.first);
        }
        if block.out == 0 {
            unlink(&mut class.head, block.first);
            class.blocks -= 1;
            frame::HEAP.fetch_sub(count as usize, Ordering::Relaxed);
            match count {
                1 => pool::give(block.first),
                _ => pool::give_run(block.first, count as usize),
            }
        }
    }
}

fn link(head: &mut u32, first: u32) {
    let record = meta::of(first);
    record.prev.store(0, Ordering::Relaxed);
    record.next.store(*head, Ordering::Relaxed);
    if *head != 0 {
        meta::of(*head).prev.store(first, Ordering::Relaxed);
    }
    *head = first;
}

fn unlink(head: &mut u32, first: u32) {
    let record = meta::of(first);
    let next = record.next.load(Ordering::Relaxed);
    let prev = record.prev.load(Ordering::Relaxed);
    if next != 0 {
        meta::of(next).prev.store(prev, Ordering::Relaxed);
    }
    if prev == 0 {
        *head = next;
    } else {
        meta::of(prev).next.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    #[test]
    fn classes_fit_their_layouts() {
        for size in 0..=LARGEST + 100 {
            for align in [1, 8, 16, 32, 64, 128, 1024, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let Some(class) = class_of(layout) else {
                    assert!(size.max(align) > LARGEST);
                    continue;
                };
                assert!(SIZES[class] >= size);
                assert!(SIZES[class].is_multiple_of(align), "{size} aligned to {align}");
                assert!(size <= 16 || align > 16 || SIZES[class] <= 2 * size);
            }
        }
    }

    #[test]
    fn growing_in_place_stays_within_the_memory() {
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        assert!(fits(layout(33), layout(48)) && !fits(layout(48), layout(49)));
        assert!(fits(layout(9000), layout(12288)) && !fits(layout(9000), layout(12289)));
        assert!(!fits(layout(8192), layout(9000)));
    }

    struct Held {
        at: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Held {
        fn check(&self) {
            // SAFETY: the heap gave us this memory, and we filled all of it.
            let bytes = unsafe { core::slice::from_raw_parts(self.at, self.layout.size()) };
            assert!(bytes.iter().all(|byte| *byte == self.mark), "somebody else wrote here");
            assert_eq!(self.at.addr() % self.layout.align(), 0);
        }
    }

    proptest! {
        #[test]
        fn objects_keep_to_themselves(
            steps in proptest::collection::vec((any::<bool>(), 0..12_000usize, 0..8u32, any::<u8>()), 0..600),
            shift in 0..8u32,
        ) {
            let magazines = [Magazines::new(), Magazines::new()];
            let mut held: Vec<Held> = Vec::new();
            for (index, (allocate, size, align, mark)) in steps.into_iter().enumerate() {
                let magazines = &magazines[index % 2];
                if allocate || held.is_empty() {
                    let layout = Layout::from_size_align(size >> shift, 1 << align).unwrap();
                    let at = magazines.allocate(layout);
                    assert!(!at.is_null());
                    // SAFETY: the memory is ours.
                    unsafe { at.write_bytes(mark, layout.size()) };
                    held.push(Held { at, layout, mark });
                } else {
                    let object = held.swap_remove(size % held.len());
                    object.check();
                    // SAFETY: it is no longer used.
                    unsafe { magazines.release(object.at, object.layout) };
                }
            }
            for object in held {
                object.check();
                // SAFETY: it is no longer used.
                unsafe { magazines[0].release(object.at, object.layout) };
            }
        }
    }

    #[test]
    fn frames_come_back() {
        let layout = Layout::from_size_align(64, 8).unwrap();
        let magazines = Magazines::new();
        let objects: Vec<_> = (0..10_000).map(|_| magazines.allocate(layout)).collect();
        let used = frame::HEAP.load(Ordering::Relaxed);
        assert!(used >= 10_000 / 64);
        for object in objects {
            // SAFETY: allocated above, and used no more.
            unsafe { magazines.release(object, layout) };
        }
        let left = frame::HEAP.load(Ordering::Relaxed);
        assert!(left < used && magazines.0[3].len() <= limit(3));
    }
}
