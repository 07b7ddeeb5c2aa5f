//! Abstract names.

use super::{Address, Socket};
use abi::{Errno, Result};
use alloc::{
    boxed::Box,
    sync::{Arc, Weak},
};
use core::fmt;
use hashbrown::HashMap;
use spin::Mutex;

/// The abstract names of a network namespace, and who has them.
pub struct Space<F> {
    names: Mutex<Names<F>>,
}

struct Names<F> {
    sockets: HashMap<Box<[u8]>, Weak<Socket<F>>>,
    /// How many names there may be before those of closed sockets are looked for.
    threshold: usize,
    /// The next name that the kernel chooses.
    next: u32,
}

/// The names the kernel can choose.
const AUTOMATIC: u32 = 0x10_0000;

impl<F: Clone> Space<F> {
    /// A space without names.
    pub fn new() -> Self {
        let names = Names { sockets: HashMap::new(), threshold: 64, next: 0 };
        Self { names: Mutex::new(names) }
    }

    /// Gives `socket` a name of this space; `None` chooses one.
    ///
    /// # Errors
    /// - `EADDRINUSE`: somebody has it.
    /// - `EINVAL`: the socket has a name.
    /// - `ENOSPC`: all names that could be chosen are taken.
    ///
    /// Source: unix(7)
    pub fn bind(&self, socket: &Arc<Socket<F>>, name: Option<&[u8]>) -> Result<()> {
        let mut names = self.names.lock();
        names.forget_closed();
        let name: Box<[u8]> = match name {
            Some(name) if names.is_taken(name) => return Err(Errno::EADDRINUSE),
            Some(name) => name.into(),
            None => names.choose().ok_or(Errno::ENOSPC)?,
        };
        socket.set_address(Address::Abstract(name.clone()))?;
        names.sockets.insert(name, Arc::downgrade(socket));
        Ok(())
    }

    /// The socket with a name.
    ///
    /// # Errors
    /// - `ECONNREFUSED`: nobody has it.
    pub fn find(&self, name: &[u8]) -> Result<Arc<Socket<F>>> {
        let names = self.names.lock();
        names.sockets.get(name).and_then(Weak::upgrade).ok_or(Errno::ECONNREFUSED)
    }
}

impl<F> Names<F> {
    fn is_taken(&self, name: &[u8]) -> bool {
        self.sockets.get(name).is_some_and(|socket| socket.strong_count() > 0)
    }

    fn choose(&mut self) -> Option<Box<[u8]>> {
        for _ in 0..AUTOMATIC {
            let Address::Abstract(name) = Address::automatic(self.next) else { return None };
            self.next = (self.next + 1) % AUTOMATIC;
            if !self.is_taken(&name) {
                return Some(name);
            }
        }
        None
    }

    /// Keeps the names of closed sockets from adding up: each look doubles the distance to the
    /// next, so a name costs a constant number of looks.
    fn forget_closed(&mut self) {
        if self.sockets.len() >= self.threshold {
            self.sockets.retain(|_, socket| socket.strong_count() > 0);
            self.threshold = (self.sockets.len() * 2).max(64);
        }
    }
}

impl<F: Clone> Default for Space<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F> fmt::Debug for Space<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Space({} names)", self.names.lock().sockets.len())
    }
}

impl<F: Clone> Socket<F> {
    /// Gives the socket a path as its name; that the path leads to it is the file system's part.
    ///
    /// # Errors
    /// - `EINVAL`: it has a name.
    pub fn bind_path(&self, path: &[u8]) -> Result<()> {
        self.set_address(Address::Path(path.into()))
    }
}
