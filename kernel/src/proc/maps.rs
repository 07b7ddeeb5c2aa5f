//! `/proc/PID/maps`, `smaps`, `smaps_rollup` and `mem`: an address space.

use super::{full, target::Target};
use crate::memory::{Access, Memory, Presence, Role, Vma, VmaFlags};
use abi::{Errno, Result};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec, vec::Vec};
use core::fmt::{self, Write};
use framework::{PAGE_SIZE, Protection, Sink, Source, VirtAddr};
use fs::{Caller, DeviceNumber, FileNode, Inode, OpenNode, Path, generated::Body};

/// The mappings, copied so that no lock is held while they are written.
fn mappings(memory: &Memory) -> Vec<(Vma, Role)> {
    let mut all = Vec::new();
    memory.for_each_mapping(VirtAddr::new(0), &mut |vma, role| {
        all.push((vma.clone(), role));
        true
    });
    all
}

/// The root that paths are shown from: the reader's own is not known here, so the target's.
fn root_of(target: &Target) -> Option<Path> {
    let thread = target.thread()?;
    let context = thread.view.lock().fs.clone()?;
    Some(context.places().root)
}

/// What stands behind a mapping: device, inode number and name.
fn backing(vma: &Vma, role: Role, root: Option<&Path>) -> (DeviceNumber, u64, Option<String>) {
    let none = DeviceNumber::default();
    let Some(object) = &vma.object else {
        let name = match role {
            Role::Heap => Some("[heap]"),
            Role::Stack => Some("[stack]"),
            Role::Other => None,
        };
        return (none, 0, name.map(String::from));
    };
    let Some((path, inode)) = object.path() else {
        return (none, 0, Some(String::from(object.name())));
    };
    let name = root.map(|root| path.display(root)).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).replace('\n', "\\012");
    // The file the program knows, which may show the pages of another.
    let inode = path.inode().unwrap_or(inode);
    (inode.super_block().device(), inode.number(), Some(name))
}

/// One line of `maps`.
fn write_line(vma: &Vma, role: Role, root: Option<&Path>, out: &mut dyn Write) -> fmt::Result {
    /// The column names start in.
    const NAME_COLUMN: usize = 73;
    let (device, number, name) = backing(vma, role, root);
    let letter = |right, letter| if vma.protection.contains(right) { letter } else { '-' };
    let offset = if vma.object.is_some() { vma.offset * PAGE_SIZE as u64 } else { 0 };
    let mut line = format!(
        "{:08x}-{:08x} {}{}{}{} {offset:08x} {:02x}:{:02x} {number} ",
        vma.start.get(),
        vma.end.get(),
        letter(Protection::READ, 'r'),
        letter(Protection::WRITE, 'w'),
        letter(Protection::EXECUTE, 'x'),
        if vma.is_shared() { 's' } else { 'p' },
        device.major,
        device.minor,
    );
    if let Some(name) = name {
        while line.len() < NAME_COLUMN {
            line.push(' ');
        }
        line.push_str(&name);
    }
    writeln!(out, "{line}")
}

/// `/proc/PID/maps`.
///
/// Source: proc_pid_maps(5)
pub(super) fn show(target: &Target, out: &mut dyn Write, _caller: &Caller<'_>) -> Result<()> {
    let Some(memory) = target.memory() else { return Ok(()) };
    let root = root_of(target);
    mappings(&memory)
        .iter()
        .try_for_each(|(vma, role)| write_line(vma, *role, root.as_ref(), out))
        .map_err(full)
}

/// What `smaps` says of one mapping or of all.
#[derive(Default)]
struct Sizes {
    presence: Presence,
    mapped: usize,
    locked: usize,
}

