//! Programs: ELF files for x86-64, as elf(5) and Linux read them.
//!
//! [`Image::read`] takes nothing for granted: the file is the program's author's, not ours. It
//! reads the two tables it needs, each of bounded size, and refuses what cannot be loaded.

mod arguments;
mod load;
mod stack;

pub use arguments::Arguments;
pub use load::{Executable, LoadRequest, Loaded, Running};
pub use stack::Identity;

use abi::{Errno, Result};
use alloc::vec::Vec;
use framework::{Protection, USER_END};
use zerocopy::{
    FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout,
    little_endian::{U16, U32, U64},
};

/// `e_type` of a program at fixed addresses.
const ET_EXEC: u16 = 2;
/// `e_type` of a position-independent program or library.
const ET_DYN: u16 = 3;
/// `e_machine` of x86-64.
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;

/// The most program headers: 64 KiB of them.
const MAX_HEADERS: u16 = 1170;
/// The longest path of an interpreter, its NUL included.
const MAX_INTERPRETER: u64 = 4096;

/// The file header.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Debug)]
#[repr(C)]
struct FileHeader {
    magic: [u8; 4],
    class: u8,
    data: u8,
    ident_version: u8,
    os_abi: u8,
    padding: [u8; 8],
    kind: U16,
    machine: U16,
    version: U32,
    entry: U64,
    program_headers: U64,
    section_headers: U64,
    flags: U32,
    size: U16,
    program_header_size: U16,
    program_header_count: U16,
    section_header_size: U16,
    section_header_count: U16,
    section_names: U16,
}

/// A program header.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Debug)]
#[repr(C)]
struct ProgramHeader {
    kind: U32,
    flags: U32,
    offset: U64,
    address: U64,
    physical: U64,
    file_size: U64,
    memory_size: U64,
    align: U64,
}

/// Bytes of a program header.
pub(super) const HEADER_SIZE: usize = size_of::<ProgramHeader>();

/// A part of the file to map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file.
    pub offset: u64,
    /// Where it begins in memory, relative to the image's base.
    pub address: u64,
    /// Bytes of it in the file.
    pub file_size: u64,
    /// Bytes of it in memory; what the file does not give is zero.
    pub memory_size: u64,
    /// The rights.
    pub protection: Protection,
}

/// What a file says about the program in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Whether it can lie anywhere.
    pub relocatable: bool,
    /// Where it begins to run, relative to its base.
    pub entry: u64,
    /// Where its program headers lie in memory, relative to its base, if anywhere.
    pub headers_address: Option<u64>,
    /// How many program headers there are.
    pub header_count: u16,
    /// What to map, in the order of the file.
    pub segments: Vec<Segment>,
    /// The alignment its base needs; a power of two.
    pub align: u64,
    /// The path of the program that is to load it.
    pub interpreter: Option<Vec<u8>>,
    /// Whether its stack is to be executable.
    pub executable_stack: bool,
}

/// Reads bytes of a file at an offset; returns how many, fewer only at the end.
pub type ReadAt<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> Result<usize>;

impl Image {
    /// Reads the headers of a program through `read`.
    ///
    /// # Errors
    /// - `ENOEXEC`: no program for this machine, or a malformed one.
    /// - `EINVAL`: a segment lies where none can.
    /// - `ENOMEM`: no memory for the headers.
    /// - what `read` fails with.
    pub fn read(read: ReadAt<'_>) -> Result<Self> {
        let mut header = FileHeader::new_zeroed();
        read_exact(read, 0, header.as_mut_bytes())?;
        check(&header)?;
        let count = header.program_header_count.get();
        let headers = read_headers(read, header.program_headers.get(), count)?;
        let mut image = Self {
            relocatable: header.kind.get() == ET_DYN,
            entry: header.entry.get(),
            headers_address: None,
            header_count: count,
            segments: Vec::new(),
            align: 1,
            interpreter: None,
            executable_stack: false,
        };
        for header in &headers {
            match header.kind.get() {
                PT_LOAD => image.add_segment(header)?,
                PT_INTERP if image.interpreter.is_none() => {
                    image.interpreter = Some(read_interpreter(read, header)?);
                }
                PT_PHDR => image.headers_address = Some(header.address.get()),
                PT_GNU_STACK => image.executable_stack = header.flags.get() & PF_X != 0,
                _ => {}
            }
        }
        if image.segments.is_empty() {
            return Err(if image.relocatable { Errno::EINVAL } else { Errno::ENOEXEC });
        }
        if image.headers_address.is_none() {
            image.headers_address = image.address_of(header.program_headers.get());
        }
        Ok(image)
    }

