//! Programs that are almost ELF files.

use anyhow::{Context, Result};
use std::fs;

use super::{Case, End};
use crate::initramfs::{self, Initramfs};

/// Offsets in the file's header (System V ABI, figure 4-3, 64 bits).
const CLASS: usize = 4;
const ORDER: usize = 5;
const TYPE: usize = 16;
const MACHINE: usize = 18;
const ENTRY: usize = 24;
const TABLE: usize = 32;
const ENTRY_SIZE: usize = 54;
const ENTRIES: usize = 56;
/// Offsets in a program header (figure 5-1).
const OFFSET: usize = 8;
const ADDRESS: usize = 16;
const FILE_SIZE: usize = 32;
const MEMORY_SIZE: usize = 40;

/// How each is refused; a program that is loaded and cannot run is killed.
fn cases_of() -> Vec<(&'static str, Edit, Refusal)> {
    use Refusal::{Code, Signal};
    let header = |at, bytes: &[u8]| Edit::Header(at, bytes.to_vec());
    let segment = |at, value: u64| Edit::Segment(at, value.to_le_bytes().to_vec());
    vec![
        ("cut-magic", Edit::Cut(3), Code("ENOEXEC")),
        ("cut-header", Edit::Cut(40), Code("ENOEXEC")),
        ("cut-table", Edit::Cut(100), Code("")),
        ("class-32", header(CLASS, &[1]), Code("ENOEXEC")),
        ("big-endian", header(ORDER, &[2]), Code("ENOEXEC")),
        ("relocatable", header(TYPE, &[1]), Code("ENOEXEC")),
        ("core", header(TYPE, &[4]), Code("ENOEXEC")),
        ("arm", header(MACHINE, &[183]), Code("ENOEXEC")),
        ("no-entries", header(ENTRIES, &[0, 0]), Code("ENOEXEC")),
        ("many-entries", header(ENTRIES, &[0xff, 0xff]), Code("ENOEXEC")),
        ("entry-size", header(ENTRY_SIZE, &[55, 0]), Code("ENOEXEC")),
        ("table-outside", header(TABLE, &[0xff; 7]), Code("")),
        ("no-entry-point", header(ENTRY, &[0; 8]), Signal(11)),
        ("entry-in-kernel", header(ENTRY, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), Code("EINVAL")),
        ("entry-nowhere", header(ENTRY, &[0, 0, 0, 0, 0, 0, 0, 0x80]), Code("EINVAL")),
        ("segment-in-kernel", segment(ADDRESS, 0xffff_8000_0000_0000), Code("")),
        ("segment-unaligned", segment(OFFSET, 1), Code("")),
        ("segment-at-end", segment(ADDRESS, 0x7fff_ffff_f000), Code("")),
        ("file-size-over-memory", segment(FILE_SIZE, 1 << 40), Code("")),
        ("memory-size-huge", segment(MEMORY_SIZE, u64::MAX / 2), Code("")),
        ("memory-size-wraps", segment(MEMORY_SIZE, u64::MAX), Code("")),
    ]
}

enum Edit {
    Cut(usize),
    /// Bytes at an offset of the file's header.
    Header(usize, Vec<u8>),
    /// Bytes at an offset of the first program header.
    Segment(usize, Vec<u8>),
}

enum Refusal {
    /// The name of the error, or its beginning.
    Code(&'static str),
    Signal(u8),
}

/// Each is made of the busybox that runs everywhere else.
pub(super) fn cases() -> Result<Vec<Case>> {
    let good = fs::read(initramfs::find_busybox()?).context("reading busybox")?;
    let mut cases = vec![];
    for (name, edit, refusal) in cases_of() {
        let mut image = Initramfs::default();
        image.file("x", 0o755, edit.apply(&good));
        let end = match refusal {
            Refusal::Code(code) => End::Stops(format!("init /x: {code}")),
            Refusal::Signal(signal) => {
                End::Init(128 + signal, format!("init was killed by signal {signal}"))
            }
        };
        let case = Case::new(&format!("elf/{name}"), Some(image.to_bytes()?), end);
        cases.push(case.append("rdinit=/x"));
    }
    Ok(cases)
}

impl Edit {
    fn apply(&self, good: &[u8]) -> Vec<u8> {
        let mut file = good.to_vec();
        let (at, bytes) = match self {
            Self::Cut(len) => {
                file.truncate(*len);
                return file;
            }
            Self::Header(at, bytes) => (*at, bytes),
            // The table follows the header, and its first entry is one to load.
            Self::Segment(at, bytes) => (64 + at, bytes),
        };
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    }
}