impl Sizes {
    fn add(&mut self, vma: &Vma, presence: &Presence) {
        let sum = &mut self.presence;
        sum.resident += presence.resident;
        sum.proportional += presence.proportional;
        sum.shared_clean += presence.shared_clean;
        sum.shared_dirty += presence.shared_dirty;
        sum.private_clean += presence.private_clean;
        sum.private_dirty += presence.private_dirty;
        sum.referenced += presence.referenced;
        sum.anonymous += presence.anonymous;
        self.mapped += vma.pages();
        if vma.flags.contains(VmaFlags::LOCKED) {
            self.locked += presence.proportional / 1024;
        }
    }

    fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let presence = &self.presence;
        let pages = |pages: usize| pages * (PAGE_SIZE / 1024);
        // The share of dirty pages in what is present stands for that of each sharer.
        let dirty = presence.shared_dirty + presence.private_dirty;
        let dirty_part = presence.proportional / 1024 * dirty / presence.resident.max(1);
        let lines = [
            ("Rss:", pages(presence.resident)),
            ("Pss:", presence.proportional / 1024),
            ("Pss_Dirty:", dirty_part),
            ("Shared_Clean:", pages(presence.shared_clean)),
            ("Shared_Dirty:", pages(presence.shared_dirty)),
            ("Private_Clean:", pages(presence.private_clean)),
            ("Private_Dirty:", pages(presence.private_dirty)),
            ("Referenced:", pages(presence.referenced)),
            ("Anonymous:", pages(presence.anonymous)),
            ("Swap:", 0),
            ("SwapPss:", 0),
            ("Locked:", self.locked),
        ];
        lines.iter().try_for_each(|(name, size)| writeln!(out, "{name:<16}{size:8} kB"))
    }
}

/// `/proc/PID/smaps`.
///
/// Source: proc_pid_smaps(5)
pub(super) fn show_sizes(target: &Target, out: &mut dyn Write, _caller: &Caller<'_>) -> Result<()> {
    let Some(memory) = target.memory() else { return Ok(()) };
    let root = root_of(target);
    let write = |(vma, role): &(Vma, Role)| {
        write_line(vma, *role, root.as_ref(), out)?;
        writeln!(out, "{:<16}{:8} kB", "Size:", vma.bytes() / 1024)?;
        writeln!(out, "{:<16}{:8} kB", "KernelPageSize:", PAGE_SIZE / 1024)?;
        writeln!(out, "{:<16}{:8} kB", "MMUPageSize:", PAGE_SIZE / 1024)?;
        let mut sizes = Sizes::default();
        sizes.add(vma, &memory.presence(vma));
        sizes.write(out)?;
        write_flags(vma, out)
    };
    mappings(&memory).iter().try_for_each(write).map_err(full)
}

fn write_flags(vma: &Vma, out: &mut dyn Write) -> fmt::Result {
    let may = |right| vma.maximum.contains(right);
    let can = |right| vma.protection.contains(right);
    let has = |flag| vma.flags.contains(flag);
    let flags = [
        (can(Protection::READ), "rd"),
        (can(Protection::WRITE), "wr"),
        (can(Protection::EXECUTE), "ex"),
        (vma.is_shared(), "sh"),
        (may(Protection::READ), "mr"),
        (may(Protection::WRITE), "mw"),
        (may(Protection::EXECUTE), "me"),
        (vma.is_shared() && may(Protection::READ), "ms"),
        (has(VmaFlags::GROWS_DOWN), "gd"),
        (has(VmaFlags::LOCKED), "lo"),
        (has(VmaFlags::SEQUENTIAL), "sr"),
        (has(VmaFlags::RANDOM), "rr"),
        (has(VmaFlags::DONT_FORK), "dc"),
        (has(VmaFlags::DONT_EXPAND), "de"),
        (has(VmaFlags::ACCOUNTED), "ac"),
        (has(VmaFlags::NO_RESERVE), "nr"),
        (has(VmaFlags::WIPE_ON_FORK), "wf"),
        (has(VmaFlags::DONT_DUMP), "dd"),
        (has(VmaFlags::HUGE_PAGE), "hg"),
        (has(VmaFlags::NO_HUGE_PAGE), "nh"),
        (has(VmaFlags::MERGEABLE), "mg"),
    ];
    out.write_str("VmFlags: ")?;
    flags.iter().filter(|(set, _)| *set).try_for_each(|(_, name)| write!(out, "{name} "))?;
    out.write_char('\n')
}

