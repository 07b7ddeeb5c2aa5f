//! From a name in the overlay to the files of the layers.

use crate::{
    Caller, Directory, Errno, Inode, Kind, NewInode, Path, Result, Role,
    overlayfs::{
        self, OverlayFs,
        directory::OverlayDirectory,
        layer::{self, Look, Mark},
        node::{self, Node, Place, Stack},
    },
    vfs::Name,
};
use alloc::{boxed::Box, sync::Arc};
use spin::Once;

/// The value of the mark that says what a file was copied up from: this, and its inode number in
/// the overlay. Linux's own are longer and begin otherwise.
const ORIGIN: u8 = b'#';

impl OverlayFs {
    /// The files that a name in a directory stands for; an empty stack if there are none.
    pub(super) fn stack(&self, node: &Node, name: &[u8], caller: &Caller<'_>) -> Result<Stack> {
        let mut stack = Stack::default();
        if let Some(upper) = node.upper() {
            match layer::look(upper, name, caller)? {
                Look::Absent => {}
                Look::Whiteout => return Ok(stack),
                Look::Found(found) => {
                    let ends =
                        !overlayfs::is_directory(&found) || self.marks.is_opaque(&found, caller)?;
                    stack.upper = Some(found);
                    if ends {
                        return Ok(stack);
                    }
                }
            }
        }
        for lower in node.lower() {
            match layer::look(lower, name, caller)? {
                Look::Absent => {}
                Look::Whiteout => break,
                Look::Found(found) if overlayfs::is_directory(&found) => {
                    let opaque = self.marks.is_opaque(&found, caller)?;
                    stack.lower.push(found);
                    if opaque {
                        break;
                    }
                }
                Look::Found(found) => {
                    if stack.top().is_none() {
                        stack.lower.push(found);
                    }
                    break;
                }
            }
        }
        Ok(stack)
    }

    /// Whether a lower layer has something under a name, so that removing it takes a whiteout.
    pub(super) fn is_covered(&self, node: &Node, name: &[u8], caller: &Caller<'_>) -> Result<bool> {
        for lower in node.lower() {
            match layer::look(lower, name, caller)? {
                Look::Absent => {}
                Look::Whiteout => return Ok(false),
                Look::Found(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    /// The number that a file of the upper layer had before it was copied up; 0 if it was not.
    pub(super) fn origin(&self, upper: &Path, caller: &Caller<'_>) -> Result<u64> {
        let value = self.marks.get(upper, Mark::Origin, caller)?.unwrap_or_default();
        let number = value.strip_prefix(&[ORIGIN]).and_then(|number| number.try_into().ok());
        Ok(number.map_or(0, u64::from_le_bytes))
    }

    /// Marks a file of the upper layer as copied up from one with this number.
    pub(super) fn set_origin(&self, upper: &Path, number: u64, caller: &Caller<'_>) -> Result<()> {
        let mut value = [ORIGIN; 9];
        value[1..].copy_from_slice(&number.to_le_bytes());
        match self.marks.set(upper, Mark::Origin, &value, caller) {
            // Without it only the number changes when the overlay is mounted again.
            Err(Errno::EOPNOTSUPP) => Ok(()),
            result => result,
        }
    }

    /// The inode of a stack that was found under a name.
    pub(super) fn inode(
        &self,
        dir: &Arc<Inode>,
        name: &[u8],
        stack: Stack,
        caller: &Caller<'_>,
    ) -> Result<Arc<Inode>> {
        let top = stack.top().ok_or(Errno::ENOENT)?.clone();
        let kind = top.inode()?.kind();
        if let (Some(upper), false) = (&stack.upper, kind == Kind::Directory)
            && let Some(known) = self.known(upper)?
        {
            return Ok(known);
        }
        let origin = match &stack.upper {
            Some(upper) => self.origin(upper, caller)?,
            None => 0,
        };
        let place = match stack.upper {
            Some(_) => None,
            None => Some(Place { parent: Arc::clone(dir), name: Name::from_slice(name) }),
        };
        let in_upper = stack.upper.is_some();
        let node = Node::new(stack, place, self.marks, origin);
        let role = role(top.inode()?, caller)?;
        let real = top.inode()?;
        let new = NewInode {
            number: node.number(self)?,
            kind,
            mode: real.mode(),
            uid: real.uid(),
            gid: real.gid(),
            links: real.links(),
            times: real.times(),
        };
        let made = Inode::with_backing(Arc::clone(dir.super_block()), new, role, Box::new(node));
        node::pull(&made)?;
        if in_upper && kind != Kind::Directory {
            self.remember(&top, &made)?;
        }
        Ok(made)
    }

    fn known(&self, upper: &Path) -> Result<Option<Arc<Inode>>> {
        let key = Arc::as_ptr(upper.inode()?).addr();
        Ok(self.inodes.lock().get(&key).and_then(alloc::sync::Weak::upgrade))
    }

    /// All names of the file of the upper layer lead to this inode from now on.
    pub(super) fn remember(&self, upper: &Path, inode: &Arc<Inode>) -> Result<()> {
        let key = Arc::as_ptr(upper.inode()?).addr();
        self.inodes.lock().insert(key, Arc::downgrade(inode));
        Ok(())
    }
}

/// What an inode of the overlay that shows `real` can do.
fn role(real: &Arc<Inode>, caller: &Caller<'_>) -> Result<Role> {
    Ok(match (real.kind(), real.role()) {
        (Kind::Directory, _) => {
            let directory: Box<dyn Directory> = Box::new(OverlayDirectory);
            Role::Directory(directory)
        }
        (Kind::Regular, _) => Role::Stacked,
        (_, Role::Symlink(text)) => Role::Symlink(text.clone()),
        (_, Role::MagicLink(link)) => Role::Symlink(link.text(caller)?.into_boxed_slice()),
        (_, Role::Fifo(_)) => Role::Fifo(Once::new()),
        (_, Role::Device(number)) => Role::Device(*number),
        _ => Role::Object,
    })
}
