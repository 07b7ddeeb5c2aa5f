//! From the bytes of an archive to files, piece by piece.

use crate::{
    Caller, DeviceNumber, Errno, Kind, LookupFlags, Make, OpenFile, OpenFlags, OpenHow, Opened,
    PATH_MAX, Path, SetAttributes, Source, Timespec, Walk,
    cpio::{
        Cause, Error, Unpacked,
        header::{self, Header},
    },
};
use alloc::{collections::BTreeMap, vec::Vec};

const TRAILER: &[u8] = b"TRAILER!!!";

/// Takes the bytes of archives and makes files.
pub(super) struct Unpacker<'a> {
    root: &'a Path,
    caller: &'a Caller<'a>,
    state: State,
    /// Bytes taken since [`start`](Self::start), and what it counts from.
    taken: u64,
    start: u64,
    /// The part of a header, name or link that came so far.
    pending: Vec<u8>,
    /// The first name of each file that has several.
    linked: BTreeMap<(u32, DeviceNumber), Path>,
    /// Directories get their times at the end: making files in them changes those.
    directories: Vec<(Path, Timespec)>,
    unpacked: Unpacked,
}

enum State {
    /// Before an archive, or after its trailer.
    Between,
    /// In a header.
    Header,
    /// In the name after a header.
    Name(Header),
    /// In the bytes of a file.
    Data(Body),
    /// In the text of a symbolic link.
    Link(Header, Vec<u8>),
    /// In bytes that belong to nothing: padding, or the data of what has none.
    Skip(u64),
}

struct Body {
    file: OpenFile,
    header: Header,
    left: u64,
    sum: u32,
}