/// `/proc/PID/smaps_rollup`.
pub(super) fn show_sums(target: &Target, out: &mut dyn Write, _caller: &Caller<'_>) -> Result<()> {
    let Some(memory) = target.memory() else { return Ok(()) };
    let all = mappings(&memory);
    let mut sizes = Sizes::default();
    for (vma, _) in &all {
        sizes.add(vma, &memory.presence(vma));
    }
    let start = all.first().map_or(0, |(vma, _)| vma.start.get());
    let end = all.last().map_or(0, |(vma, _)| vma.end.get());
    let head = format!("{start:08x}-{end:08x} ---p 00000000 00:00 0 ");
    writeln!(out, "{head:<73}[rollup]").and_then(|()| sizes.write(out)).map_err(full)
}

impl Memory {
    /// Pages that are present and of a file or another object.
    pub(super) fn shared_pages(&self) -> usize {
        let of_objects = mappings(self).into_iter().filter(|(vma, _)| vma.object.is_some());
        let presence = of_objects.map(|(vma, _)| self.presence(&vma));
        presence.map(|presence| presence.resident - presence.anonymous).sum()
    }
}

/// `/proc/PID/mem`: the address space as a file.
pub(super) fn memory_file(target: Target) -> Body {
    Body::Special(Arc::new(MemoryFile(target)))
}

struct MemoryFile(Target);

impl FileNode for MemoryFile {
    fn open(&self, _inode: &Arc<Inode>, caller: &Caller<'_>) -> Result<Box<dyn OpenNode>> {
        self.0.check_access(caller)?;
        Ok(Box::new(OpenMemory(self.0.memory())))
    }
}

/// An opening, which keeps the address space it was opened on.
struct OpenMemory(Option<Arc<Memory>>);

impl OpenMemory {
    /// Moves page by page through a buffer.
    fn each_piece(
        &self,
        offset: u64,
        len: usize,
        mut step: impl FnMut(&Memory, VirtAddr, &mut [u8]) -> Result<usize>,
    ) -> Result<usize> {
        let Some(memory) = &self.0 else { return Ok(0) };
        let start = usize::try_from(offset).map_err(|_| Errno::EIO)?;
        let mut buffer = vec![0; PAGE_SIZE.min(len)];
        let mut done = 0;
        while done < len {
            let at = VirtAddr::new(start.checked_add(done).ok_or(Errno::EIO)?);
            let piece = (PAGE_SIZE - at.page_offset()).min(len - done);
            match step(memory, at, &mut buffer[..piece]) {
                Ok(moved) if moved > 0 => done += moved,
                Ok(_) | Err(Errno::EIO) => break,
                Err(errno) => return Err(errno),
            }
        }
        if done == 0 && len > 0 { Err(Errno::EIO) } else { Ok(done) }
    }
}

impl OpenNode for OpenMemory {
    fn read(&self, offset: u64, to: &mut Sink<'_>, _caller: &Caller<'_>) -> Result<usize> {
        self.each_piece(offset, to.remaining(), |memory, at, buffer| {
            let got = memory.read_at(at, buffer, Access::Forced);
            Ok(to.write(&buffer[..got])?)
        })
    }

    fn write(&self, offset: u64, from: &mut Source<'_>, _caller: &Caller<'_>) -> Result<usize> {
        self.each_piece(offset, from.remaining(), |memory, at, buffer| {
            let before = from.done();
            from.read(buffer)?;
            let put = memory.write_at(at, buffer, Access::Forced);
            from.rewind(before + put);
            Ok(put)
        })
    }
}