    fn add_segment(&mut self, header: &ProgramHeader) -> Result<()> {
        let (file_size, memory_size) = (header.file_size.get(), header.memory_size.get());
        let (address, offset) = (header.address.get(), header.offset.get());
        let end = address.checked_add(memory_size).ok_or(Errno::EINVAL)?;
        if file_size > memory_size || end > USER_END.get() as u64 {
            return Err(Errno::EINVAL);
        }
        let misaligned = address % 4096 != offset % 4096 && file_size > 0;
        if misaligned || offset.checked_add(file_size).is_none_or(|end| end > i64::MAX as u64) {
            return Err(Errno::EINVAL);
        }
        let flags = header.flags.get();
        let mut protection = Protection::empty();
        protection.set(Protection::READ, flags & PF_R != 0);
        protection.set(Protection::WRITE, flags & PF_W != 0);
        protection.set(Protection::EXECUTE, flags & PF_X != 0);
        let align = header.align.get();
        if align.is_power_of_two() {
            self.align = self.align.max(align);
        }
        self.segments.push(Segment { offset, address, file_size, memory_size, protection });
        Ok(())
    }

    /// Where the byte at `offset` of the file lies in memory.
    fn address_of(&self, offset: u64) -> Option<u64> {
        self.segments
            .iter()
            .find(|segment| segment.offset <= offset && offset - segment.offset < segment.file_size)
            .map(|segment| segment.address + (offset - segment.offset))
    }

    /// The lowest address and one past the highest, in whole pages.
    pub fn extent(&self) -> (u64, u64) {
        let low = self.segments.iter().map(|segment| segment.address).min().unwrap_or(0);
        let high = self.segments.iter().map(|segment| segment.address + segment.memory_size).max();
        (low & !4095, high.unwrap_or(0).next_multiple_of(4096))
    }
}

/// Whether a file header is of a program this machine runs.
fn check(header: &FileHeader) -> Result<()> {
    let good = header.magic == *b"\x7fELF"
        && header.class == 2
        && header.data == 1
        && matches!(header.kind.get(), ET_EXEC | ET_DYN)
        && header.machine.get() == EM_X86_64
        && usize::from(header.program_header_size.get()) == HEADER_SIZE
        && (1..=MAX_HEADERS).contains(&header.program_header_count.get());
    if good { Ok(()) } else { Err(Errno::ENOEXEC) }
}

fn read_headers(read: ReadAt<'_>, offset: u64, count: u16) -> Result<Vec<ProgramHeader>> {
    let mut headers = Vec::new();
    headers.try_reserve_exact(usize::from(count)).map_err(|_| Errno::ENOMEM)?;
    headers.resize(usize::from(count), ProgramHeader::new_zeroed());
    read_exact(read, offset, headers.as_mut_slice().as_mut_bytes())?;
    Ok(headers)
}

fn read_interpreter(read: ReadAt<'_>, header: &ProgramHeader) -> Result<Vec<u8>> {
    let len = header.file_size.get();
    if !(2..=MAX_INTERPRETER).contains(&len) {
        return Err(Errno::ENOEXEC);
    }
    let len = usize::try_from(len).map_err(|_| Errno::ENOEXEC)?;
    let mut path = Vec::new();
    path.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    path.resize(len, 0);
    read_exact(read, header.offset.get(), &mut path)?;
    if path.pop() != Some(0) {
        return Err(Errno::ENOEXEC);
    }
    // What follows an earlier NUL is not part of the path.
    let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
    path.truncate(end);
    Ok(path)
}

fn read_exact(read: ReadAt<'_>, offset: u64, to: &mut [u8]) -> Result<()> {
    if offset.checked_add(to.len() as u64).is_none_or(|end| end > i64::MAX as u64) {
        return Err(Errno::ENOEXEC);
    }
    if read(offset, to)? == to.len() { Ok(()) } else { Err(Errno::ENOEXEC) }
}

#[cfg(test)]
mod tests;