/// Bytes up to the next multiple of four.
fn padding(length: u64) -> u64 {
    length.wrapping_neg() % 4
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(root: &'a Path, caller: &'a Caller<'a>) -> Self {
        Self {
            root,
            caller,
            state: State::Between,
            taken: 0,
            start: 0,
            pending: Vec::new(),
            linked: BTreeMap::new(),
            directories: Vec::new(),
            unpacked: Unpacked::default(),
        }
    }

    /// Begins to count bytes from `offset`.
    pub(super) fn start(&mut self, offset: u64) {
        (self.start, self.taken) = (offset, 0);
    }

    pub(super) fn error(&self, cause: Cause, member: Option<u64>) -> Error {
        Error { cause, offset: self.start + self.taken, member }
    }

    pub(super) const fn unpacked(&self) -> Unpacked {
        self.unpacked
    }

    /// Whether an archive is complete.
    pub(super) fn finish(&self) -> Result<(), Cause> {
        if matches!(self.state, State::Between) { Ok(()) } else { Err(Cause::Truncated) }
    }

    /// Gives directories their times.
    pub(super) fn settle(&mut self) {
        for (path, modified) in self.directories.drain(..) {
            if let Ok(inode) = path.inode() {
                inode.update_times(|times| times.modified = modified);
            }
        }
    }

    /// Takes bytes up to the trailer of one archive; returns how many.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<usize, Cause> {
        self.state = State::Header;
        let mut rest = bytes;
        while !rest.is_empty() && !matches!(self.state, State::Between) {
            self.step(&mut rest)?;
        }
        Ok(bytes.len() - rest.len())
    }

    /// Takes bytes of any number of archives; returns how many, at least one.
    pub(super) fn push_all(&mut self, bytes: &[u8]) -> Result<usize, Cause> {
        let mut rest = bytes;
        if matches!(self.state, State::Between) {
            let zeros = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len());
            self.take(&mut rest, zeros);
            if rest.is_empty() {
                return Ok(bytes.len());
            }
            if rest[0] != b'0' {
                return Err(Cause::BadMagic);
            }
            self.state = State::Header;
        }
        while !rest.is_empty() && !matches!(self.state, State::Between) {
            self.step(&mut rest)?;
        }
        Ok(bytes.len() - rest.len())
    }

    fn take<'b>(&mut self, rest: &mut &'b [u8], count: usize) -> &'b [u8] {
        let (taken, after) = rest.split_at(count.min(rest.len()));
        *rest = after;
        self.taken += taken.len() as u64;
        taken
    }

    /// Takes one part of an entry, or what there is of it.
    fn step(&mut self, rest: &mut &[u8]) -> Result<(), Cause> {
        match core::mem::replace(&mut self.state, State::Header) {
            State::Between => self.state = State::Between,
            State::Header => self.header(rest)?,
            State::Name(header) => self.name(header, rest)?,
            State::Data(body) => self.data(body, rest)?,
            State::Link(header, name) => self.link(header, name, rest)?,
            State::Skip(left) => {
                let taken = self.take(rest, usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - taken.len() as u64;
                self.state = if left == 0 { State::Header } else { State::Skip(left) };
            }
        }
        Ok(())
    }

    /// Collects `count` bytes; whether they are all there.
    fn collect(&mut self, count: usize, rest: &mut &[u8]) -> bool {
        let taken = self.take(rest, count - self.pending.len());
        self.pending.extend_from_slice(taken);
        self.pending.len() == count
    }

    fn header(&mut self, rest: &mut &[u8]) -> Result<(), Cause> {
        // Between the trailer's padding and the next archive there may be zeros.
        if !self.collect(header::LENGTH, rest) {
            // A magic that is wrong is better named at once than as an early end.
            let known = self.pending.len().min(5);
            return if self.pending[..known] == b"07070"[..known] {
                Ok(())
            } else {
                self.back(self.pending.len());
                Err(Cause::BadMagic)
            };
        }
        let pending = core::mem::take(&mut self.pending);
        let bytes = pending.first_chunk().ok_or(Cause::BadMagic)?;
        let header = Header::parse(bytes).inspect_err(|_| self.back(header::LENGTH))?;
        let size = usize::try_from(header.name_size).unwrap_or(usize::MAX);
        if !(2..=PATH_MAX).contains(&size) {
            self.back(header::LENGTH);
            return Err(Cause::BadName);
        }
        self.state = State::Name(header);
        Ok(())
    }

    /// Counts back, so that an error names the start of what is wrong.
    fn back(&mut self, count: usize) {
        self.taken = self.taken.saturating_sub(count as u64);
    }

    fn name(&mut self, header: Header, rest: &mut &[u8]) -> Result<(), Cause> {
        let size = usize::try_from(header.name_size).unwrap_or(PATH_MAX);
        let padded = size + (header::LENGTH + size).wrapping_neg() % 4;
        if !self.collect(padded, rest) {
            self.state = State::Name(header);
            return Ok(());
        }
        let mut name = core::mem::take(&mut self.pending);
        name.truncate(size);
        let terminated = name.pop() == Some(0) && !name.contains(&0) && !name.is_empty();
        if !terminated {
            self.back(padded);
            return Err(Cause::BadName);
        }
        if name == TRAILER {
            self.linked.clear();
            self.state = State::Between;
            return Ok(());
        }
        self.entry(header, name)
    }

    fn data(&mut self, mut body: Body, rest: &mut &[u8]) -> Result<(), Cause> {
        let taken = self.take(rest, usize::try_from(body.left).unwrap_or(usize::MAX));
        if body.header.checksum.is_some() {
            body.sum = taken.iter().fold(body.sum, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        }
        let mut source = Source::kernel(taken);
        let written = body.file.write(&mut source, self.caller).map_err(Cause::File)?;
        if written != taken.len() {
            return Err(Cause::File(Errno::ENOSPC));
        }
        self.unpacked.bytes += taken.len() as u64;
        body.left -= taken.len() as u64;
        if body.left != 0 {
            self.state = State::Data(body);
            return Ok(());
        }
        if body.header.checksum.is_some_and(|sum| sum != body.sum) {
            return Err(Cause::BadChecksum);
        }
        self.attributes(body.file.path(), &body.header)?;
        self.skip(padding(u64::from(body.header.size)));
        Ok(())
    }

    fn skip(&mut self, count: u64) {
        self.state = if count == 0 { State::Header } else { State::Skip(count) };
    }

    fn link(&mut self, header: Header, name: Vec<u8>, rest: &mut &[u8]) -> Result<(), Cause> {
        let size = usize::try_from(header.size).unwrap_or(PATH_MAX);
        if !self.collect(size, rest) {
            self.state = State::Link(header, name);
            return Ok(());
        }
        let text = core::mem::take(&mut self.pending);
        self.make(&header, &name, Make::Symlink(&text))?;
        self.skip(padding(u64::from(header.size)));
        Ok(())
    }

    fn walk(&self) -> Walk<'a> {
        Walk { caller: self.caller, root: self.root, umask: 0 }
    }

    /// Begins the entry that a header and a name announce.
    fn entry(&mut self, header: Header, name: Vec<u8>) -> Result<(), Cause> {
        self.unpacked.entries += 1;
        let size = u64::from(header.size);
        let what = match header.kind()? {
            Kind::Regular => return self.regular(header, &name),
            Kind::Symlink => {
                if size == 0 || size >= PATH_MAX as u64 {
                    return Err(Cause::BadLink);
                }
                self.state = State::Link(header, name);
                return Ok(());
            }
            Kind::Directory => Make::Directory,
            Kind::Fifo => Make::Fifo,
            Kind::Socket => Make::Socket,
            Kind::Character => Make::Character(header.special),
            Kind::Block => Make::Block(header.special),
        };
        self.make(&header, &name, what)?;
        self.skip(size + padding(size));
        Ok(())
    }

    fn regular(&mut self, header: Header, name: &[u8]) -> Result<(), Cause> {
        let first = self.linked.get(&header.identity).cloned();
        if header.links > 1
            && let Some(first) = &first
        {
            self.clear_way(name, Kind::Regular)?;
            self.parents(name)?;
            self.walk().link(first, self.root, name).map_err(Cause::File)?;
            // The bytes come with one of the names, usually the last.
            if header.size == 0 {
                self.state = State::Header;
                return Ok(());
            }
        } else {
            self.clear_way(name, Kind::Regular)?;
            self.parents(name)?;
        }
        let flags = OpenFlags::CREATE | OpenFlags::WRITE_ONLY | OpenFlags::TRUNCATE;
        let how = OpenHow { flags, mode: header.mode, resolve: LookupFlags::empty() };
        let opened = self.walk().open(self.root, name, &how).map_err(Cause::File)?;
        let Opened::File(file) = opened else { return Err(Cause::File(Errno::EEXIST)) };
        if header.links > 1 {
            self.linked.insert(header.identity, file.path().clone());
        }
        if header.size == 0 {
            self.attributes(file.path(), &header)?;
            self.state = State::Header;
        } else {
            let left = u64::from(header.size);
            self.state = State::Data(Body { file, header, left, sum: 0 });
        }
        Ok(())
    }

    fn make(&mut self, header: &Header, name: &[u8], what: Make<'_>) -> Result<(), Cause> {
        let there = self.clear_way(name, what.kind())?;
        let path = match there {
            Some(path) => path,
            None => {
                self.parents(name)?;
                let made = self.walk().make(self.root, name, what, header.mode);
                made.map_err(Cause::File)?
            }
        };
        self.attributes(&path, header)?;
        if what.kind() == Kind::Directory {
            let modified = Timespec::new(i64::from(header.modified), 0);
            self.directories.push((path, modified));
        }
        Ok(())
    }

    /// Removes what is in the way; what may stay (a directory for a directory) is returned.
    fn clear_way(&self, name: &[u8], kind: Kind) -> Result<Option<Path>, Cause> {
        let walk = self.walk();
        let Ok(there) = walk.resolve(self.root, name, LookupFlags::empty()) else {
            return Ok(None);
        };
        let old = there.inode().map_err(Cause::File)?.kind();
        match (old, kind) {
            (Kind::Directory, Kind::Directory) => return Ok(Some(there)),
            (Kind::Directory, _) => walk.remove_dir(self.root, name),
            _ => walk.unlink(self.root, name),
        }
        .map_err(Cause::File)?;
        Ok(None)
    }

    /// Makes the directories above `name` that the archive left out.
    fn parents(&self, name: &[u8]) -> Result<(), Cause> {
        let walk = self.walk();
        for (end, _) in name.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let above = &name[..end];
            if above.is_empty() || above == b"." {
                continue;
            }
            match walk.make(self.root, above, Make::Directory, 0o755) {
                Ok(_) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(Cause::File(error)),
            }
        }
        Ok(())
    }

    fn attributes(&self, path: &Path, header: &Header) -> Result<(), Cause> {
        let inode = path.inode().map_err(Cause::File)?;
        let owner =
            SetAttributes { uid: Some(header.uid), gid: Some(header.gid), ..Default::default() };
        path.set_attributes(&owner, self.caller).map_err(Cause::File)?;
        if inode.kind() != Kind::Symlink {
            let mode = SetAttributes { mode: Some(header.mode & 0o7777), ..Default::default() };
            path.set_attributes(&mode, self.caller).map_err(Cause::File)?;
        }
        let modified = Timespec::new(i64::from(header.modified), 0);
        inode.update_times(|times| (times.modified, times.accessed) = (modified, modified));
        Ok(())
    }
}
