//! Devices: serial port, terminals and their line discipline.
#![no_std]
#![forbid(unsafe_code)]
