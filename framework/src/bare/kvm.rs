//! KVM's paravirtual clock, from which only the rate of the time stamp counter is taken.
//!
//! Source: Linux, Documentation/virt/kvm/x86/msr.rst

use super::{
    features::cpuid,
    paging::KERNEL_BASE,
    registers::{read_msr, write_msr},
};
use crate::scale::Scale;
use core::sync::atomic::{AtomicU64, Ordering};

const SIGNATURE: [&[u8; 4]; 3] = [b"KVMK", b"VMKV", b"M\0\0\0"];
const FEATURES: u32 = 0x4000_0001;
const HAS_CLOCK: u32 = 1 << 3;
const SYSTEM_TIME: u32 = 0x4b56_4d01;
const ENABLE: u64 = 1;

/// What the hypervisor writes: version, TSC and system time of an update, rate, flags.
#[repr(C, align(64))]
struct Record([AtomicU64; 4]);

static RECORD: Record = Record([const { AtomicU64::new(0) }; 4]);

/// The rate of the time stamp counter, if KVM tells it.
pub(super) fn tsc_hz() -> Option<u64> {
    let leaf = cpuid(0x4000_0000, 0);
    let is_kvm = [leaf.ebx, leaf.ecx, leaf.edx] == SIGNATURE.map(|part| u32::from_le_bytes(*part));
    // KVM of old left the last leaf out.
    let features = if is_kvm { core::arch::x86_64::__cpuid(FEATURES).eax } else { 0 };
    if features & HAS_CLOCK == 0 {
        return None;
    }
    let at = ((&raw const RECORD).addr() - KERNEL_BASE) as u64;
    write_msr(SYSTEM_TIME, at | ENABLE);
    read_msr(SYSTEM_TIME); // the record is filled before the guest goes on
    let rate = RECORD.0[3].load(Ordering::Acquire);
    write_msr(SYSTEM_TIME, 0);
    let [a, b, c, d, shift, ..] = rate.to_le_bytes();
    Scale::kvm_clock_hz(u32::from_le_bytes([a, b, c, d]), i8::from_le_bytes([shift]))
}
