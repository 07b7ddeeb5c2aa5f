//! Atomics and locks: the real ones, or loom's in a model.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicU32, fence};
#[cfg(not(loom))]
pub(crate) use spin::{Mutex as Lock, MutexGuard as LockGuard};

#[cfg(loom)]
pub(crate) use loom::sync::{
    MutexGuard as LockGuard,
    atomic::{AtomicBool, AtomicU32, fence},
};

/// Loom's lock with the interface of a spin lock.
#[cfg(loom)]
pub(crate) struct Lock<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

/// A constructor that is `const`, but for loom.
macro_rules! constructor {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty)?) -> Self
        $body:block
    ) => {
        $(#[$attribute])*
        #[cfg(not(loom))]
        $visibility const fn $name($($argument: $type)?) -> Self $body

        $(#[$attribute])*
        #[cfg(loom)]
        $visibility fn $name($($argument: $type)?) -> Self $body
    };
}

pub(crate) use constructor;
