//! CPUs: which one this is, halting, kicking, stopping; `smp.rs` starts them.

use super::{
    apic::{self, Command},
    interrupt, local,
    local::local,
    smp,
};
use crate::cpu::{CpuId, MAX_CPUS};
use core::{
    arch::asm,
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
};
use x86_64::instructions::interrupts;

/// CPUs that run.
pub(super) static COUNT: AtomicUsize = AtomicUsize::new(1);

/// What others know of a CPU.
#[repr(align(64))]
struct Remote {
    /// The id of its APIC.
    apic: AtomicU32,
    /// A kick is on its way.
    kicked: AtomicBool,
}

static REMOTES: [Remote; MAX_CPUS] =
    [const { Remote { apic: AtomicU32::new(0), kicked: AtomicBool::new(false) } }; MAX_CPUS];

/// A CPU panicked: all others are to stop.
static STOP: AtomicBool = AtomicBool::new(false);
/// How many have.
static STOPPED: AtomicUsize = AtomicUsize::new(0);

#[inline]
pub(crate) fn current() -> CpuId {
    local::id()
}

pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Acquire)
}

pub(crate) fn start_others(run: fn() -> !) {
    smp::start_others(run);
}

/// Turns this CPU's interrupts on, from now on for good; its APIC is enabled.
pub(super) fn announce() {
    REMOTES[current().index()].apic.store(apic::id(), Ordering::Release);
    interrupts::enable();
}

pub(crate) fn halt_unless(ready: impl FnOnce() -> bool) {
    interrupts::disable();
    // An alarm that came after it was set, and before interrupts were off, does not come again.
    if local().take_attention() || ready() {
        interrupts::enable();
        return;
    }
    interrupts::enable_and_hlt();
    // Whoever halts looks at everything again when it wakes.
    local().take_attention();
}

pub(crate) fn kick(cpu: CpuId) {
    if cpu == current() {
        local().set_attention();
        return;
    }
    let remote = &REMOTES[cpu.index()];
    if !remote.kicked.swap(true, Ordering::AcqRel) {
        send(cpu, interrupt::KICK);
    }
}

/// A kick arrived.
pub(super) fn kicked() {
    // A swap, so that what was written before a kick that found the flag set is seen here.
    REMOTES[current().index()].kicked.swap(false, Ordering::AcqRel);
}

/// Interrupts another CPU that runs.
pub(super) fn send(cpu: CpuId, vector: u8) {
    apic::send(REMOTES[cpu.index()].apic.load(Ordering::Acquire), Command::Vector(vector));
}

/// Stops all other CPUs where they are, and waits a moment until they have stopped.
pub(super) fn stop_others() {
    STOP.store(true, Ordering::SeqCst);
    let me = current().index();
    for index in (0..count()).filter(|&index| index != me) {
        apic::send(REMOTES[index].apic.load(Ordering::Acquire), Command::Nmi);
    }
    for _ in 0..1_000_000 {
        if STOPPED.load(Ordering::Acquire) + 1 >= count() {
            break;
        }
        core::hint::spin_loop();
    }
}

/// Stops this CPU if another one panicked.
pub(super) fn stop_if_asked() {
    if STOP.load(Ordering::SeqCst) {
        STOPPED.fetch_add(1, Ordering::AcqRel);
        stop();
    }
}

/// Stops this CPU for good.
pub(super) fn stop() -> ! {
    loop {
        interrupts::disable();
        x86_64::instructions::hlt();
    }
}

/// Resets the machine the hard way: by a fault that cannot be delivered.
pub(super) fn triple_fault() -> ! {
    let empty = [0u16; 5];
    // SAFETY: the machine is to be reset, and nothing runs on this CPU after it.
    unsafe { asm!("lidt [{}]", "int3", in(reg) &raw const empty, options(noreturn)) }
}
