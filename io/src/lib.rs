//! Devices: serial port, streams of a host, terminals and their line discipline, memory devices.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod console;
pub mod mem;
pub mod stream;
pub mod tty;
pub mod uart;
