//! The first stack: strings, auxiliary vector, environment, arguments.
//!
//! ```text
//!   top   0 | path | environment strings | argument strings     (8 bytes of zeros on top)
//!           random shift | "x86_64" | 16 random bytes | alignment
//!           auxiliary vector | 0 | environment pointers | 0 | argument pointers
//!   rsp ──▶ argument count                                       (aligned to 16)
//! ```

use super::{HEADER_SIZE, LoadRequest};
use crate::memory::{Memory, Vma, VmaFlags, change, limits, map::GUARD_GAP, remote::Access};
use abi::{Errno, Result, memory::auxv};
use alloc::vec::Vec;
use framework::{PAGE_SIZE, Protection, VirtAddr};

/// Who runs a program, and on what: entries of the auxiliary vector.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective group.
    pub egid: u32,
    /// Whether the program gained rights (`AT_SECURE`).
    pub secure: bool,
    /// Bytes a signal's frame needs (`AT_MINSIGSTKSZ`).
    pub min_signal_stack: usize,
}

/// Pages mapped for the stack below its first contents, as Linux does.
const ROOM: usize = 128 << 10;
/// `AT_CLKTCK`.
const CLOCK_TICKS: u64 = 100;
/// `AT_PLATFORM`.
const PLATFORM: &[u8] = b"x86_64\0";

/// What the stack is built from.
pub(super) struct Stack<'a> {
    pub(super) request: &'a LoadRequest<'a>,
    pub(super) headers: usize,
    pub(super) program_entry: usize,
    pub(super) interpreter_base: usize,
    pub(super) vdso: Option<VirtAddr>,
}

impl Stack<'_> {
    /// Maps and fills the stack of `memory`; returns the stack pointer.
    pub(super) fn build(&self, memory: &Memory) -> Result<VirtAddr> {
        let request = self.request;
        let (strings, argument_bytes) = request.arguments.block();
        let top = memory.state.lock().layout.stack_top;
        let path = top - 8 - (request.file_name.len() + 1);
        // An empty list of arguments is one empty string: programs rely on the first.
        let (argument_count, environment_count) = request.arguments.counts();
        let missing = usize::from(argument_count == 0);
        let strings_at = path - strings.len();
        let arguments_at = strings_at - missing;
        let platform = (arguments_at.get() - request.stack_shift % 8192 - PLATFORM.len()) & !15;
        let random = platform - request.random.len();
        let vector = self.auxiliary(path, VirtAddr::new(platform), VirtAddr::new(random));
        let pointers = 1 + argument_count + missing + 1 + environment_count + 1 + vector.len() * 2;
        let stack = VirtAddr::new((random - pointers * size_of::<u64>()) & !15);

        let mut table = Vec::new();
        table.try_reserve_exact(pointers * size_of::<u64>()).map_err(|_| Errno::ENOMEM)?;
        let mut push = |value: usize| table.extend_from_slice(&value.to_le_bytes());
        push(argument_count + missing);
        if missing > 0 {
            push(arguments_at.get());
        }
        push_strings(&mut push, request.arguments.arguments(), strings_at);
        push_strings(&mut push, request.arguments.environment(), strings_at + argument_bytes);
        for (kind, value) in vector {
            push(kind as usize);
            push(value);
        }

        self.map(memory, stack, top)?;
        let mut state = memory.state.lock();
        state.layout.stack_start = stack;
        state.layout.arguments = (arguments_at, strings_at + argument_bytes);
        state.layout.environment = (strings_at + argument_bytes, path);
        drop(state);
        put(memory, stack, &table)?;
        put(memory, VirtAddr::new(random), &request.random)?;
        put(memory, VirtAddr::new(platform), PLATFORM)?;
        put(memory, strings_at, strings)?;
        put(memory, path, request.file_name)?;
        Ok(stack)
    }

    fn auxiliary(&self, path: VirtAddr, platform: VirtAddr, random: VirtAddr) -> Vec<(u32, usize)> {
        let number = |value: u64| usize::try_from(value).unwrap_or(0);
        let identity = &self.request.identity;
        let id = |id: u32| number(u64::from(id));
        let mut vector = Vec::with_capacity(24);
        if let Some(vdso) = self.vdso {
            vector.push((auxv::AT_SYSINFO_EHDR, vdso.get()));
        }
        vector.extend([
            // What the CPU says of itself (CPUID 1, EDX).
            (auxv::AT_HWCAP, id(core::arch::x86_64::__cpuid(1).edx)),
            (auxv::AT_PAGESZ, PAGE_SIZE),
            (auxv::AT_CLKTCK, number(CLOCK_TICKS)),
            (auxv::AT_PHDR, self.headers),
            (auxv::AT_PHENT, HEADER_SIZE),
            (auxv::AT_PHNUM, usize::from(self.request.program.image.header_count)),
            (auxv::AT_BASE, self.interpreter_base),
            (auxv::AT_FLAGS, 0),
            (auxv::AT_ENTRY, self.program_entry),
            (auxv::AT_UID, id(identity.uid)),
            (auxv::AT_EUID, id(identity.euid)),
            (auxv::AT_GID, id(identity.gid)),
            (auxv::AT_EGID, id(identity.egid)),
            (auxv::AT_SECURE, usize::from(identity.secure)),
            (auxv::AT_RANDOM, random.get()),
            (auxv::AT_HWCAP2, 0),
            (auxv::AT_EXECFN, path.get()),
            (auxv::AT_PLATFORM, platform.get()),
            (auxv::AT_MINSIGSTKSZ, identity.min_signal_stack),
            (auxv::AT_NULL, 0),
        ]);
        vector
    }

    /// Maps the stack from `top` down to below `stack`.
    fn map(&self, memory: &Memory, stack: VirtAddr, top: VirtAddr) -> Result<()> {
        let used = stack.page();
        if !limits::allows(&memory.limits.stack, (top - used) / PAGE_SIZE) {
            return Err(Errno::E2BIG);
        }
        let with_room = VirtAddr::new(used.get() - ROOM);
        let fits = limits::allows(&memory.limits.stack, (top - with_room) / PAGE_SIZE);
        let start = if fits { with_room } else { used };
        let mut protection = Protection::READ | Protection::WRITE;
        protection.set(Protection::EXECUTE, self.request.program.image.executable_stack);
        let vma = Vma {
            start,
            end: top,
            protection,
            maximum: change::ALL,
            flags: VmaFlags::GROWS_DOWN | VmaFlags::ACCOUNTED,
            offset: (start.get() / PAGE_SIZE) as u64,
            object: None,
            has_own_pages: false,
        };
        let mut state = memory.state.lock();
        let guarded = VirtAddr::new(start.get() - GUARD_GAP)..top;
        if !state.map.overlapping(&guarded).is_empty() {
            return Err(Errno::ENOMEM);
        }
        memory.check_room(&state, &vma, 0)?;
        state.map.insert(vma)?;
        memory.note_mapped(&state);
        Ok(())
    }
}

/// Pushes the addresses of strings that lie one after the other from `at` on, and a null.
fn push_strings<'a>(
    push: &mut impl FnMut(usize),
    strings: impl Iterator<Item = &'a [u8]>,
    mut at: VirtAddr,
) {
    for string in strings {
        push(at.get());
        at = at + (string.len() + 1);
    }
    push(0);
}

/// Writes to the new stack, whose pages are zero.
fn put(memory: &Memory, at: VirtAddr, bytes: &[u8]) -> Result<()> {
    if memory.write_at(at, bytes, Access::Allowed) == bytes.len() {
        Ok(())
    } else {
        Err(Errno::ENOMEM)
    }
}
