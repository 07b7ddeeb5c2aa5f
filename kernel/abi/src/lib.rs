//! The interface to programs: error numbers, structures and constants of Linux.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod errno;
mod events;
pub mod memory;

pub use errno::{Errno, Result};
pub use events::Events;
