//! What the end of a thread does to its futexes (set_robust_list(2), `CLONE_CHILD_CLEARTID`).

use super::{
    Key, MATCH_ANY, Scope,
    pi::{OWNER_DIED, TID_MASK, WAITERS, hand_over},
};
use crate::{syscall::UserPtr, thread::Thread};
use abi::Result;
use framework::VirtAddr;

/// The most locks a list may hold; a longer one is a loop.
const MOST: usize = 2048;

/// Bit 0 of an entry's address: a priority-inheritance lock.
const PI_BIT: usize = 1;

/// Wakes one waiter on the word that a thread's end has cleared.
pub fn wake_after_exit(thread: &Thread, at: UserPtr<u32>) {
    if let Ok(key) = Key::new(thread, at, Scope::Shared) {
        thread.system.futexes.wake(&key, 1, MATCH_ANY);
    }
}

/// Marks the locks that the thread holds as ownerless. A list that cannot be read ends there.
pub fn exit_robust_list(thread: &mut Thread) {
    if let Some(head) = thread.robust_list.take() {
        // A bad list is the program's loss.
        let _ = walk(thread, head);
    }
}

fn walk(thread: &Thread, head: UserPtr<usize>) -> Result<()> {
    let first = thread.read(head)?;
    let offset = thread.read(head.nth(1)?)?;
    let pending = thread.read(head.nth(2)?)?;
    let mut entry = first;
    for _ in 0..MOST {
        let address = entry & !PI_BIT;
        if address == head.address().get() {
            break;
        }
        // Read first: the lock's memory may be gone once it is released.
        let next = thread.read(UserPtr::<usize>::new(VirtAddr::new(address)));
        if address != pending & !PI_BIT {
            release(thread, entry, offset)?;
        }
        entry = next?;
    }
    if pending & !PI_BIT != 0 {
        release(thread, pending, offset)?;
    }
    Ok(())
}

/// Releases one lock if the thread holds it.
fn release(thread: &Thread, entry: usize, offset: usize) -> Result<()> {
    let at = UserPtr::new(VirtAddr::new((entry & !PI_BIT).wrapping_add(offset)));
    let mut word = thread.load_u32(at)?;
    if word & TID_MASK != thread.tid().get() {
        return Ok(());
    }
    let key = Key::new(thread, at, Scope::Shared)?;
    if entry & PI_BIT != 0 {
        return hand_over(thread, at, &key, OWNER_DIED);
    }
    loop {
        let found = thread.compare_exchange_u32(at, word, word & WAITERS | OWNER_DIED)?;
        if found == word {
            break;
        }
        word = found;
    }
    if word & WAITERS != 0 {
        thread.system.futexes.wake(&key, 1, MATCH_ANY);
    }
    Ok(())
}
