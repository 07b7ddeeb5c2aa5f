//! The table of records: chunks that are made when needed and stay.

use super::{
    handle::TaskRef,
    record::{NIL, Record},
};
use crate::queue::Inbox;
use alloc::boxed::Box;
use spin::{Mutex, Once};

const CHUNK: usize = 64;

/// The most tasks there can be: Linux's default limit of process ids, and the kernel's own.
const MAX_TASKS: usize = 40 * 1024;

static CHUNKS: [Once<&'static [Record; CHUNK]>; MAX_TASKS / CHUNK] =
    [const { Once::new() }; MAX_TASKS / CHUNK];

/// Records given back, possibly in an interrupt.
static RETURNED: Inbox = Inbox::new();

static FREE: Mutex<Free> = Mutex::new(Free { head: NIL, used: 0, next_id: 1 });

struct Free {
    /// A list of free records through their `next`.
    head: u32,
    /// Records that have ever been used.
    used: u32,
    next_id: u64,
}

/// The record with this index.
pub(crate) fn record(index: u32) -> &'static Record {
    get(index).expect("an index in a list is that of a record")
}

fn get(index: u32) -> Option<&'static Record> {
    let index = usize::try_from(index).ok()?;
    CHUNKS.get(index / CHUNK)?.get().map(|chunk| &chunk[index % CHUNK])
}

/// Takes a free record for a new task. `None` if there are too many tasks.
pub(super) fn allocate() -> Option<TaskRef> {
    let mut free = FREE.lock();
    if free.head == NIL {
        free.head = RETURNED.take();
    }
    let record = if free.head == NIL {
        let record = make(free.used)?;
        free.used += 1;
        record
    } else {
        let record = record(free.head);
        free.head = record.next.load(core::sync::atomic::Ordering::Relaxed);
        record
    };
    record.claim(free.next_id);
    free.next_id += 1;
    Some(TaskRef::adopt(record))
}

/// The id that the next new task gets.
#[cfg(not(target_os = "none"))]
pub(crate) fn next_id() -> u64 {
    FREE.lock().next_id
}

fn make(index: u32) -> Option<&'static Record> {
    let number = usize::try_from(index).ok()? / CHUNK;
    let first = u32::try_from(number * CHUNK).ok()?;
    CHUNKS.get(number)?.call_once(|| {
        let mut next = first;
        Box::leak(Box::new([(); CHUNK].map(|()| {
            let record = Record::new(next);
            next += 1;
            record
        })))
    });
    get(index)
}

/// Gives a record back. Never waits, so an interrupt may drop the last handle.
pub(super) fn free(record: &'static Record) {
    RETURNED.push(record.index(), &record.next);
}

/// Handles to all tasks there are, without a lock.
pub(crate) fn all() -> impl Iterator<Item = TaskRef> {
    CHUNKS
        .iter()
        .map_while(Once::get)
        .flat_map(|chunk| chunk.iter())
        .filter(|record| record.try_retain())
        .map(TaskRef::adopt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn records_are_used_again_with_new_ids() {
        let first: Vec<TaskRef> = (0..2 * CHUNK).filter_map(|_| allocate()).collect();
        assert_eq!(first.len(), 2 * CHUNK);
        let last = first.iter().map(TaskRef::id).max().unwrap();
        assert!(all().count() >= 2 * CHUNK);
        drop(first);
        let again = allocate().unwrap();
        assert!(again.id() > last);
    }
}
