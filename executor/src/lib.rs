//! Scheduling of futures on per-CPU queues with work stealing.
#![no_std]
#![forbid(unsafe_code)]
