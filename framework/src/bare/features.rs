//! What this CPU can do, read once, and the control register bits that follow.

use super::registers::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use core::{
    arch::x86_64::{__cpuid_count, CpuidResult},
    sync::atomic::{AtomicU32, Ordering},
};

bitflags::bitflags! {
    /// Features that change what the framework does.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Features: u32 {
        /// Supervisor mode execution prevention.
        const SMEP = 1;
        /// Supervisor mode access prevention.
        const SMAP = 1 << 1;
        /// `sgdt` and its kin are privileged.
        const UMIP = 1 << 2;
        /// 1 GiB pages.
        const HUGE_1G = 1 << 4;
        /// `xsave`.
        const XSAVE = 1 << 5;
        /// `rep movsb` is the fastest way to copy.
        const FAST_STRINGS = 1 << 6;
        /// `xsaveopt`.
        const XSAVEOPT = 1 << 7;
        /// Supports execution under a hypervisor or an emulator.
        const HYPERVISOR = 1 << 8;
    }
}

static FEATURES: AtomicU32 = AtomicU32::new(0);

/// Reads a CPUID leaf; zeros for a leaf beyond the last.
pub(crate) fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    let last = raw_cpuid(leaf & 0xffff_0000, 0).eax;
    if leaf > last {
        return CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    }
    raw_cpuid(leaf, subleaf)
}

fn raw_cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    __cpuid_count(leaf, subleaf)
}

/// Whether `CPUID` names the emulator whose string instructions go byte by byte.
pub(super) fn is_tcg() -> bool {
    let leaf = raw_cpuid(0x4000_0000, 0);
    [leaf.ebx, leaf.ecx, leaf.edx]
        == [
            u32::from_le_bytes(*b"TCGT"),
            u32::from_le_bytes(*b"CGTC"),
            u32::from_le_bytes(*b"GTCG"),
        ]
}

/// Finds out what the CPU can do; once, on the first CPU.
pub(super) fn detect() {
    let (one, seven) = (cpuid(1, 0), cpuid(7, 0));
    let mut found = Features::empty();
    found.set(Features::SMEP, seven.ebx & 1 << 7 != 0);
    found.set(Features::SMAP, seven.ebx & 1 << 20 != 0);
    found.set(Features::UMIP, seven.ecx & 1 << 2 != 0);
    found.set(Features::HUGE_1G, cpuid(0x8000_0001, 0).edx & 1 << 26 != 0);
    found.set(Features::XSAVE, one.ecx & 1 << 26 != 0);
    found.set(Features::XSAVEOPT, cpuid(0xd, 1).eax & 1 != 0);
    found.set(Features::HYPERVISOR, one.ecx & 1 << 31 != 0);
    let emulated = found.contains(Features::HYPERVISOR) && is_tcg();
    found.set(Features::FAST_STRINGS, seven.ebx & 1 << 9 != 0 && !emulated);
    FEATURES.store(found.bits(), Ordering::Relaxed);
}

unsafe extern "C" {
    safe static smap_sites: usize;
    safe static smap_sites_end: usize;
}

/// Replaces `stac` and `clac` by nothing if the CPU does not know them; before the code is
/// write-protected.
pub(super) fn patch() {
    if has(Features::SMAP) {
        return;
    }
    let start = &raw const smap_sites;
    let len = (&raw const smap_sites_end).addr().wrapping_sub(start.addr()) / size_of::<usize>();
    // SAFETY: the link script puts the addresses between the two symbols.
    let sites = unsafe { core::slice::from_raw_parts(start, len) };
    for site in sites {
        let code = core::ptr::with_exposed_provenance_mut::<[u8; 3]>(*site);
        // SAFETY: the site is an instruction of three bytes, which the boot page tables let us
        // write; this is `nop dword ptr [rax]`.
        unsafe { code.write([0x0f, 0x1f, 0x00]) };
    }
}

/// Whether the CPU has all of these.
#[inline]
pub(crate) fn has(wanted: Features) -> bool {
    Features::from_bits_retain(FEATURES.load(Ordering::Relaxed)).contains(wanted)
}

/// Whether `rep` string instructions are the fastest way to copy.
#[inline]
pub(crate) fn fast_strings() -> bool {
    has(Features::FAST_STRINGS)
}

/// Sets the control registers of this CPU.
///
/// Programs do not get `wrfsbase` (CR4.FSGSBASE): they could change their segment bases unseen, and
/// every system call would pay for reading them.
pub(super) fn enable() {
    let mut cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::PAGE_GLOBAL
        | Cr4Flags::OSFXSR
        | Cr4Flags::OSXMMEXCPT_ENABLE;
    let optional = [
        (Features::SMEP, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
        (Features::SMAP, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
        (Features::UMIP, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
        (Features::XSAVE, Cr4Flags::OSXSAVE),
    ];
    for (feature, flag) in optional {
        cr4.set(flag, has(feature));
    }
    // SAFETY: paging stays as it is; the other bits take rights away or are what CPUID offers.
    unsafe { Cr4::write(cr4) };
    let cr0 = Cr0Flags::PAGING
        | Cr0Flags::WRITE_PROTECT
        | Cr0Flags::NUMERIC_ERROR
        | Cr0Flags::MONITOR_COPROCESSOR
        | Cr0Flags::TASK_SWITCHED
        | Cr0Flags::PROTECTED_MODE_ENABLE;
    // SAFETY: as above; the kernel itself uses no FPU.
    unsafe { Cr0::write(cr0) };
}
