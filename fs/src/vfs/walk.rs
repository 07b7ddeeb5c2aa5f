//! From a name to a place: path_resolution(7).
//!
//! A [`Walk`] goes component by component through the dentry cache. A symbolic link puts its text
//! in front of what is left of the name, so depth costs no stack.

use crate::{
    Access, Caller, Dentry, Errno, Inode, Kind, MountFlags, Path, Result, Role, vfs::dentry::Name,
};
use alloc::{borrow::Cow, sync::Arc, vec::Vec};
use core::ops::Range;

/// Bytes in the longest name of a directory entry.
pub const NAME_MAX: usize = 255;
/// Bytes in the longest path, its NUL included.
pub const PATH_MAX: usize = 4096;
/// Symbolic links followed in one walk.
const LINKS_MAX: u32 = 40;

bitflags::bitflags! {
    /// How a path is looked up.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LookupFlags: u32 {
        /// Follow a symbolic link at the end.
        const FOLLOW = 1;
        /// `ENOTDIR` unless it is a directory.
        const DIRECTORY = 2;
        /// An empty path is the base itself (`AT_EMPTY_PATH`).
        const EMPTY_PATH = 4;
        /// `RESOLVE_NO_XDEV`: stay on the mount.
        const NO_XDEV = 8;
        /// `RESOLVE_NO_MAGICLINKS`.
        const NO_MAGIC_LINKS = 16;
        /// `RESOLVE_NO_SYMLINKS`.
        const NO_SYMLINKS = 32;
        /// `RESOLVE_BENEATH`: `EXDEV` on leaving the base.
        const BENEATH = 64;
        /// `RESOLVE_IN_ROOT`: the base is the root.
        const IN_ROOT = 128;
    }
}

/// A caller with a root: what a path means depends on both.
///
/// `base` of its operations is the working directory, or the directory given by a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    /// Who asks.
    pub caller: &'a Caller<'a>,
    /// What `/` means.
    pub root: &'a Path,
    /// Permission bits that new files do not get.
    pub umask: u32,
}

/// The last component of a path, whose directory is known.
pub(super) enum Last {
    /// A name, and whether slashes follow it.
    Name(Name, bool),
    /// Nothing but slashes.
    Root,
    /// `.`
    Here,
    /// `..`.
    Above,
    /// The place a magic link jumped to, which may be anything.
    Jumped,
}

/// A walk under way.
pub(super) struct Steps<'w> {
    walk: Walk<'w>,
    /// Where the walk is.
    pub(super) at: Path,
    /// What `/` and `..` stop at: the walk's root, or the base.
    root: Path,
    text: Cow<'w, [u8]>,
    position: usize,
    links: u32,
    flags: LookupFlags,
    /// `at` was reached by a magic link that was the end of the path.
    jumped: bool,
}

impl<'a> Walk<'a> {
    /// Finds what `path` stands for.
    ///
    /// # Errors
    /// - `ENOENT`: a component does not exist, or `path` is empty.
    /// - `ENOTDIR`: a component that has to be a directory is none.
    /// - `EACCES`: a directory may not be searched.
    /// - `ELOOP`: more than 40 symbolic links.
    /// - `ENAMETOOLONG`: a component over 255 bytes, or a path over 4095.
    ///
    /// Source: path_resolution(7)
    pub fn resolve(&self, base: &Path, path: &[u8], flags: LookupFlags) -> Result<Path> {
        let mut steps = self.steps(base, path, flags)?;
        if path.is_empty() {
            return steps.finish(false);
        }
        loop {
            match steps.advance()? {
                Last::Root | Last::Here | Last::Jumped => return steps.finish(false),
                Last::Above => {
                    steps.up()?;
                    return steps.finish(false);
                }
                Last::Name(name, slash) => {
                    let follow = slash || flags.contains(LookupFlags::FOLLOW);
                    let found = steps.child(&name)?;
                    if steps.enter(found, follow)? {
                        return steps.finish(slash);
                    }
                }
            }
        }
    }

    /// Finds a directory that the caller may search: chdir(2), chroot(2).
    pub fn resolve_directory(&self, base: &Path, path: &[u8]) -> Result<Path> {
        let flags = LookupFlags::FOLLOW | LookupFlags::DIRECTORY;
        let found = self.resolve(base, path, flags)?;
        found.permit(Access::EXECUTE, self.caller)?;
        Ok(found)
    }

    /// The text of a symbolic link; with an empty path, of the base itself.
    ///
    /// # Errors
    /// - `EINVAL`: it is no symbolic link (`ENOENT` with an empty path).
    ///
    /// Source: readlink(2)
    pub fn read_link(&self, base: &Path, path: &[u8]) -> Result<Vec<u8>> {
        let found = self.resolve(base, path, LookupFlags::EMPTY_PATH)?;
        let inode = found.inode()?;
        let text = match inode.role() {
            Role::Symlink(text) => text.to_vec(),
            Role::MagicLink(link) => link.text(self.caller)?,
            _ if path.is_empty() => return Err(Errno::ENOENT),
            _ => return Err(Errno::EINVAL),
        };
        found.touch_accessed(self.caller);
        Ok(text)
    }

    /// Starts a walk.
    pub(super) fn steps<'w>(
        &self,
        base: &Path,
        path: &'w [u8],
        flags: LookupFlags,
    ) -> Result<Steps<'w>>
    where
        'a: 'w,
    {
        if path.is_empty() && !flags.contains(LookupFlags::EMPTY_PATH) {
            return Err(Errno::ENOENT);
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let scoped = flags.intersects(LookupFlags::BENEATH | LookupFlags::IN_ROOT);
        let root = if scoped { base } else { self.root };
        let mut steps = Steps {
            walk: *self,
            at: base.clone(),
            root: root.clone(),
            text: Cow::Borrowed(path),
            position: 0,
            links: 0,
            flags,
            jumped: false,
        };
        if path.first() == Some(&b'/') {
            steps.go_to_root()?;
        }
        Ok(steps)
    }
}

