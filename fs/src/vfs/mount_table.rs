//! A tree of mounts: mount(2), umount2(2), pivot_root(2), and what `/proc/mounts` lists.
//!
//! A table is a value: a mount namespace is one more of them. All mounts are private (no mount
//! propagation), so what happens in one table is not seen in another.

#[cfg(test)]
mod tests;

use crate::{
    Dentry, Errno, Mount, MountFlags, Path, Result,
    vfs::mount::{Child, Point},
};
use alloc::{sync::Arc, vec::Vec};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use spin::Mutex;

/// A mount and its copy in another table.
pub type Copied = (Arc<Mount>, Arc<Mount>);

/// A mount namespace.
pub struct MountTable {
    /// The mount at the root. The lock serialises all changes of the tree.
    root: Mutex<Arc<Mount>>,
}

/// Whether what lies below comes along (`MS_REC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submounts {
    /// It does.
    Include,
    /// It does not.
    Leave,
}

/// How to unmount what is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmount {
    /// `EBUSY`.
    IfUnused,
    /// Take it out of the tree now; it ends with its last user (`MNT_DETACH`).
    Detach,
}

/// What a remount changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remount<'a> {
    /// The flags of this mount (`MS_REMOUNT | MS_BIND`).
    Mount,
    /// The file system too, with these options.
    FileSystem(&'a [u8]),
}

impl MountTable {
    /// A table with this mount as its root.
    pub fn new(root: Arc<Mount>) -> Self {
        Self { root: Mutex::new(root) }
    }

    /// The root of the tree, with what is mounted over it.
    pub fn root(&self) -> Path {
        Path::root_of(&self.root.lock()).covered()
    }

    fn contains(root: &Arc<Mount>, mount: &Arc<Mount>) -> bool {
        let mut at = Arc::clone(mount);
        while !Arc::ptr_eq(&at, root) {
            let Some(parent) = at.parent() else { return false };
            at = Arc::clone(parent.mount());
        }
        true
    }

    /// Puts a mount that is nowhere yet at a place.
    ///
    /// # Errors
    /// - `EINVAL`: the place is not in this table.
    /// - `ENOENT`: it was removed.
    /// - `ENOTDIR`: only one of the two is a directory.
    /// - `EBUSY`: the same is mounted there already.
    ///
    /// Source: mount(2)
    pub fn mount(&self, at: &Path, mount: Arc<Mount>) -> Result<()> {
        let root = self.root.lock();
        let at = at.clone().covered();
        let same = at.is_mount_root() && Arc::ptr_eq(at.mount().root(), mount.root());
        if same {
            return Err(Errno::EBUSY);
        }
        check_place(&root, &at, mount.root())?;
        attach(mount, &at);
        Ok(())
    }

    /// Shows the tree at `from` at another place too.
    ///
    /// # Errors
    /// Those of [`mount`](Self::mount).
    ///
    /// Source: mount(2), `MS_BIND`
    pub fn bind(&self, from: &Path, at: &Path, submounts: Submounts) -> Result<()> {
        let root = self.root.lock();
        let at = at.clone().covered();
        if !Self::contains(&root, from.mount()) {
            return Err(Errno::EINVAL);
        }
        check_place(&root, &at, from.dentry())?;
        let copy = copy_tree(from.mount(), from.dentry(), submounts, &mut |_, _| ())?;
        attach(copy, &at);
        Ok(())
    }

    /// Moves a mount to another place.
    ///
    /// # Errors
    /// - `EINVAL`: it is the root of the tree, or no mount.
    /// - `ELOOP`: the place lies on it.
    /// - those of [`mount`](Self::mount).
    ///
    /// Source: mount(2), `MS_MOVE`
    pub fn move_mount(&self, from: &Path, to: &Path) -> Result<()> {
        let root = self.root.lock();
        let to = to.clone().covered();
        let mount = from.mount();
        if !from.is_mount_root() || mount.parent().is_none() || !Self::contains(&root, mount) {
            return Err(Errno::EINVAL);
        }
        check_place(&root, &to, mount.root())?;
        if Self::contains(mount, to.mount()) {
            return Err(Errno::ELOOP);
        }
        if let Some(mount) = detach(mount) {
            attach(mount, &to);
        }
        Ok(())
    }

    /// Takes a mount out of the tree. `at` must be the last path the caller holds on it.
    ///
    /// # Errors
    /// - `EINVAL`: no mount, or not in this table.
    /// - `EBUSY`: in use, or the root.
    ///
    /// Source: umount2(2)
    pub fn unmount(&self, at: Path, how: Unmount) -> Result<()> {
        let root = self.root.lock();
        if !at.is_mount_root() || !Self::contains(&root, at.mount()) {
            return Err(Errno::EINVAL);
        }
        let mount = Arc::clone(at.mount());
        drop(at);
        if mount.parent().is_none() {
            return Err(if how == Unmount::Detach { Errno::EINVAL } else { Errno::EBUSY });
        }
        if how == Unmount::IfUnused {
            // The list of its parent holds one, and `mount` is one.
            let used = Arc::strong_count(&mount) > 2 || !mount.children.lock().is_empty();
            if used {
                return Err(Errno::EBUSY);
            }
        }
        let removed = detach_tree(&mount);
        drop(root);
        drop(removed);
        Ok(())
    }

