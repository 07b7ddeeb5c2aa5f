//! Starting the other CPUs: each comes up in real mode at `TRAMPOLINE` (`smp.s`) and takes the next
//! index and the stacks that lie ready for it, whichever order they come in.
//!
//! Source: SDM 3A, 9.4.4

use super::{
    apic::{self, Command},
    clock, cpu, init_cpu, interrupt, memory, paging,
};
use crate::{
    PhysAddr,
    acpi::Madt,
    cpu::{CpuId, MAX_CPUS},
    time,
};
use arrayvec::ArrayVec;
use core::{
    arch::global_asm,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};
use spin::Once;

/// Where the code is put that a CPU starts with: a page below 1 MiB, which is never allocated.
const TRAMPOLINE: u8 = 8;

/// How long a CPU may take to come up.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a CPU compares its counter with that of the one that started it.
const COMPARISONS: usize = 1000;

global_asm!(include_str!("smp.s"), run = sym run, max_cpus = const MAX_CPUS);

unsafe extern "C" {
    static smp_trampoline: [u8; 0];
    static smp_trampoline_end: [u8; 0];
}

/// The physical address of the kernel's page table. `smp.s` reads it.
#[unsafe(no_mangle)]
static SMP_ROOT: AtomicU64 = AtomicU64::new(0);

/// Tops of the kernel stacks, by index; 0 for one that is not to run. `smp.s` reads it.
#[unsafe(no_mangle)]
static SMP_STACKS: [AtomicUsize; MAX_CPUS] = [const { AtomicUsize::new(0) }; MAX_CPUS];

/// Tops of the stacks for faults, by index.
static FAULT_STACKS: [Once<[usize; 3]>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];

/// The index of the next CPU to come up. `smp.s` counts it.
#[unsafe(no_mangle)]
static SMP_NEXT: AtomicUsize = AtomicUsize::new(1);

/// CPUs that came up in time may go on.
static GO: AtomicBool = AtomicBool::new(false);

/// What they run.
static RUN: Once<fn() -> !> = Once::new();

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
    let wanted = others.len().min(MAX_CPUS - 1);
    for index in 1..=wanted {
        let Some((top, faults)) = paging::allocate_stacks() else { break };
        FAULT_STACKS[index].call_once(|| faults);
        SMP_STACKS[index].store(top, Ordering::Release);
    }
    SMP_ROOT.store(paging::root(), Ordering::Release);
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
        clock::compare_counters();
    }
    // One that comes up from now on finds no stack.
    SMP_STACKS.iter().for_each(|slot| slot.store(0, Ordering::Release));
    if cpu::count() <= wanted {
        log::warn!("{} of {wanted} other CPUs came up", cpu::count() - 1);
    }
    if !clock::counters_agree() {
        log::warn!("the CPUs' time stamp counters do not agree: time can be seen to go back");
    }
    GO.store(true, Ordering::Release);
}

fn copy_trampoline() {
    let (start, end) = (&raw const smp_trampoline, &raw const smp_trampoline_end);
    let len = end.addr() - start.addr();
    let to = memory::pointer(PhysAddr::new(u64::from(TRAMPOLINE) << 12));
    // SAFETY: the first MiB belongs to nobody, and the code is shorter than a page.
    unsafe { core::ptr::copy_nonoverlapping(start.cast::<u8>(), to, len) };
}

/// A CPU's first function, with the index that it took.
extern "C" fn run(index: usize) -> ! {
    let faults = FAULT_STACKS[index].get().expect("set before the kernel stack's top");
    init_cpu(CpuId::from_index(index), *faults);
    apic::enable(interrupt::SPURIOUS);
    apic::enable_timer(interrupt::TIMER);
    cpu::announce();
    for _ in 0..COMPARISONS {
        clock::compare_counters();
    }
    cpu::COUNT.fetch_add(1, Ordering::AcqRel);
    while !GO.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
    let run = RUN.get().expect("set before a CPU was started");
    run()
}
