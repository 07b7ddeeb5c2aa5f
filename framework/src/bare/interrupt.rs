//! What an interrupt does: acknowledge, set a bit, wake. No lock, no allocation.
//!
//! ```text
//!   0x20..0x30  nothing: where the old interrupt controller's spurious ones go
//!   0x30..0xd0  lines and messages of devices (irq.rs)
//!   0xeb        FPU state wanted
//!   0xec        page table flush     0xed  kick     0xee  timer     0xff  spurious
//! ```

use super::{apic, clock, cpu, fpu, irq, space};
use crate::irq::Counter;
use core::arch::asm;

/// The first vector of a device.
pub(super) const FIRST_LINE: u8 = 0x30;
/// One past the last vector of a device.
pub(super) const END_OF_LINES: u8 = 0xd0;
/// Another CPU wants the FPU state in this one's registers.
pub(super) const FPU: u8 = 0xeb;
/// Another CPU wants pages forgotten.
pub(super) const FLUSH: u8 = 0xec;
/// Another CPU wants this one to look around.
pub(super) const KICK: u8 = 0xed;
/// This CPU's timer.
pub(super) const TIMER: u8 = 0xee;
/// The APIC changed its mind.
pub(super) const SPURIOUS: u8 = 0xff;

/// Keeps interrupts away.
#[inline]
pub(super) fn disable_interrupts() {
    // SAFETY: what comes in between is taken when interrupts are enabled.
    unsafe { asm!("cli", options(nostack)) };
}

/// Lets interrupts in.
#[inline]
pub(super) fn enable_interrupts() {
    // SAFETY: the callers have ended what interrupts had to be kept away from.
    unsafe { asm!("sti", options(nostack)) };
}

/// How often the framework's own interrupts came.
pub(super) static TIMERS: Counter = Counter::new();
pub(super) static KICKS: Counter = Counter::new();
pub(super) static FLUSHES: Counter = Counter::new();
pub(super) static NMIS: Counter = Counter::new();
pub(super) static SPURIOUS_ONES: Counter = Counter::new();

/// Called for each interrupt (vectors 32 to 255), from user and from kernel mode, with interrupts
/// off. Returns whether the vector is the framework's own affair (a page table flush, a timer that
/// was early), which ends neither user mode nor a halt.
pub(super) fn interrupt(vector: u8) -> bool {
    let own = match vector {
        TIMER => {
            TIMERS.count();
            !clock::timer_fired()
        }
        KICK => {
            KICKS.count();
            cpu::kicked();
            false
        }
        FPU => {
            fpu::answer();
            true
        }
        FLUSH => {
            FLUSHES.count();
            space::answer();
            true
        }
        FIRST_LINE..END_OF_LINES => {
            irq::fire(vector);
            false
        }
        _ => {
            // Not acknowledged: a spurious one is not in service (SDM 3A, 11.9), and no other
            // vector is in use.
            SPURIOUS_ONES.count();
            return true;
        }
    };
    apic::end_of_interrupt();
    own
}

/// Called for a non-maskable interrupt: a panicking CPU stops the others this way.
pub(super) fn nmi(_rip: usize, _frame_pointer: usize) {
    NMIS.count();
    cpu::stop_if_asked();
}
