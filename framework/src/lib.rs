//! The machine behind a safe interface; the only crate of Jinux with unsafe code.
//!
//! Two targets provide the same items: `bare` (x86_64 without an operating system) and `libos` (a
//! Linux process). Everything above this crate is the same code on both.
//!
//! ```text
//!   kernel:  UserContext::run(&space) ──▶ user mode ──▶ Trap     (a trap is a return value)
//!            IrqLine::wait().await    ◀── interrupt              (an interrupt is a wake-up)
//!            Frame, VmSpace, Sink, Source                        (user memory is only ever copied)
//! ```
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

#[cfg(any(target_os = "none", test))]
mod acpi;
pub mod addr;
pub mod boot;
mod bytes;
#[cfg(any(target_os = "none", test))]
mod calendar;
pub mod cap;
pub mod console;
pub mod copy;
pub mod count;
pub mod cpu;
pub mod frame;
#[cfg(not(target_os = "none"))]
pub mod host;
pub mod irq;
#[cfg(any(target_os = "none", test))]
mod memory_map;
pub mod panic;
pub mod power;
#[cfg(any(target_os = "none", test))]
mod pvh;
pub mod random;
#[cfg(any(target_os = "none", test))]
mod scale;
pub mod sim;
#[cfg(any(target_os = "none", test))]
mod slab;
pub mod space;
#[cfg(any(target_os = "none", test))]
mod symbols;
pub mod time;
pub mod user;
pub mod vdso;

#[cfg(target_os = "none")]
#[path = "bare/mod.rs"]
mod machine;
#[cfg(not(target_os = "none"))]
#[path = "libos/mod.rs"]
mod machine;

pub use addr::{PAGE_SIZE, PhysAddr, USER_END, USER_START, VirtAddr};
pub use copy::{Fault, Sink, Source};
pub use cpu::{CpuId, PerCpu};
pub use frame::{Frame, OutOfMemory};
pub use space::{Protection, VmSpace};
pub use time::Instant;
pub use user::{Rax, Regs, Trap, UserContext};
