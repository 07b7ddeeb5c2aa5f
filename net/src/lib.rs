//! Sockets: what they are between them, without the descriptors that programs hold them by.
//!
//! Every operation is tried at once and answers `EAGAIN` when it would have to wait; whoever may
//! wait listens on the socket's queue, tries again, and waits.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod unix;
