//! Open files and the descriptor table.

use alloc::sync::Arc;

/// The descriptors of a process, shared by its threads (and across `CLONE_FILES`).
#[derive(Debug, Default)]
pub struct FdTable {}

impl FdTable {
    /// Makes a table without descriptors.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {})
    }

    /// A copy whose descriptors refer to the same open files, as fork makes it.
    pub fn duplicate(&self) -> Arc<Self> {
        Self::new()
    }

    /// Closes what is marked close-on-exec.
    pub fn close_on_exec(&self) {}
}

/// Root, working directory and umask of a process (shared across `CLONE_FS`).
#[derive(Debug, Default)]
pub struct FsContext {}

impl FsContext {
    /// A copy, as fork makes it.
    pub fn duplicate(&self) -> Arc<Self> {
        Arc::new(Self {})
    }
}
