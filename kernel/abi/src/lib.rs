//! The interface to programs: error numbers, structures and constants of Linux.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod errno;
mod events;
pub mod file;
mod id;
pub mod memory;
mod time;

pub use errno::{Errno, Result};
pub use events::Events;
pub use id::{Fd, Pid, Signal};
pub use time::{Itimerspec, Itimerval, Timespec, Timeval};
