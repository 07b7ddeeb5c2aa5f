//! The Linux personality: processes, memory maps, signals and system calls.
#![no_std]
#![forbid(unsafe_code)]
