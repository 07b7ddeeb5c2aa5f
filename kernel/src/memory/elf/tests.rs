//! Reads good, bad and mutated files.

use super::{
    Arguments, Executable, FileHeader, HEADER_SIZE, Identity, Image, LoadRequest, Loaded,
    ProgramHeader,
};
use crate::memory::{Access, FaultError, Layout, Limits, Memory, Object};
use abi::{Errno, Result, memory::auxv};
use alloc::sync::Arc;
use framework::{Source, VirtAddr, user::PageFault};
use fs::{Caller, Credentials, OpenFile, ramfs::AllowSealing};
use proptest::prelude::{any, prop};
use zerocopy::{FromZeros, IntoBytes};

/// A position-independent program: code, data with bss, and an interpreter.
fn file() -> Vec<u8> {
    let mut header = FileHeader::new_zeroed();
    header.magic = *b"\x7fELF";
    header.class = 2;
    header.data = 1;
    header.kind = 3.into();
    header.machine = 62.into();
    header.entry = 0x1040.into();
    header.program_headers = 64.into();
    header.program_header_size = 56.into();
    header.program_header_count = 4.into();
    let segment = |kind: u32, flags: u32, offset: u64, address: u64, sizes: (u64, u64)| {
        let mut header = ProgramHeader::new_zeroed();
        header.kind = kind.into();
        header.flags = flags.into();
        header.offset = offset.into();
        header.address = address.into();
        header.file_size = sizes.0.into();
        header.memory_size = sizes.1.into();
        header.align = 4096.into();
        header
    };
    let headers = [
        segment(1, 5, 0, 0, (0x2000, 0x2000)),
        segment(1, 6, 0x2ff0, 0x3ff0, (0x20, 0x5000)),
        segment(3, 4, 0x200, 0x200, (12, 12)),
        segment(0x6474_e551, 6, 0, 0, (0, 0)),
    ];
    let mut bytes = vec![0; 0x3010];
    bytes[..64].copy_from_slice(header.as_bytes());
    for (index, header) in headers.iter().enumerate() {
        let at = 64 + index * HEADER_SIZE;
        bytes[at..at + HEADER_SIZE].copy_from_slice(header.as_bytes());
    }
    bytes[0x200..0x20c].copy_from_slice(b"/lib/ld.so.1");
    bytes[0x20b] = 0;
    bytes
}

fn read(bytes: &[u8]) -> Result<Image> {
    Image::read(&mut |offset, to| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = to.len().min(bytes.len() - start);
        to[..len].copy_from_slice(&bytes[start..start + len]);
        Ok(len)
    })
}

#[test]
fn reads_a_program() {
    let image = read(&file()).expect("good");
    assert!(image.relocatable && !image.executable_stack);
    assert_eq!(image.entry, 0x1040);
    assert_eq!(image.headers_address, Some(64));
    assert_eq!(image.segments.len(), 2);
    assert_eq!(image.interpreter.as_deref(), Some(&b"/lib/ld.so."[..]));
    assert_eq!(image.extent(), (0, 0x9000));
}

#[test]
fn refuses_what_is_none() {
    assert_eq!(read(b""), Err(Errno::ENOEXEC));
    assert_eq!(read(b"#!/bin/sh\n"), Err(Errno::ENOEXEC));
    for (at, value) in [(4, 1), (5, 2), (16, 1), (18, 3), (54, 32), (56, 0)] {
        let mut bytes = file();
        bytes[at] = value;
        assert_eq!(read(&bytes), Err(Errno::ENOEXEC), "byte {at}");
    }
    let mut cut = file();
    cut.truncate(100);
    assert_eq!(read(&cut), Err(Errno::ENOEXEC));
    let mut wild = file();
    // The first segment's memory size.
    wild[64 + 40..64 + 48].fill(0xff);
    assert_eq!(read(&wild), Err(Errno::EINVAL));
}

/// The bytes as a file in memory.
fn stored(bytes: &[u8]) -> OpenFile {
    let caller = Caller::new(Credentials::ROOT, || fs::Timespec::new(0, 0));
    let files = fs::ramfs::Memory::new(&caller).expect("no options");
    let file = files.create(b"program", AllowSealing::No, &caller).expect("memory");
    let written = file.write(&mut Source::kernel(bytes), &caller).expect("memory");
    assert_eq!(written, bytes.len());
    file
}

