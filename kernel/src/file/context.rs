//! Where a process's paths start: root, working directory, umask.

use alloc::sync::Arc;
use fs::Path;
use spin::RwLock;

/// Root, working directory and umask of a process, shared by threads made with `CLONE_FS`.
#[derive(Debug)]
pub struct FsContext {
    inner: RwLock<Places>,
}

/// The values of an [`FsContext`].
#[derive(Clone, Debug)]
pub struct Places {
    /// What `/` means.
    pub root: Path,
    /// The working directory.
    pub cwd: Path,
    /// Permission bits that new files do not get.
    pub umask: u32,
}

impl FsContext {
    /// Starts at `root`.
    pub fn new(root: Path) -> Self {
        Self { inner: RwLock::new(Places { cwd: root.clone(), root, umask: 0o022 }) }
    }

    /// A copy, as fork makes it.
    pub fn duplicate(&self) -> Arc<Self> {
        Arc::new(Self { inner: RwLock::new(self.places()) })
    }

    /// The values now.
    pub fn places(&self) -> Places {
        self.inner.read().clone()
    }

    /// Looks at the values without copying them; `look` must not wait.
    pub fn with<T>(&self, look: impl FnOnce(&Places) -> T) -> T {
        look(&self.inner.read())
    }

    /// Changes the working directory.
    pub fn set_cwd(&self, cwd: Path) {
        let old = core::mem::replace(&mut self.inner.write().cwd, cwd);
        drop(old);
    }

    /// Changes the root.
    pub fn set_root(&self, root: Path) {
        let old = core::mem::replace(&mut self.inner.write().root, root);
        drop(old);
    }

    /// Changes the umask; returns the old one.
    pub fn set_umask(&self, umask: u32) -> u32 {
        core::mem::replace(&mut self.inner.write().umask, umask & 0o777)
    }
}
