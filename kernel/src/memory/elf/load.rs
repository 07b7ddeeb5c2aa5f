//! Mapping a program and its interpreter into a new address space.

use super::{Arguments, Identity, Image, Segment, stack::Stack};
use crate::memory::{
    Memory, Object, State, Vma, VmaFlags, change, remote::Access, vma::pages_between,
};
use abi::{Errno, Result};
use alloc::sync::Arc;
use core::ops::Range;
use framework::{PAGE_SIZE, Protection, USER_END, USER_START, VirtAddr};
use fs::{Inode, Path};

/// A program file: what it says, and its pages.
#[derive(Clone, Debug)]
pub struct Executable {
    /// Its headers.
    pub image: Image,
    /// Its pages.
    pub object: Arc<Object>,
    /// Keeps the file from being written while it runs.
    pub running: Option<Arc<Running>>,
}

/// A file a program runs from: nobody may write it (`ETXTBSY`).
#[derive(Debug)]
pub struct Running {
    path: Path,
    inode: Arc<Inode>,
}

impl Running {
    fn new(path: &Path, inode: &Arc<Inode>) -> Result<Arc<Self>> {
        inode.deny_write_access()?;
        Ok(Arc::new(Self { path: path.clone(), inode: inode.clone() }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.inode.allow_write_access();
    }
}

impl Executable {
    /// Reads the program in a regular file; permission to execute it was checked.
    ///
    /// # Errors
    /// - `ETXTBSY`: it is open for writing.
    /// - `EACCES`: no file that can be mapped.
    /// - `ENOEXEC`, `EINVAL`: no program, or one that cannot be loaded.
    /// - `MISS`: a page has to be read from a disk.
    pub fn open(path: &Path, inode: &Arc<Inode>) -> Result<Self> {
        let running = Running::new(path, inode)?;
        let object = Object::file(path, inode, false).map_err(|_| Errno::EACCES)?;
        let image = Image::read(&mut |offset, to| object.read_at(offset, to))?;
        Ok(Self { image, object, running: Some(running) })
    }
}

/// What execve loads.
#[derive(Debug)]
pub struct LoadRequest<'a> {
    /// The program.
    pub program: &'a Executable,
    /// What it names as its interpreter, if it does.
    pub interpreter: Option<&'a Executable>,
    /// Arguments and environment.
    pub arguments: &'a Arguments,
    /// The path it was called by, for `AT_EXECFN`.
    pub file_name: &'a [u8],
    /// Who runs it, for the auxiliary vector.
    pub identity: Identity,
    /// `AT_RANDOM`.
    pub random: [u8; 16],
    /// Bytes the stack pointer is moved down at random, below 8 KiB.
    pub stack_shift: usize,
}

/// Where a loaded program begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The first instruction.
    pub entry: VirtAddr,
    /// The stack pointer.
    pub stack: VirtAddr,
}

impl Memory {
    /// The file the program was loaded from.
    pub fn program_path(&self) -> Option<Path> {
        Some(self.state.lock().program.as_ref()?.path.clone())
    }

    /// Maps a program, its interpreter, the vDSO and the first stack into this new address space.
    ///
    /// # Errors
    /// - `ENOMEM`, `EINVAL`, `EPERM`: a segment lies where none can, or there is no room.
    /// - `E2BIG`: the arguments do not fit the stack's limit.
    /// - `EFAULT`: a page of the file that has to be changed cannot be read.
    ///
    /// Source: execve(2)
    pub fn load(&self, request: &LoadRequest<'_>) -> Result<Loaded> {
        let image = &request.program.image;
        let (base, high) = {
            let mut state = self.state.lock();
            let base = self.map_program(&mut state, request.program)?;
            set_areas(&mut state, image, base);
            state.program = request.program.running.clone();
            (base, VirtAddr::new(base.wrapping_add(number(image.extent().1))))
        };
        let mut entry = base.wrapping_add(number(image.entry));
        let mut interpreter_base = 0;
        if let Some(interpreter) = request.interpreter {
            interpreter_base = self.map_interpreter(&mut self.state.lock(), interpreter)?;
            entry = interpreter_base.wrapping_add(number(interpreter.image.entry));
        }
        self.zero_tails(&request.program.image, base)?;
        if let Some(interpreter) = request.interpreter {
            self.zero_tails(&interpreter.image, interpreter_base)?;
        }
        if entry >= USER_END.get() {
            return Err(Errno::EINVAL);
        }
        let vdso = self.map_vdso()?;
        {
            let mut state = self.state.lock();
            let start = VirtAddr::new(high.get() + state.layout.break_gap);
            state.layout.break_start = start;
            state.layout.break_end = start;
        }
        let stack = Stack {
            request,
            headers: image.headers_address.map_or(0, |at| base.wrapping_add(number(at))),
            program_entry: base.wrapping_add(number(image.entry)),
            interpreter_base,
            vdso,
        };
        Ok(Loaded { entry: VirtAddr::new(entry), stack: stack.build(self)? })
    }

    /// Maps the program; returns what is added to its addresses.
    fn map_program(&self, state: &mut State, program: &Executable) -> Result<usize> {
        let image = &program.image;
        let mut base = 0;
        if image.relocatable {
            let (low, _) = image.extent();
            let align = number(image.align.max(PAGE_SIZE as u64));
            let wanted = state.layout.pie_base.get() & !(align - 1);
            base = wanted.checked_sub(number(low)).ok_or(Errno::ENOMEM)? & !(align - 1);
        }
        self.map_segments(state, program, base)?;
        Ok(base)
    }

