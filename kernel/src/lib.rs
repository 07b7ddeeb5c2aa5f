//! The Linux personality: processes, memory maps, signals and system calls.
//!
//! ```text
//!   main ─▶ start::init ─▶ spawn(user_loop(thread))
//!                            │  Trap::Syscall ─▶ syscall::table ─▶ Done(value) | Wait(future)
//!                            │  Trap::PageFault ─▶ Memory::try_fault, or a signal
//!                            └─ work pending? ─▶ signals, preemption, stop, exit
//! ```
//!
//! Lock order (all are spin locks, never held across an await): process table, process family,
//! process signals, thread signals, thread view.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cmdline;
pub mod count;
pub mod cred;
pub mod file;
pub mod filesystems;
pub mod futex;
pub mod memory;
pub mod poll;
pub mod proc;
pub mod process;
pub mod signal;
pub mod socket;
pub mod start;
pub mod sys;
pub mod syscall;
pub mod system;
pub mod thread;
pub mod time;
pub mod tty;

pub use start::main;
