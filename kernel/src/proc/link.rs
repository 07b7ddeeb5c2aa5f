//! `/proc/PID/{cwd,root,exe}`: links that jump to a place.

use super::target::Target;
use abi::{Errno, Result};
use alloc::{sync::Arc, vec::Vec};
use fs::{Caller, MagicLink, Path, generated::Body};

/// Finds the place a link leads to.
type Find = fn(&Target) -> Option<Path>;

struct Jump {
    target: Target,
    find: Find,
}

impl Jump {
    fn place(&self, caller: &Caller<'_>) -> Result<Path> {
        self.target.check_access(caller)?;
        (self.find)(&self.target).ok_or(Errno::ENOENT)
    }
}

impl MagicLink for Jump {
    fn text(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        let place = self.place(caller)?;
        let root = places(&self.target).map(|places| places.root);
        Ok(place.display(&root.unwrap_or_else(|| self.target.system.mounts.root())))
    }

    fn jump(&self, caller: &Caller<'_>) -> Option<Result<Path>> {
        Some(self.place(caller))
    }
}

fn places(target: &Target) -> Option<crate::file::Places> {
    let thread = target.thread()?;
    let context = thread.view.lock().fs.clone()?;
    Some(context.places())
}

fn body(target: Target, find: Find) -> Body {
    Body::MagicLink(Arc::new(Jump { target, find }))
}

/// `/proc/PID/cwd`.
pub(super) fn working_directory(target: Target) -> Body {
    body(target, |target| Some(places(target)?.cwd))
}

/// `/proc/PID/root`.
pub(super) fn root(target: Target) -> Body {
    body(target, |target| Some(places(target)?.root))
}

/// `/proc/PID/exe`.
pub(super) fn program(target: Target) -> Body {
    body(target, |target| target.memory()?.program_path())
}
