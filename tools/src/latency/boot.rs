//! The cost of booting: instructions from the kernel's entry to the first program, and the memory
//! that is gone by then.
//!
//! In QEMU's counting mode the time stamp counter is the guest's time since reset. The first
//! program reads it, and so does, in a boot of its own, a kernel of a few instructions: what the
//! firmware took is the difference to leave out.

use super::{NS_PER_INSTRUCTION, build, counting};
use crate::{
    initramfs::Initramfs,
    machine::{self, Console},
};
use anyhow::{Context, Result, ensure};
use std::{collections::BTreeMap, fs, path::Path, process::Stdio};

/// The memory of the machine, in KiB.
const MEMORY_KIB: f64 = 512.0 * 1024.0;

/// Adds the rows `boot` (instructions) and `boot-kib` (KiB) of a kernel.
pub(super) fn measure(kernel: &Path, work: &Path, found: &mut BTreeMap<String, f64>) -> Result<()> {
    let probe = work.join("entry.elf");
    fs::write(&probe, entry_probe()).context("writing the probe")?;
    let output = run(&probe, None, "")?;
    let stamp = output.last_chunk::<8>().context("the probe said nothing")?;
    let entry = stamp.iter().rev().fold(0.0, |value, byte| value * 256.0 + f64::from(*byte));

    let initrd = work.join("boot.cpio");
    let mut image = Initramfs::with_busybox(None)?;
    image.file("bin/boot", 0o755, fs::read(build("boot", work)?)?);
    fs::write(&initrd, image.to_bytes()?)?;
    let output = run(kernel, Some(&initrd), "console=ttyS0 quiet nokaslr rdinit=/bin/boot")?;
    let text = String::from_utf8_lossy(&output);
    let number = |name: &str| -> Result<f64> {
        let at = text.split_once(name).with_context(|| format!("no {name:?} in {text:?}"))?.1;
        let digits = at.split_whitespace().next().unwrap_or_default();
        digits.parse().with_context(|| format!("{digits:?} is no number"))
    };
    let start = number("boot-stamp ")?;
    ensure!(start > entry, "the program started before the kernel");
    found.insert("boot".into(), (start - entry) / NS_PER_INSTRUCTION);
    found.insert("boot-kib".into(), MEMORY_KIB - number("boot-free-kib ")?);
    Ok(())
}

/// Boots a kernel in the counting machine; returns all it wrote.
fn run(kernel: &Path, initrd: Option<&Path>, append: &str) -> Result<Vec<u8>> {
    let mut command = counting(kernel, initrd, append).command(Console::Program)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let output = machine::start(command)?.wait_with_output().context("waiting for QEMU")?;
    Ok(output.stdout)
}

/// Where the probe is loaded.
const BASE: u32 = 0x10_0000;
/// Where its code is in the file.
const CODE_AT: u32 = 200;

/// What the probe does: it writes the time stamp counter to the serial port and is off.
const CODE: &[u8] = &[
    0x0f, 0x31, // rdtsc
    0x89, 0xc3, // mov ebx, eax
    0x89, 0xd7, // mov edi, edx
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xb9, 4, 0, 0, 0, // mov ecx, 4
    0x88, 0xd8, // 1: mov al, bl
    0xee, // out dx, al
    0xc1, 0xeb, 8, // shr ebx, 8
    0xe2, 0xf8, // loop 1b
    0x89, 0xfb, // mov ebx, edi
    0xb9, 4, 0, 0, 0, // mov ecx, 4
    0x88, 0xd8, // 2: mov al, bl
    0xee, // out dx, al
    0xc1, 0xeb, 8, // shr ebx, 8
    0xe2, 0xf8, // loop 2b
    0x66, 0xba, 0xf4, 0,    // mov dx, 0xf4: isa-debug-exit
    0xef, // out dx, eax
    0xf4, // 3: hlt
    0xeb, 0xfd, // jmp 3b
];

/// An ELF file with a PVH note, a segment and [`CODE`].
fn entry_probe() -> Vec<u8> {
    let size = CODE_AT as usize + CODE.len();
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, values: &[u16]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    };
    let word = |file: &mut Vec<u8>, values: &[u32]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    };
    let long = |file: &mut Vec<u8>, values: &[u64]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    };
    // An executable for x86-64; its header, two program headers, no sections.
    half(&mut file, &[2, 62]);
    word(&mut file, &[1]);
    long(&mut file, &[u64::from(BASE + CODE_AT), 64, 0]);
    word(&mut file, &[0]);
    half(&mut file, &[64, 56, 2, 64, 0, 0]);
    // PT_LOAD, readable and executable: the whole file.
    word(&mut file, &[1, 5]);
    let (base, len) = (u64::from(BASE), size as u64);
    long(&mut file, &[0, base, base, len, len, 4096]);
    // PT_NOTE: right behind.
    word(&mut file, &[4, 4]);
    long(&mut file, &[176, base + 176, base + 176, 20, 20, 4]);
    // XEN_ELFNOTE_PHYS32_ENTRY.
    word(&mut file, &[4, 4, 18]);
    file.extend(b"Xen\0");
    word(&mut file, &[BASE + CODE_AT]);
    file.resize(CODE_AT as usize, 0);
    file.extend(CODE);
    file
}

#[cfg(test)]
mod tests {
    use super::{CODE, entry_probe};

    #[test]
    fn the_probe_is_laid_out_as_its_headers_say() {
        let file = entry_probe();
        assert_eq!(&file[176..188], [4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0]);
        assert_eq!(&file[200..], CODE);
        assert_eq!(file[24..32], 0x10_00c8_u64.to_le_bytes());
    }
}