impl Steps<'_> {
    /// Goes on to the directory of the last component and returns that component.
    ///
    /// The directory is one, and may be searched.
    pub(super) fn advance(&mut self) -> Result<Last> {
        loop {
            let Some((component, last)) = self.next_component() else {
                return Ok(if self.jumped { Last::Jumped } else { Last::Root });
            };
            self.jumped = false;
            let inode = self.at.inode()?;
            inode.directory()?;
            inode.permit(Access::EXECUTE, self.walk.caller)?;
            let slash = component.end < self.text.len();
            let name = &self.text[component];
            match name {
                b"." if last => return Ok(Last::Here),
                b".." if last => return Ok(Last::Above),
                b"." => {}
                b".." => self.up()?,
                _ if name.len() > NAME_MAX => return Err(Errno::ENAMETOOLONG),
                _ if last => return Ok(Last::Name(Name::from_slice(name), slash)),
                _ => {
                    let found = self.child(name)?;
                    self.enter(found, true)?;
                }
            }
        }
    }

    fn next_component(&mut self) -> Option<(Range<usize>, bool)> {
        let text = &*self.text;
        let start = self.position + text[self.position..].iter().position(|byte| *byte != b'/')?;
        let length = text[start..].iter().position(|byte| *byte == b'/');
        let end = length.map_or(text.len(), |length| start + length);
        self.position = end;
        Some((start..end, text[end..].iter().all(|byte| *byte == b'/')))
    }

    /// Looks `name` up where the walk is.
    pub(super) fn child(&self, name: &[u8]) -> Result<Arc<Dentry>> {
        self.at.dentry().lookup(name, self.walk.caller)
    }

    /// Goes to a child, or, if it is a symbolic link to be followed, puts its text in front of the
    /// rest; tells whether the walk has moved on to it.
    pub(super) fn enter(&mut self, child: Arc<Dentry>, follow: bool) -> Result<bool> {
        let inode = child.inode()?;
        if follow && inode.kind() == Kind::Symlink {
            let inode = Arc::clone(inode);
            self.follow(&inode, child)?;
            return Ok(false);
        }
        let mounted = child.is_mount_point();
        let path = Path::new(Arc::clone(self.at.mount()), child);
        self.move_to(if mounted { path.covered() } else { path })?;
        Ok(true)
    }

    fn move_to(&mut self, path: Path) -> Result<()> {
        let crosses = !Arc::ptr_eq(path.mount(), self.at.mount());
        if crosses && self.flags.contains(LookupFlags::NO_XDEV) {
            return Err(Errno::EXDEV);
        }
        self.at = path;
        Ok(())
    }

    /// `..`
    pub(super) fn up(&mut self) -> Result<()> {
        if self.flags.contains(LookupFlags::BENEATH) && self.at.is(&self.root) {
            return Err(Errno::EXDEV);
        }
        let above = self.at.parent(&self.root);
        self.move_to(above)
    }

    fn go_to_root(&mut self) -> Result<()> {
        if self.flags.contains(LookupFlags::BENEATH) {
            return Err(Errno::EXDEV);
        }
        let root = self.root.clone();
        self.move_to(root)
    }

    fn follow(&mut self, link: &Arc<Inode>, dentry: Arc<Dentry>) -> Result<()> {
        self.links += 1;
        let no_follow = self.at.mount().flags().contains(MountFlags::NO_SYMLINK_FOLLOW);
        if self.links > LINKS_MAX || no_follow || self.flags.contains(LookupFlags::NO_SYMLINKS) {
            return Err(Errno::ELOOP);
        }
        Path::new(Arc::clone(self.at.mount()), dentry).touch_accessed(self.walk.caller);
        match link.role() {
            Role::Symlink(text) => self.splice(text),
            Role::MagicLink(magic) => match magic.jump(self.walk.caller) {
                Some(target) => self.jump(target?),
                None => self.splice(&magic.text(self.walk.caller)?),
            },
            _ => Err(Errno::EINVAL),
        }
    }

    fn jump(&mut self, target: Path) -> Result<()> {
        let scoped = LookupFlags::BENEATH | LookupFlags::IN_ROOT;
        if self.flags.contains(LookupFlags::NO_MAGIC_LINKS) {
            return Err(Errno::ELOOP);
        }
        if self.flags.intersects(scoped) {
            return Err(Errno::EXDEV);
        }
        self.move_to(target)?;
        self.jumped = true;
        if self.position < self.text.len() {
            self.at.inode()?.directory()?;
        }
        Ok(())
    }

    fn splice(&mut self, text: &[u8]) -> Result<()> {
        let first = *text.first().ok_or(Errno::ENOENT)?;
        if first == b'/' {
            self.go_to_root()?;
        }
        let rest = &self.text[self.position..];
        let mut spliced = Vec::new();
        spliced.try_reserve_exact(text.len() + rest.len()).map_err(|_| Errno::ENOMEM)?;
        spliced.extend_from_slice(text);
        spliced.extend_from_slice(rest);
        self.text = Cow::Owned(spliced);
        self.position = 0;
        Ok(())
    }

    pub(super) fn finish(self, slash: bool) -> Result<Path> {
        if slash || self.flags.contains(LookupFlags::DIRECTORY) {
            self.at.inode()?.directory()?;
        }
        Ok(self.at)
    }
}
