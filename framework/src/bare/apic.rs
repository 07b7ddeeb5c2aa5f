//! The local APIC: each CPU's interrupts from others, its timer, and the end of an interrupt.
//!
//! Registers are in memory (xAPIC) or, where CPUID says so, model specific registers (x2APIC).
//!
//! Source: SDM 3A, 11

use super::{
    features::cpuid,
    mmio::Mmio,
    registers::{read_msr, write_msr},
};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use x86_64::instructions::interrupts::without_interrupts;

const APIC_BASE: u32 = 0x1b;
const ENABLED: u64 = 1 << 11;
const X2APIC: u64 = 1 << 10;
const TSC_DEADLINE: u32 = 0x6e0;

// Offsets in memory; the MSR of a register is 0x800 + offset / 16.
const ID: u16 = 0x20;
const TASK_PRIORITY: u16 = 0x80;
const END_OF_INTERRUPT: u16 = 0xb0;
const SPURIOUS: u16 = 0xf0;
const COMMAND: u16 = 0x300;
const COMMAND_HIGH: u16 = 0x310;
const TIMER: u16 = 0x320;
const LINT0: u16 = 0x350;
const LINT1: u16 = 0x360;
const ERROR: u16 = 0x370;
const INITIAL_COUNT: u16 = 0x380;
const CURRENT_COUNT: u16 = 0x390;
const DIVIDE: u16 = 0x3e0;

const MASKED: u32 = 1 << 16;
const NMI: u32 = 4 << 8;
const DEADLINE_MODE: u32 = 2 << 17;
const DIVIDE_BY_1: u32 = 0b1011;
const SOFTWARE_ENABLE: u32 = 1 << 8;
const DELIVERY_PENDING: u32 = 1 << 12;

/// What an inter-processor interrupt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Interrupts with this vector.
    Vector(u8),
    /// Interrupts even where interrupts are off.
    Nmi,
    /// Resets the CPU, which then waits to be started.
    Init,
    /// Starts the CPU in real mode at this page.
    Startup(u8),
}

/// Where the registers are mapped; 0 before `find` and in x2APIC mode.
static REGISTERS: AtomicUsize = AtomicUsize::new(0);
static IS_X2APIC: AtomicBool = AtomicBool::new(false);
static HAS_DEADLINE: AtomicBool = AtomicBool::new(false);

/// Decides how the APICs are reached; `at` is their physical address, if a table tells it.
pub(super) fn find(at: Option<u64>) {
    let one = cpuid(1, 0);
    HAS_DEADLINE.store(one.ecx & 1 << 24 != 0, Ordering::Relaxed);
    if one.ecx & 1 << 21 != 0 {
        IS_X2APIC.store(true, Ordering::Relaxed);
        return;
    }
    let at = at.unwrap_or_else(|| read_msr(APIC_BASE) & 0xf_ffff_ffff_f000);
    REGISTERS.store(Mmio::map(at).address(), Ordering::Relaxed);
}

/// Turns this CPU's APIC on: all of its own sources masked but the spurious vector and the NMI pin.
pub(super) fn enable(spurious: u8) {
    let base = read_msr(APIC_BASE) | ENABLED;
    write_msr(APIC_BASE, base);
    if IS_X2APIC.load(Ordering::Relaxed) {
        write_msr(APIC_BASE, base | X2APIC);
    }
    write(TASK_PRIORITY, 0);
    write(TIMER, MASKED);
    write(LINT0, MASKED);
    write(LINT1, NMI);
    write(ERROR, MASKED);
    write(SPURIOUS, SOFTWARE_ENABLE | u32::from(spurious));
}

/// The id of this CPU's APIC.
pub(super) fn id() -> u32 {
    let id = read(ID);
    if IS_X2APIC.load(Ordering::Relaxed) { id } else { id >> 24 }
}

/// Says that the handler of the present interrupt is done.
#[inline]
pub(super) fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Sends to the CPU whose APIC has this id.
pub(super) fn send(id: u32, command: Command) {
    let low = match command {
        Command::Vector(vector) => u32::from(vector) | 1 << 14,
        Command::Nmi => NMI | 1 << 14,
        Command::Init => 5 << 8 | 1 << 14,
        Command::Startup(page) => 6 << 8 | 1 << 14 | u32::from(page),
    };
    if IS_X2APIC.load(Ordering::Relaxed) {
        // Unlike a store to memory this write does not wait for the stores before it.
        core::sync::atomic::fence(Ordering::SeqCst);
        write_msr(msr(COMMAND), u64::from(id) << 32 | u64::from(low));
        return;
    }
    // A handler may send too, between the two halves of ours.
    without_interrupts(|| {
        while read(COMMAND) & DELIVERY_PENDING != 0 {
            core::hint::spin_loop();
        }
        write(COMMAND_HIGH, id << 24);
        write(COMMAND, low);
    });
}

/// Whether the timer can be set to a value of the time stamp counter.
pub(super) fn has_deadline() -> bool {
    HAS_DEADLINE.load(Ordering::Relaxed)
}

/// Makes this CPU's timer interrupt with `vector`, once for each setting; it is not set yet.
pub(super) fn enable_timer(vector: u8) {
    write(DIVIDE, DIVIDE_BY_1);
    if has_deadline() {
        write(TIMER, DEADLINE_MODE | u32::from(vector));
        // The mode must have changed before the first deadline is written (SDM 3A, 11.5.4.1).
        core::sync::atomic::fence(Ordering::SeqCst);
    } else {
        write(TIMER, u32::from(vector));
    }
}

/// Sets this CPU's timer to fire when the time stamp counter reaches `tsc`; only with a deadline.
pub(super) fn set_deadline(tsc: u64) {
    write_msr(TSC_DEADLINE, tsc);
}

/// Sets this CPU's timer to fire after `ticks`, not 0; only without a deadline.
pub(super) fn set_count(ticks: u32) {
    write(INITIAL_COUNT, ticks);
}

/// Lets the timer count down from its highest value without an interrupt, for calibration.
pub(super) fn count_freely() {
    write(DIVIDE, DIVIDE_BY_1);
    write(TIMER, MASKED);
    write(INITIAL_COUNT, u32::MAX);
}

/// What the timer's counter has come down to.
pub(super) fn current_count() -> u32 {
    read(CURRENT_COUNT)
}

fn msr(register: u16) -> u32 {
    0x800 + u32::from(register >> 4)
}

#[inline]
fn read(register: u16) -> u32 {
    if IS_X2APIC.load(Ordering::Relaxed) {
        return (read_msr(msr(register)) & 0xffff_ffff) as u32;
    }
    Mmio::at_address(REGISTERS.load(Ordering::Relaxed)).read_u32(usize::from(register))
}

#[inline]
fn write(register: u16, value: u32) {
    if IS_X2APIC.load(Ordering::Relaxed) {
        write_msr(msr(register), u64::from(value));
        return;
    }
    Mmio::at_address(REGISTERS.load(Ordering::Relaxed)).write_u32(usize::from(register), value);
}
