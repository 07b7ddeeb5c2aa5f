//! Counting live objects: how many of a kind there are, without a shared cache line.
//!
//! A kind is a type with a counter; an object that holds a [`Counted`] of it is counted from when it
//! is made until it is dropped. The part takes no space.
//!
//! ```
//! use framework::count::{Counted, Kind, Live};
//!
//! enum Shelves {}
//! impl Kind for Shelves {
//!     fn live() -> &'static Live {
//!         static LIVE: Live = Live::new();
//!         &LIVE
//!     }
//! }
//! struct Shelf {
//!     _counted: Counted<Shelves>,
//! }
//! let shelf = Shelf { _counted: Counted::new() };
//! assert_eq!(Shelves::live().count(), 1);
//! drop(shelf);
//! assert_eq!(Shelves::live().count(), 0);
//! ```

use crate::cpu::{self, MAX_CPUS};
use core::{
    fmt,
    marker::PhantomData,
    sync::atomic::{AtomicIsize, Ordering::Relaxed},
};

#[repr(align(64))]
struct Line(AtomicIsize);

/// A counter of what is there: each CPU adds and takes away in its own line, and the sum counts.
pub struct Live([Line; MAX_CPUS]);

impl Live {
    /// A counter at zero.
    pub const fn new() -> Self {
        Self([const { Line(AtomicIsize::new(0)) }; MAX_CPUS])
    }

    /// Adds `by`, or takes away; callable from interrupts.
    #[inline]
    pub fn add(&self, by: isize) {
        self.0[cpu::current().index()].0.fetch_add(by, Relaxed);
    }

    /// How many there are; while others come and go, a snapshot of a moving target.
    pub fn count(&self) -> usize {
        let sum: isize = self.0.iter().map(|line| line.0.load(Relaxed)).sum();
        usize::try_from(sum).unwrap_or(0)
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} live", self.count())
    }
}

/// A kind of objects that are counted.
pub trait Kind {
    /// Its counter.
    fn live() -> &'static Live;
}

/// The part of an object that counts it; a clone is another object.
pub struct Counted<K: Kind>(PhantomData<fn() -> K>);

impl<K: Kind> Counted<K> {
    /// Counts one more.
    #[inline]
    pub fn new() -> Self {
        K::live().add(1);
        Self(PhantomData)
    }
}

impl<K: Kind> Default for Counted<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Kind> Clone for Counted<K> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<K: Kind> Drop for Counted<K> {
    #[inline]
    fn drop(&mut self) {
        K::live().add(-1);
    }
}

impl<K: Kind> fmt::Debug for Counted<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

#[cfg(test)]
mod tests {
    use super::{Counted, Kind, Live};

    enum Apples {}
    impl Kind for Apples {
        fn live() -> &'static Live {
            static LIVE: Live = Live::new();
            &LIVE
        }
    }

    #[test]
    fn what_another_cpu_drops_is_gone() {
        assert_eq!(size_of::<Counted<Apples>>(), 0);
        let apples: Vec<Counted<Apples>> = (0..10).map(|_| Counted::new()).collect();
        let more = apples.clone();
        assert_eq!(Apples::live().count(), 20);
        std::thread::spawn(move || drop(apples)).join().unwrap();
        assert_eq!(Apples::live().count(), 10);
        drop(more);
        assert_eq!(Apples::live().count(), 0);
    }
}
