//! x86_64 without an operating system: boot, traps, interrupts, timers.
mod apic;
mod backtrace;
mod boot;
mod calibrate;
pub(crate) mod clock;
pub(crate) mod console;
pub(crate) mod copy;
pub(crate) mod cpu;
mod descriptors;
pub(crate) mod features;
pub(crate) mod fpu;
mod heap;
mod interrupt;
mod io_apic;
pub(crate) mod irq;
mod kvm;
mod local;
pub(crate) mod memory;
mod mmio;
pub(crate) mod paging;
pub(crate) mod panic;
mod pit;
mod platform;
pub(crate) mod port;
pub(crate) mod power;
pub(crate) mod random;
mod registers;
mod rtc;
pub(crate) mod sim;
mod smp;
pub(crate) mod space;
mod trap;
pub(crate) mod user;

use crate::cpu::CpuId;

/// Gives this CPU its data, segments, interrupt table and control registers.
///
/// `fault_stacks` are the tops of three stacks of [`local::FAULT_STACK_SIZE`] bytes that nobody
/// else uses. Interrupts stay off.
fn init_cpu(id: CpuId, fault_stacks: [usize; 3]) {
    local::install(id);
    descriptors::load(fault_stacks);
    features::enable();
    fpu::init_cpu();
}
