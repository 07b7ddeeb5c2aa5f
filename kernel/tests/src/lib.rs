//! Whole-kernel tests: `cargo test -p kernel-tests [NAME]` runs real programs on the library OS and
//! compares what they do with what they do on this Linux.
//!
//! The programs are `programs/*.c` and the command lines `busybox/*.cases`, the same that
//! `jinux test` runs in virtual machines.
#![forbid(unsafe_code)]
