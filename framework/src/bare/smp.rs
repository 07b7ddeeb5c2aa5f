//! Starting the other CPUs: each comes up in real mode at `TRAMPOLINE` (`smp.s`) and takes the next
//! index and the stacks that lie ready for it, whichever order they come in.
//!
//! Source: SDM 3A, 9.4.4

use super::{
    apic::{self, Command},
    boot::STACK_SIZE,
    cpu, init_cpu, interrupt,
    local::FAULT_STACK_SIZE,
    memory,
};
use crate::{
    PhysAddr,
    acpi::Madt,
    cpu::{CpuId, MAX_CPUS},
    time,
};
use alloc::alloc::alloc;
use arrayvec::ArrayVec;
use core::{
    alloc::Layout,
    arch::global_asm,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};
use spin::Once;
use x86_64::{
    registers::control::{Cr3, Cr3Flags},
    structures::paging::PhysFrame,
};

/// Where the code is put that a CPU starts with: a page below 1 MiB, which is never allocated.
const TRAMPOLINE: u8 = 8;

/// How long a CPU may take to come up.
const PATIENCE: Duration = Duration::from_secs(2);

global_asm!(include_str!("smp.s"), run = sym run, max_cpus = const MAX_CPUS);

unsafe extern "C" {
    static smp_trampoline: [u8; 0];
    static smp_trampoline_end: [u8; 0];
}

/// Tops of the stacks, by index; 0 for one that is not to run. `smp.s` reads it.
#[unsafe(no_mangle)]
static SMP_STACKS: [AtomicUsize; MAX_CPUS] = [const { AtomicUsize::new(0) }; MAX_CPUS];

/// The index of the next CPU to come up. `smp.s` counts it.
#[unsafe(no_mangle)]
static SMP_NEXT: AtomicUsize = AtomicUsize::new(1);

/// CPUs that came up in time may go on.
static GO: AtomicBool = AtomicBool::new(false);

/// What they run.
static RUN: Once<fn() -> !> = Once::new();

/// The kernel's page table.
static ROOT: Once<(PhysFrame, Cr3Flags)> = Once::new();

/// The ids of the other CPUs' APICs.
static OTHERS: Once<ArrayVec<u32, MAX_CPUS>> = Once::new();

/// Remembers which CPUs there are.
pub(super) fn init(madt: Option<&Madt>) {
    let me = apic::id();
    let all = madt.map(|madt| madt.cpus.clone()).unwrap_or_default();
    OTHERS.call_once(|| all.into_iter().filter(|&id| id != me).collect());
}

pub(super) fn start_others(run: fn() -> !) {
    let Some(others) = OTHERS.get().filter(|others| !others.is_empty()) else { return };
    if RUN.get().is_some() {
        return; // they run
    }
    RUN.call_once(|| run);
    ROOT.call_once(Cr3::read);
    let wanted = others.len().min(MAX_CPUS - 1);
    for slot in SMP_STACKS.iter().skip(1).take(wanted) {
        let Some(top) = stack() else { break };
        slot.store(top, Ordering::Release);
    }
    copy_trampoline();
    for &id in &others[..wanted] {
        apic::send(id, Command::Init);
    }
    for &id in &others[..wanted] {
        apic::send(id, Command::Startup(TRAMPOLINE));
    }
    let end = time::now().saturating_add(PATIENCE);
    let second = time::now().saturating_add(Duration::from_millis(20));
    let mut sent_again = false;
    while cpu::count() <= wanted && time::now() < end {
        if !sent_again && time::now() > second {
            // Processors of the nineties needed it; one that runs already ignores it.
            others[..wanted].iter().for_each(|&id| apic::send(id, Command::Startup(TRAMPOLINE)));
            sent_again = true;
        }
        core::hint::spin_loop();
    }
    // One that comes up from now on finds no stack.
    SMP_STACKS.iter().for_each(|slot| slot.store(0, Ordering::Release));
    if cpu::count() <= wanted {
        log::warn!("{} of {wanted} other CPUs came up", cpu::count() - 1);
    }
    GO.store(true, Ordering::Release);
}

/// Takes memory for a CPU's stacks: the kernel stack, whose top this is, and above it those for
/// faults.
fn stack() -> Option<usize> {
    let size = STACK_SIZE + 3 * FAULT_STACK_SIZE;
    let layout = Layout::from_size_align(size, crate::PAGE_SIZE).ok()?;
    // SAFETY: the size is not 0.
    let start = unsafe { alloc(layout) };
    (!start.is_null()).then(|| start.addr() + STACK_SIZE)
}

fn copy_trampoline() {
    let (start, end) = (&raw const smp_trampoline, &raw const smp_trampoline_end);
    let len = end.addr() - start.addr();
    let to = memory::pointer(PhysAddr::new(u64::from(TRAMPOLINE) << 12));
    // SAFETY: the first MiB belongs to nobody, and the code is shorter than a page.
    unsafe { core::ptr::copy_nonoverlapping(start.cast::<u8>(), to, len) };
}

/// A CPU's first function, with the index and the stack that it took.
extern "C" fn run(index: usize, top: usize) -> ! {
    let (frame, flags) = ROOT.get().copied().expect("set before a CPU was started");
    // SAFETY: the kernel's half is the same in the boot page tables.
    unsafe { Cr3::write(frame, flags) };
    init_cpu(CpuId::from_index(index), [1, 2, 3].map(|n| top + n * FAULT_STACK_SIZE));
    apic::enable(interrupt::SPURIOUS);
    apic::enable_timer(interrupt::TIMER);
    cpu::announce();
    cpu::COUNT.fetch_add(1, Ordering::AcqRel);
    while !GO.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
    let run = RUN.get().expect("set before a CPU was started");
    run()
}