    /// Changes the flags of a mount, or of its file system.
    ///
    /// # Errors
    /// - `EINVAL`: no mount, or options the file system does not know.
    /// - `EBUSY`: it would become read-only while files are open for writing.
    ///
    /// Source: mount(2), `MS_REMOUNT`
    pub fn remount(&self, at: &Path, flags: MountFlags, what: Remount<'_>) -> Result<()> {
        let root = self.root.lock();
        if !at.is_mount_root() || !Self::contains(&root, at.mount()) {
            return Err(Errno::EINVAL);
        }
        let mount = at.mount();
        let read_only = flags.contains(MountFlags::READ_ONLY);
        match what {
            Remount::Mount => {
                if read_only && mount.writers.load(Relaxed) != 0 {
                    return Err(Errno::EBUSY);
                }
            }
            Remount::FileSystem(options) => {
                let super_block = mount.super_block();
                if read_only && super_block.writers.load(Relaxed) != 0 {
                    return Err(Errno::EBUSY);
                }
                super_block.file_system().remount(options)?;
                super_block.set_read_only(read_only);
            }
        }
        mount.set_flags(flags);
        Ok(())
    }

    /// Makes `new_root` the root of the tree and moves the old one to `put_old` below it. Who has
    /// the old root as its root or working directory is to be moved by the caller.
    ///
    /// # Errors
    /// - `EINVAL`: `new_root` is no mount, or `put_old` is not below it.
    /// - `EBUSY`: it is the root already.
    ///
    /// Source: pivot_root(2)
    pub fn pivot_root(&self, root: &Path, new_root: &Path, put_old: &Path) -> Result<()> {
        let mut table_root = self.root.lock();
        let (old, new) = (root.mount(), new_root.mount());
        if Arc::ptr_eq(old, new) || Arc::ptr_eq(put_old.mount(), old) {
            return Err(Errno::EBUSY);
        }
        let valid = root.is_mount_root()
            && new_root.is_mount_root()
            && Self::contains(&table_root, new)
            && put_old.is_inside(new_root)
            && new_root.is_inside(root);
        if !valid {
            return Err(Errno::EINVAL);
        }
        let place = old.parent();
        let Some(moved) = detach(new) else { return Err(Errno::EINVAL) };
        match place {
            Some(place) => {
                detach(old);
                attach(moved, &place);
            }
            None => *table_root = moved,
        }
        attach(Arc::clone(old), &put_old.clone().covered());
        Ok(())
    }

    /// A copy of the whole tree, and for each mount its copy, by which roots and working
    /// directories are carried over.
    ///
    /// # Errors
    /// None but those of a broken tree.
    ///
    /// Source: unshare(2), `CLONE_NEWNS`
    pub fn duplicate(&self) -> Result<(Self, Vec<Copied>)> {
        let root = self.root.lock();
        let mut pairs = Vec::new();
        let copy = copy_tree(&root, root.root(), Submounts::Include, &mut |old, new| {
            pairs.push((Arc::clone(old), Arc::clone(new)));
        })?;
        Ok((Self::new(copy), pairs))
    }

    /// Every mount that is reachable from `root`, parents first, in the order of their numbers.
    pub fn list(&self, root: &Path) -> Vec<Listed> {
        let table_root = self.root.lock();
        let mut found = Vec::new();
        let mut stack = alloc::vec![Arc::clone(&table_root)];
        while let Some(mount) = stack.pop() {
            stack.extend(mount.children.lock().iter().map(|child| Arc::clone(&child.mount)));
            let (point, reachable) = Path::root_of(&mount).spell(root);
            if reachable {
                found.push(Listed { mount, point });
            }
        }
        found.sort_by_key(|listed| listed.mount.id());
        found
    }
}

impl fmt::Debug for MountTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list(&self.root()).iter().map(|listed| &listed.mount)).finish()
    }
}

/// Whether something with the root `what` may be mounted at `at`.
fn check_place(root: &Arc<Mount>, at: &Path, what: &Arc<Dentry>) -> Result<()> {
    if !MountTable::contains(root, at.mount()) {
        return Err(Errno::EINVAL);
    }
    if at.dentry().is_unlinked() {
        return Err(Errno::ENOENT);
    }
    if what.inode()?.is_directory() != at.inode()?.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    Ok(())
}