/// The bytes as a program: the file is closed, so that nobody may write it any more.
fn executable(bytes: &[u8]) -> Result<Executable> {
    let file = stored(bytes);
    let (path, inode) = (file.path().clone(), file.inode().clone());
    drop(file);
    Executable::open(&path, &inode)
}

fn load(memory: &Memory, program: &Executable) -> Result<Loaded> {
    let mut arguments = Arguments::new(8 << 20);
    arguments.push_argument(b"program")?;
    arguments.push_argument(b"-x")?;
    arguments.push_environment(b"HOME=/")?;
    memory.load(&LoadRequest {
        program,
        interpreter: None,
        arguments: &arguments,
        file_name: b"/bin/program",
        identity: Identity { uid: 7, ..Identity::default() },
        random: [5; 16],
        stack_shift: 0x123,
    })
}

fn new_memory() -> Arc<Memory> {
    Memory::new(Layout::new(8 << 20, None), Limits::default()).expect("memory")
}

fn word(memory: &Memory, at: usize) -> usize {
    let mut bytes = [0; 8];
    assert_eq!(memory.read_at(VirtAddr::new(at), &mut bytes, Access::Allowed), 8);
    usize::from_le_bytes(bytes)
}

fn text(memory: &Memory, at: usize) -> Vec<u8> {
    let mut bytes = [0; 64];
    let len = memory.read_at(VirtAddr::new(at), &mut bytes, Access::Allowed);
    bytes[..len].split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

#[test]
fn a_loaded_program_finds_its_segments() {
    let mut bytes = file();
    bytes[0x1040] = 0xc3;
    bytes[0x2ff0..0x3010].fill(9);
    let memory = new_memory();
    let loaded = load(&memory, &executable(&bytes).expect("good")).expect("loads");
    let base = memory.layout().pie_base.get();
    assert_eq!(loaded.entry.get(), base + 0x1040);
    assert_eq!(word(&memory, base + 0x1040), 0xc3);
    // The data's last bytes, and zeros behind them: in the same page, and in pages of their own.
    assert_eq!(word(&memory, base + 0x3ff0), 0x0909_0909_0909_0909);
    assert_eq!(word(&memory, base + 0x4008), 0x0909_0909_0909_0909);
    assert_eq!(word(&memory, base + 0x4010), 0);
    assert_eq!(word(&memory, base + 0x8000), 0);
    assert!(memory.layout().break_start.get() >= base + 0x8ff0);
    let access = |at, write, execute| {
        memory.try_fault(&PageFault { at: VirtAddr::new(at), write, execute, present: false })
    };
    assert_eq!(access(base + 0x1040, false, true), Ok(()));
    assert_eq!(access(base + 0x1040, true, false), Err(FaultError::NotAllowed));
    assert_eq!(access(base + 0x5000, false, true), Err(FaultError::NotAllowed));
    assert_eq!(access(base + 0x5000, true, false), Ok(()));
    assert_eq!(access(base + 0x9000, false, false), Err(FaultError::NotMapped));
}

#[test]
fn a_loaded_program_finds_its_arguments() {
    let memory = new_memory();
    let loaded = load(&memory, &executable(&file()).expect("good")).expect("loads");
    let stack = loaded.stack.get();
    assert_eq!(stack % 16, 0);
    let at = |index: usize| word(&memory, stack + index * 8);
    assert_eq!(at(0), 2);
    assert_eq!(text(&memory, at(1)), b"program");
    assert_eq!(text(&memory, at(2)), b"-x");
    assert_eq!((at(3), at(5)), (0, 0));
    assert_eq!(text(&memory, at(4)), b"HOME=/");
    let mut vector = std::collections::BTreeMap::new();
    for index in (6..).step_by(2) {
        vector.insert(u32::try_from(at(index)).expect("small"), at(index + 1));
        if at(index) == 0 {
            break;
        }
    }
    let base = memory.layout().pie_base.get();
    assert_eq!(vector[&auxv::AT_PHDR], base + 64);
    assert_eq!((vector[&auxv::AT_PHNUM], vector[&auxv::AT_PHENT]), (4, 56));
    assert_eq!(vector[&auxv::AT_ENTRY], base + 0x1040);
    assert_eq!(vector[&auxv::AT_UID], 7);
    assert_eq!(text(&memory, vector[&auxv::AT_EXECFN]), b"/bin/program");
    assert_eq!(text(&memory, vector[&auxv::AT_PLATFORM]), b"x86_64");
    assert_eq!(word(&memory, vector[&auxv::AT_RANDOM]), 0x0505_0505_0505_0505);
    let vdso = vector[&auxv::AT_SYSINFO_EHDR];
    assert_eq!(text(&memory, vdso)[..4], *b"\x7fELF");
    assert_eq!(word(&memory, vdso - 4096) & 1, 0, "the parameters are not being changed");
}

#[test]
fn a_running_program_is_not_written() {
    let file = stored(&file());
    let (path, inode) = (file.path().clone(), file.inode().clone());
    assert_eq!(Executable::open(&path, &inode).err(), Some(Errno::ETXTBSY));
    drop(file);
    let memory = new_memory();
    load(&memory, &Executable::open(&path, &inode).expect("good")).expect("loads");
    assert_eq!(inode.get_write_access(), Err(Errno::ETXTBSY));
    let child = memory.fork().expect("memory");
    drop(memory);
    assert_eq!(inode.get_write_access(), Err(Errno::ETXTBSY));
    drop(child);
    assert_eq!(inode.get_write_access(), Ok(()));
}

#[test]
fn a_file_is_the_same_however_it_is_mapped() {
    let (file, other) = (stored(b"x"), stored(b"x"));
    let object = |file: &OpenFile, writable| {
        Object::file(file.path(), file.inode(), writable).expect("regular")
    };
    let (plain, writable) = (object(&file, false), object(&file, true));
    assert!(Arc::ptr_eq(&plain, &object(&file, false)));
    assert_eq!(plain.identity(), writable.identity());
    assert_ne!(plain.identity(), object(&other, false).identity());
}

#[test]
fn pages_cut_off_a_file_are_gone() {
    let program = executable(&file()).expect("good");
    let memory = new_memory();
    load(&memory, &program).expect("loads");
    let base = memory.layout().pie_base.get();
    assert_eq!(word(&memory, base + 0x3ff0), 0);
    let (_, inode) = program.object.path().expect("a file");
    let caller = Caller::new(Credentials::ROOT, || fs::Timespec::new(0, 0));
    inode.pages().expect("regular").truncate(0x1000, &caller).expect("memory");
    let fault = |at| {
        let at = VirtAddr::new(base + at);
        memory.try_fault(&PageFault { at, write: false, execute: false, present: false })
    };
    assert_eq!(fault(0), Ok(()));
    assert_eq!(fault(0x1000), Err(FaultError::Bus));
    assert_eq!(fault(0x4000), Err(FaultError::Bus), "the private copy is gone too");
    assert_eq!(fault(0x5000), Ok(()), "bss is no part of the file");
}

proptest::proptest! {
    /// Whatever the bytes, loading ends with a program or an error, without a panic.
    #[test]
    fn mutated_programs_load_or_not(
        changes in prop::collection::vec((0_usize..300, any::<u8>()), 1..8),
    ) {
        let mut bytes = file();
        for (at, value) in changes {
            bytes[at] = value;
        }
        if let Ok(program) = executable(&bytes) {
            let memory = new_memory();
            if load(&memory, &program).is_ok() {
                assert!(memory.resident() < 64);
            }
        }
    }

    /// Whatever the bytes, reading ends with an image within bounds or an error.
    #[test]
    fn mutations_never_panic(
        changes in prop::collection::vec((0_usize..300, any::<u8>()), 1..12),
        length in 0_usize..0x3010,
        cut in any::<bool>(),
    ) {
        let mut bytes = file();
        for (at, value) in changes {
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(length);
        }
        if let Ok(image) = read(&bytes) {
            let (low, high) = image.extent();
            assert!(low <= high && image.align.is_power_of_two());
            assert!(image.segments.len() <= 1170);
            assert!(image.interpreter.is_none_or(|path| path.len() < 4096));
        }
    }
}
