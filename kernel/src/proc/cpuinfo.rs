//! `/proc/cpuinfo`: what the processor says of itself.

use crate::system::System;
use alloc::{string::String, vec::Vec};
use core::{
    arch::x86_64::{__cpuid, CpuidResult},
    fmt::{self, Write},
};

/// Names of the bits of leaf 1 `edx`; empty where a bit has none.
const BASIC_EDX: [&str; 32] = [
    "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "", "sep", "mtrr", "pge",
    "mca", "cmov", "pat", "pse36", "pn", "clflush", "", "dts", "acpi", "mmx", "fxsr", "sse",
    "sse2", "ss", "ht", "tm", "ia64", "pbe",
];
/// Names of the bits of leaf 1 `ecx`.
const BASIC_ECX: [&str; 32] = [
    "pni",
    "pclmulqdq",
    "dtes64",
    "monitor",
    "ds_cpl",
    "vmx",
    "smx",
    "est",
    "tm2",
    "ssse3",
    "cid",
    "sdbg",
    "fma",
    "cx16",
    "xtpr",
    "pdcm",
    "",
    "pcid",
    "dca",
    "sse4_1",
    "sse4_2",
    "x2apic",
    "movbe",
    "popcnt",
    "tsc_deadline_timer",
    "aes",
    "xsave",
    "",
    "avx",
    "f16c",
    "rdrand",
    "hypervisor",
];
/// Names of some bits of leaf 7 `ebx`.
const EXTENDED_EBX: [(u32, &str); 18] = [
    (0, "fsgsbase"),
    (3, "bmi1"),
    (5, "avx2"),
    (7, "smep"),
    (8, "bmi2"),
    (9, "erms"),
    (10, "invpcid"),
    (16, "avx512f"),
    (17, "avx512dq"),
    (18, "rdseed"),
    (19, "adx"),
    (20, "smap"),
    (23, "clflushopt"),
    (24, "clwb"),
    (28, "avx512cd"),
    (29, "sha_ni"),
    (30, "avx512bw"),
    (31, "avx512vl"),
];
/// Names of some bits of leaf 0x8000_0001 `edx`.
const AMD_EDX: [(u32, &str); 5] =
    [(11, "syscall"), (20, "nx"), (26, "pdpe1gb"), (27, "rdtscp"), (29, "lm")];

const EXTENDED: u32 = 0x8000_0000;

/// A leaf, zeros if the processor has none.
fn leaf(number: u32) -> CpuidResult {
    let most = __cpuid(number & EXTENDED).eax;
    if number <= most { __cpuid(number) } else { CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 } }
}

fn bytes(registers: &[u32]) -> String {
    let bytes: Vec<u8> = registers.iter().flat_map(|register| register.to_le_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from(String::from_utf8_lossy(&bytes[..end]).trim())
}

fn model_name() -> String {
    let leaves = [0x8000_0002, 0x8000_0003, 0x8000_0004].map(leaf);
    let registers: Vec<u32> =
        leaves.iter().flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]).collect();
    bytes(&registers)
}

/// Family, model and stepping from leaf 1.
const fn signature(eax: u32) -> (u32, u32, u32) {
    let (base_family, base_model) = (eax >> 8 & 0xf, eax >> 4 & 0xf);
    let family = if base_family == 0xf { base_family + (eax >> 20 & 0xff) } else { base_family };
    let extended = base_family == 6 || base_family == 0xf;
    let model = if extended { base_model | (eax >> 16 & 0xf) << 4 } else { base_model };
    (family, model, eax & 0xf)
}

fn flags() -> String {
    let (basic, extended, amd) = (leaf(1), leaf(7), leaf(EXTENDED | 1));
    let mut text = String::new();
    let mut add = |register: u32, bit: u32, name: &str| {
        if register >> bit & 1 == 1 && !name.is_empty() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(name);
        }
    };
    (0..).zip(BASIC_EDX).for_each(|(bit, name)| add(basic.edx, bit, name));
    AMD_EDX.iter().for_each(|(bit, name)| add(amd.edx, *bit, name));
    (0..).zip(BASIC_ECX).for_each(|(bit, name)| add(basic.ecx, bit, name));
    EXTENDED_EBX.iter().for_each(|(bit, name)| add(extended.ebx, *bit, name));
    text
}

/// The rate of the time stamp counter.
fn tsc_khz() -> Option<u64> {
    let clock = framework::time::tsc_clock()?;
    // Nanoseconds are `ticks * mult >> shift`.
    (1_000_000_u64 << clock.shift.min(32)).checked_div(u64::from(clock.mult))
}

/// `/proc/cpuinfo`: one paragraph for each CPU.
///
/// Source: proc_cpuinfo(5)
pub(super) fn show(_system: &'static System, out: &mut dyn Write) -> fmt::Result {
    let vendor = leaf(0);
    let vendor = bytes(&[vendor.ebx, vendor.edx, vendor.ecx]);
    let (family, model, stepping) = signature(leaf(1).eax);
    let (name, flags, count) = (model_name(), flags(), framework::cpu::count());
    let sizes = leaf(EXTENDED | 8).eax;
    let clflush = (leaf(1).ebx >> 8 & 0xff) * 8;
    for cpu in 0..count {
        writeln!(out, "processor\t: {cpu}\nvendor_id\t: {vendor}")?;
        writeln!(out, "cpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {name}")?;
        writeln!(out, "stepping\t: {stepping}")?;
        if let Some(khz) = tsc_khz() {
            writeln!(out, "cpu MHz\t\t: {}.{:03}", khz / 1000, khz % 1000)?;
        }
        writeln!(out, "physical id\t: 0\nsiblings\t: {count}\ncore id\t\t: {cpu}")?;
        writeln!(out, "cpu cores\t: {count}\napicid\t\t: {cpu}\nfpu\t\t: yes")?;
        writeln!(out, "fpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: yes", leaf(0).eax)?;
        writeln!(out, "flags\t\t: {flags}\nclflush size\t: {clflush}")?;
        let (physical, virtual_) = (sizes & 0xff, sizes >> 8 & 0xff);
        writeln!(out, "address sizes\t: {physical} bits physical, {virtual_} bits virtual\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{flags, signature};

    #[test]
    fn signatures_combine_their_parts() {
        assert_eq!(signature(0x0009_06ea), (6, 0x9e, 0xa));
        assert_eq!(signature(0x0080_0f12), (0x17, 0x01, 2));
    }

    #[test]
    fn this_processor_has_a_floating_point_unit() {
        assert!(flags().split(' ').any(|flag| flag == "fpu"));
        assert!(flags().split(' ').any(|flag| flag == "lm"));
    }
}