    /// Maps the interpreter where there is room; returns what is added to its addresses.
    fn map_interpreter(&self, state: &mut State, interpreter: &Executable) -> Result<usize> {
        let image = &interpreter.image;
        let mut base = 0;
        if image.relocatable {
            let (low, high) = image.extent();
            let align = number(image.align.max(PAGE_SIZE as u64));
            let room = number(high - low).checked_add(align - PAGE_SIZE).ok_or(Errno::ENOMEM)?;
            let start = change::find_gap(state, room, false).ok_or(Errno::ENOMEM)?;
            let start = start.get().next_multiple_of(align);
            base = start.wrapping_sub(number(low));
        }
        self.map_segments(state, interpreter, base)?;
        Ok(base)
    }

    fn map_segments(&self, state: &mut State, program: &Executable, base: usize) -> Result<()> {
        for segment in &program.image.segments {
            let Some(places) = Places::of(segment, base)? else { continue };
            if !places.file.is_empty() {
                let mut vma = new_vma(segment, places.file.clone());
                vma.object = Some(program.object.clone());
                vma.offset = segment.offset / PAGE_SIZE as u64;
                self.place_vma(state, vma)?;
            }
            if !places.zero.is_empty() {
                self.place_vma(state, new_vma(segment, places.zero.clone()))?;
            }
        }
        program.object.attach(&self.this);
        Ok(())
    }

    /// Puts a mapping in place of what is there.
    fn place_vma(&self, state: &mut State, vma: Vma) -> Result<()> {
        self.check_room(state, &vma, 0)?;
        self.remove_locked(state, &vma.range())?;
        state.map.insert(vma)?;
        self.note_mapped(state);
        Ok(())
    }

    /// Zeroes what follows the file's part in the last page of each segment.
    fn zero_tails(&self, image: &Image, base: usize) -> Result<()> {
        static ZEROS: [u8; PAGE_SIZE] = [0; PAGE_SIZE];
        for segment in &image.segments {
            let Some(places) = Places::of(segment, base)? else { continue };
            let tail = places.tail;
            let len = tail.end - tail.start;
            if segment.protection.contains(Protection::WRITE)
                && self.write_at(tail.start, &ZEROS[..len], Access::Allowed) != len
            {
                return Err(Errno::EFAULT);
            }
        }
        Ok(())
    }
}

/// The parts of a segment in memory.
struct Places {
    /// Whole pages of the file.
    file: Range<VirtAddr>,
    /// What follows the file's part in its last page, if the segment is longer than that part.
    tail: Range<VirtAddr>,
    /// Whole pages of zeros.
    zero: Range<VirtAddr>,
}

impl Places {
    /// The parts of `segment` at `base`; `None` if it is empty.
    fn of(segment: &Segment, base: usize) -> Result<Option<Self>> {
        if segment.memory_size == 0 {
            return Ok(None);
        }
        let start = base.wrapping_add(number(segment.address));
        let memory_end = start.checked_add(number(segment.memory_size)).ok_or(Errno::EINVAL)?;
        if memory_end > USER_END.get() {
            return Err(Errno::EINVAL);
        }
        if start < USER_START.get() {
            return Err(Errno::EPERM);
        }
        let file_end = start + number(segment.file_size);
        let first = VirtAddr::new(start).page();
        let up = |at: usize| VirtAddr::new(at.next_multiple_of(PAGE_SIZE));
        let file = if segment.file_size == 0 { first..first } else { first..up(file_end) };
        // To the end of the page: dynamic loaders allocate there, behind their own variables.
        let has_tail = !file.is_empty() && memory_end > file_end;
        let tail = if has_tail { VirtAddr::new(file_end)..file.end } else { first..first };
        let zero = file.end..up(memory_end).max(file.end);
        Ok(Some(Self { file, tail, zero }))
    }
}

fn new_vma(segment: &Segment, range: Range<VirtAddr>) -> Vma {
    let mut flags = VmaFlags::empty();
    flags.set(VmaFlags::ACCOUNTED, segment.protection.contains(Protection::WRITE));
    Vma {
        start: range.start,
        end: range.end,
        protection: segment.protection,
        maximum: change::ALL,
        flags,
        offset: pages_between(VirtAddr::default(), range.start),
        object: None,
        has_own_pages: false,
    }
}

/// Notes code and data of the program, for `/proc/PID/stat`.
fn set_areas(state: &mut State, image: &Image, base: usize) {
    let at = |address: u64| VirtAddr::new(base.wrapping_add(number(address)));
    let (code, data): (alloc::vec::Vec<_>, alloc::vec::Vec<_>) =
        image.segments.iter().partition(|segment| segment.protection.contains(Protection::EXECUTE));
    let area = |segments: &[&Segment]| {
        let start = segments.iter().map(|segment| segment.address).min().unwrap_or(0);
        let end = segments.iter().map(|segment| segment.address + segment.file_size).max();
        (at(start), at(end.unwrap_or(start)))
    };
    state.layout.code = area(&code);
    state.layout.data = area(&data);
}

/// A number of the file as an address; all were checked to be below the end of the user half, or
/// are only added modulo 2^64.
fn number(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
