//! How many dentries, inodes and pipes there are, in all file systems together.

use framework::count::{Kind, Live};

/// Names in memory.
#[derive(Debug)]
pub enum Dentries {}

/// Names that stand for nothing.
pub(crate) static NEGATIVE: Live = Live::new();

impl Kind for Dentries {
    fn live() -> &'static Live {
        static LIVE: Live = Live::new();
        &LIVE
    }
}

/// Inodes in memory.
#[derive(Debug)]
pub enum Inodes {}

impl Kind for Inodes {
    fn live() -> &'static Live {
        static LIVE: Live = Live::new();
        &LIVE
    }
}

/// Pipes and FIFOs that are open or have a name in use.
#[derive(Debug)]
pub enum Pipes {}

impl Kind for Pipes {
    fn live() -> &'static Live {
        static LIVE: Live = Live::new();
        &LIVE
    }
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Dentries, negative ones included.
    pub dentries: usize,
    /// Dentries that stand for nothing.
    pub negative_dentries: usize,
    /// Inodes.
    pub inodes: usize,
    /// Pipes and FIFOs.
    pub pipes: usize,
}

/// Counts what there is now.
pub fn counts() -> Counts {
    Counts {
        dentries: Dentries::live().count(),
        negative_dentries: NEGATIVE.count(),
        inodes: Inodes::live().count(),
        pipes: Pipes::live().count(),
    }
}
