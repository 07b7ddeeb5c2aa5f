//! What a futex word is, whatever address it has in a process.

use crate::{
    memory::{Memory, Object},
    syscall::UserPtr,
    thread::Thread,
};
use abi::{Errno, Result};
use alloc::sync::Arc;
use core::hash::{Hash, Hasher};
use framework::PAGE_SIZE;

/// Whether a word may be shared with other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `FUTEX_PRIVATE_FLAG`: only threads of this address space use it.
    Private,
    /// Anybody who maps the same page.
    Shared,
}

/// The identity of a word: its address in an address space, or its place in a shared object.
#[derive(Clone, Debug)]
pub enum Key {
    /// In private memory.
    Private {
        /// The address space, by its address; who waits keeps it alive.
        space: usize,
        /// The address. Its lowest bit is set for a word that was not said to be private: who
        /// says so and who does not do not meet, as on Linux.
        at: usize,
    },
    /// In shared memory.
    Shared {
        /// What is mapped.
        object: Arc<Object>,
        /// The byte in it.
        offset: u64,
    },
}

impl Key {
    /// The key of the word at `at`.
    ///
    /// # Errors
    /// - `EINVAL`: not aligned.
    /// - `EFAULT`: nothing is mapped there.
    pub fn new(thread: &Thread, at: UserPtr<u32>, scope: Scope) -> Result<Self> {
        let address = at.address();
        if !address.get().is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        if !address.is_user_range(4) {
            return Err(Errno::EFAULT);
        }
        let space = Arc::as_ptr(&thread.memory) as usize;
        let mut key = Self::Private { space, at: address.get() };
        if scope == Scope::Shared {
            let found = shared(&thread.memory, at)?;
            key = found.unwrap_or(Self::Private { space, at: address.get() | 1 });
        }
        Ok(key)
    }
}

/// The key of a word in a shared mapping; `None` if the mapping is private.
fn shared(memory: &Memory, at: UserPtr<u32>) -> Result<Option<Key>> {
    let address = at.address();
    let mut result = Err(Errno::EFAULT);
    memory.for_each_mapping(address.page(), &mut |vma, _| {
        if vma.contains(address) {
            let place = |object: &Arc<Object>| Key::Shared {
                object: Arc::clone(object),
                offset: vma.index_of(address) * PAGE_SIZE as u64 + address.page_offset() as u64,
            };
            result = Ok(vma.object.as_ref().filter(|_| vma.is_shared()).map(place));
        }
        false
    });
    result
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Private { space, at }, Self::Private { space: space2, at: at2 }) => {
                space == space2 && at == at2
            }
            (
                Self::Shared { object, offset },
                Self::Shared { object: object2, offset: offset2 },
            ) => object.identity() == object2.identity() && offset == offset2,
            _ => false,
        }
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Private { space, at } => (space, at).hash(state),
            Self::Shared { object, offset } => (object.identity(), offset).hash(state),
        }
    }
}