fn attach(mount: Arc<Mount>, at: &Path) {
    let dentry = Arc::clone(at.dentry());
    dentry.mounts.fetch_add(1, Relaxed);
    let point = Point { mount: Arc::downgrade(at.mount()), dentry: Arc::clone(&dentry) };
    *mount.point.lock() = Some(point);
    at.mount().children.lock().push(Child { dentry, mount });
}

/// Takes a mount, with all below it, from its place.
fn detach(mount: &Arc<Mount>) -> Option<Arc<Mount>> {
    let point = mount.point.lock().take()?;
    point.dentry.mounts.fetch_sub(1, Relaxed);
    let parent = point.mount.upgrade()?;
    let mut children = parent.children.lock();
    let position = children.iter().position(|child| Arc::ptr_eq(&child.mount, mount))?;
    Some(children.swap_remove(position).mount)
}

/// Takes a mount and all below it apart; what is returned may be dropped without any lock.
fn detach_tree(mount: &Arc<Mount>) -> Vec<Arc<Mount>> {
    let mut removed = Vec::new();
    let mut stack = Vec::from_iter(detach(mount));
    while let Some(mount) = stack.pop() {
        let below: Vec<_> =
            mount.children.lock().iter().map(|child| Arc::clone(&child.mount)).collect();
        stack.extend(below.iter().filter_map(detach));
        removed.push(mount);
    }
    removed
}

/// Copies a mount as seen from `dentry`, and what lies below that.
fn copy_tree(
    mount: &Arc<Mount>,
    dentry: &Arc<Dentry>,
    submounts: Submounts,
    copied: &mut dyn FnMut(&Arc<Mount>, &Arc<Mount>),
) -> Result<Arc<Mount>> {
    let copy_of = |mount: &Arc<Mount>, dentry: &Arc<Dentry>| {
        Mount::new(Arc::clone(dentry), mount.source(), mount.flags()).ok_or(Errno::ENOENT)
    };
    let top = copy_of(mount, dentry)?;
    copied(mount, &top);
    let mut stack = alloc::vec![(Arc::clone(mount), Arc::clone(&top))];
    while submounts == Submounts::Include
        && let Some((old, new)) = stack.pop()
    {
        let children: Vec<_> = old
            .children
            .lock()
            .iter()
            .filter(|child| child.dentry.is_inside(new.root()))
            .map(|child| (Arc::clone(&child.dentry), Arc::clone(&child.mount)))
            .collect();
        for (point, child) in children {
            let copy = copy_of(&child, child.root())?;
            copied(&child, &copy);
            attach(Arc::clone(&copy), &Path::new(Arc::clone(&new), point));
            stack.push((child, copy));
        }
    }
    Ok(top)
}

/// A mount and where it is, as seen from some root.
#[derive(Debug)]
pub struct Listed {
    /// The mount.
    pub mount: Arc<Mount>,
    /// Its place.
    pub point: Vec<u8>,
}

impl Listed {
    /// Writes its line of `/proc/mounts`.
    pub fn write_mounts(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let mount = &self.mount;
        escape(out, mount.source())?;
        out.write_char(' ')?;
        escape(out, &self.point)?;
        let mut flags = mount.flags();
        flags.set(MountFlags::READ_ONLY, mount.read_only());
        let file_system = mount.super_block().file_system();
        write!(out, " {} {flags}", file_system.name())?;
        file_system.options(out)?;
        out.write_str(" 0 0\n")
    }

    /// Writes its line of `/proc/PID/mountinfo`.
    pub fn write_mountinfo(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let mount = &self.mount;
        let parent = mount.parent().map_or(0, |parent| parent.mount().id());
        write!(out, "{} {parent} {:?} ", mount.id(), mount.super_block().device())?;
        escape(out, &path_in_file_system(mount.root()))?;
        out.write_char(' ')?;
        escape(out, &self.point)?;
        let file_system = mount.super_block().file_system();
        write!(out, " {} - {} ", mount.flags(), file_system.name())?;
        escape(out, mount.source())?;
        let read_only = mount.super_block().read_only();
        out.write_str(if read_only { " ro" } else { " rw" })?;
        file_system.options(out)?;
        out.write_char('\n')
    }
}

fn path_in_file_system(dentry: &Arc<Dentry>) -> Vec<u8> {
    let mut names = Vec::new();
    let mut at = Arc::clone(dentry);
    while let Some(parent) = at.parent() {
        names.push(at.name());
        at = parent;
    }
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

/// Writes a word of a line: what would break it, in octal.
fn escape(out: &mut dyn fmt::Write, word: &[u8]) -> fmt::Result {
    if word.is_empty() {
        return out.write_str("none");
    }
    word.utf8_chunks().try_for_each(|chunk| {
        for character in chunk.valid().chars() {
            match character {
                ' ' | '\t' | '\n' | '\\' | '#' => write!(out, "\\{:03o}", u32::from(character))?,
                _ => out.write_char(character)?,
            }
        }
        if chunk.invalid().is_empty() { Ok(()) } else { out.write_char('?') }
    })
}
