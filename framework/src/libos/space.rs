//! Which CPUs translate by a space: none, as long as programs do not run on this target.

use crate::PhysAddr;

/// The CPUs of one space.
#[derive(Debug)]
pub(crate) struct Active;

impl Active {
    pub(crate) fn new(_root: PhysAddr) -> Self {
        Self
    }

    /// Whether no CPU translates by the space.
    #[inline]
    #[allow(clippy::unused_self, reason = "the other target looks")]
    pub(crate) fn is_nowhere(&self) -> bool {
        true
    }

    /// Makes all CPUs forget these pages, or all.
    #[allow(clippy::unused_self, reason = "the other target does")]
    pub(crate) fn flush(&self, _pages: Option<&[usize]>) {}

    /// Makes all CPUs leave the space.
    #[allow(clippy::unused_self, reason = "the other target does")]
    pub(crate) fn retire(&self) {}
}
