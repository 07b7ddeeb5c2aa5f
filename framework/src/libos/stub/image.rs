//! The file a stub is started from, and mapped from: an ELF header, the program, the filter.
//!
//! ```text
//!   file 0x0000  ELF header: one segment, loaded at a low address where nothing of the host's can be
//!        0x1000  program ──▶ window CODE
//!        0x5000  filter  ──▶ window CODE + 0x4000
//! ```

use super::{block, filter};
use crate::{PAGE_SIZE, USER_END};
use core::arch::global_asm;
use std::{fs::File, io::Error, os::unix::fs::FileExt, vec::Vec};

/// Where the window begins, with the program; everything below is the guest's.
pub(super) const CODE: usize = USER_END.get();
/// How much of the window is the program's; behind it comes the block.
pub(super) const CODE_LEN: usize = 0x1_0000;
/// Where the filter is, within the window: the head that the host is given, then the instructions.
const FILTER: usize = 0x4000;
const INSTRUCTIONS: usize = FILTER + 16;
/// Where the host loads the program at first; below any stack, library or heap.
const LOW: usize = 0x1_0000;

/// Descriptors of a stub: the machine's memory, the blocks, this file. A guest has only the first.
pub(super) const PHYS_FD: i32 = 3;
pub(super) const DATA_FD: i32 = 4;
pub(super) const IMAGE_FD: i32 = 5;

/// Blocks all signals but those that are traps.
pub(super) const MASK: u64 = !(bit(libc::SIGSYS)
    | bit(libc::SIGSEGV)
    | bit(libc::SIGBUS)
    | bit(libc::SIGILL)
    | bit(libc::SIGFPE)
    | bit(libc::SIGTRAP)
    | bit(libc::SIGALRM));

const fn bit(signal: libc::c_int) -> u64 {
    1 << (signal - 1)
}

global_asm!(
    include_str!("stub.s"),
    code = const CODE,
    code_len = const CODE_LEN,
    data = const block::ADDRESS,
    block_len = const block::LEN,
    page = const PAGE_SIZE,
    phys_fd = const PHYS_FD,
    data_fd = const DATA_FD,
    image_fd = const IMAGE_FD,
    filter = const CODE + FILTER,
    mask = const MASK,
    turn = const block::TURN,
    count = const block::COUNT,
    come_back = const block::COME_BACK,
    error = const block::ERROR,
    signal = const block::SIGNAL,
    signal_code = const block::SIGNAL_CODE,
    result = const block::RESULT,
    context = const block::CONTEXT,
    address = const block::ADDRESS_FIELD,
    call = const block::CALL,
    fs_base = const block::FS_BASE,
    gs_base = const block::GS_BASE,
    slot = const block::SLOT,
    parent = const block::PARENT,
    scratch = const block::SCRATCH,
    operations = const block::OPERATIONS,
    stack = const block::STACK,
);

unsafe extern "C" {
    static jinux_stub_start: u8;
    static jinux_stub_end: u8;
    static jinux_stub_at_wake: u8;
    static jinux_stub_at_wait: u8;
    static jinux_stub_at_operation: u8;
    static jinux_stub_at_return: u8;
}

/// Addresses in the window right behind the four instructions that call the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sites {
    pub(super) wake: usize,
    pub(super) wait: usize,
    pub(super) operation: usize,
    pub(super) done: usize,
}

fn program() -> &'static [u8] {
    let (start, end) = (&raw const jinux_stub_start, &raw const jinux_stub_end);
    // SAFETY: `stub.s` puts the end behind the start, and what is between is never written.
    unsafe { core::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

fn sites() -> Sites {
    let at = |label: *const u8| CODE + (label.addr() - (&raw const jinux_stub_start).addr());
    Sites {
        wake: at(&raw const jinux_stub_at_wake),
        wait: at(&raw const jinux_stub_at_wait),
        operation: at(&raw const jinux_stub_at_operation),
        done: at(&raw const jinux_stub_at_return),
    }
}

/// Makes the file.
pub(super) fn make() -> Result<File, Error> {
    let file = super::super::sys::memory_file(c"jinux-stub", true)?;
    file.set_len((PAGE_SIZE + CODE_LEN) as u64)?;
    let program = program();
    assert!(program.len() <= FILTER, "the program has grown into the filter");
    file.write_all_at(&header(program.len()), 0)?;
    file.write_all_at(program, PAGE_SIZE as u64)?;
    let filter = filter::build(&sites());
    let count = u64::try_from(filter.len()).expect("a filter is short");
    let mut head = count.to_le_bytes().to_vec();
    head.extend((CODE + INSTRUCTIONS).to_le_bytes());
    file.write_all_at(&head, (PAGE_SIZE + FILTER) as u64)?;
    file.write_all_at(&filter::bytes(&filter), (PAGE_SIZE + INSTRUCTIONS) as u64)?;
    Ok(file)
}

/// An ELF header with one segment that loads the program, and one that wants no executable stack.
fn header(len: usize) -> Vec<u8> {
    const HEADER: u16 = 64;
    const SEGMENT: u16 = 56;
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    let half = |bytes: &mut Vec<u8>, values: &[u16]| {
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    };
    let word = |bytes: &mut Vec<u8>, values: &[u32]| {
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    };
    let long = |bytes: &mut Vec<u8>, values: &[usize]| {
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    };
    half(&mut bytes, &[2, 62]); // an executable for x86-64
    word(&mut bytes, &[1]);
    long(&mut bytes, &[LOW, HEADER.into(), 0]); // entry, segments, sections
    word(&mut bytes, &[0]);
    half(&mut bytes, &[HEADER, SEGMENT, 2, 0, 0, 0]);
    word(&mut bytes, &[1, 5]); // PT_LOAD, to read and run
    long(&mut bytes, &[PAGE_SIZE, LOW, LOW, len, len, PAGE_SIZE]);
    word(&mut bytes, &[0x6474_e551, 6]); // PT_GNU_STACK, to read and write
    long(&mut bytes, &[0, 0, 0, 0, 0, 16]);
    bytes
}

/// The first address of the window's code, to tell a guest's instruction from the stub's.
pub(super) fn is_in_window(rip: usize) -> bool {
    (CODE..block::ADDRESS + block::LEN).contains(&rip)
}

/// Where `address`, seen by a stub, lies in its block.
pub(super) fn offset_in_block(address: usize) -> Option<usize> {
    address.checked_sub(block::ADDRESS).filter(|offset| *offset < block::LEN)
}

const _: () = assert!(block::ADDRESS == CODE + CODE_LEN);
