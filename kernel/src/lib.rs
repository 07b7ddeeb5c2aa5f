//! The Linux personality: processes, memory maps, signals and system calls.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod memory;
