//! The kinds of the kernel's own objects that are counted while they live.

use framework::count::{Kind, Live};

/// Open files, whatever the number of their descriptors.
#[derive(Debug)]
pub enum Files {}

impl Kind for Files {
    fn live() -> &'static Live {
        static LIVE: Live = Live::new();
        &LIVE
    }
}

/// Processes, with those that are gone but for a handle.
#[derive(Debug)]
pub enum Processes {}

impl Kind for Processes {
    fn live() -> &'static Live {
        static LIVE: Live = Live::new();
        &LIVE
    }
}

/// Threads, likewise.
#[derive(Debug)]
pub enum Threads {}

impl Kind for Threads {
    fn live() -> &'static Live {
        static LIVE: Live = Live::new();
        &LIVE
    }
}

/// Address spaces.
#[derive(Debug)]
pub enum Memories {}

impl Kind for Memories {
    fn live() -> &'static Live {
        static LIVE: Live = Live::new();
        &LIVE
    }
}

/// Files that epoll instances watch.
#[derive(Debug)]
pub enum EpollItems {}

impl Kind for EpollItems {
    fn live() -> &'static Live {
        static LIVE: Live = Live::new();
        &LIVE
    }
}
