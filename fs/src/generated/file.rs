//! A generated file: what it says is written when it is opened, so that one reader sees one state,
//! and can seek in it.

use crate::{Caller, Errno, FileNode, Inode, OpenNode, Result, Sink, Source};
use alloc::{boxed::Box, string::String, sync::Arc, vec, vec::Vec};
use core::fmt;

/// The most a program may write at once to a generated file.
const WRITE_MAX: usize = 64 * 1024;

/// What a generated file says, and what it does with what is written to it.
pub trait Content: Send + Sync {
    /// Writes what the file says.
    ///
    /// # Errors
    /// - `ESRCH`: what it is about is gone.
    fn show(&self, out: &mut dyn fmt::Write, caller: &Caller<'_>) -> Result<()>;

    /// Takes what was written by one write(2), at most 64 KiB; returns how much was used.
    ///
    /// # Errors
    /// - `EINVAL`: it makes no sense.
    fn store(&self, _bytes: &[u8], _caller: &Caller<'_>) -> Result<Written> {
        Err(Errno::EINVAL)
    }

    /// What the file says as bytes; for what is not text (`/proc/PID/cmdline`).
    fn bytes(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        let mut text = Text(String::new());
        self.show(&mut text, caller)?;
        Ok(text.0.into_bytes())
    }
}

/// How much of a write was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it.
    All,
    /// So many bytes.
    Part(usize),
}

impl<F: Fn(&mut dyn fmt::Write) -> fmt::Result + Send + Sync> Content for F {
    fn show(&self, out: &mut dyn fmt::Write, _caller: &Caller<'_>) -> Result<()> {
        self(out).map_err(|_| Errno::ENOMEM)
    }
}

/// Text that grows as memory allows.
struct Text(String);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.try_reserve(text.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(text);
        Ok(())
    }
}

pub(super) fn node(content: Arc<dyn Content>) -> Box<dyn FileNode> {
    Box::new(ContentFile(content))
}

struct ContentFile(Arc<dyn Content>);

impl FileNode for ContentFile {
    fn open(&self, _inode: &Arc<Inode>, _caller: &Caller<'_>) -> Result<Box<dyn OpenNode>> {
        Ok(Box::new(OpenContent { content: Arc::clone(&self.0), shown: spin::Mutex::new(None) }))
    }
}

struct OpenContent {
    content: Arc<dyn Content>,
    /// What the file said when it was first read from its start.
    shown: spin::Mutex<Option<Arc<[u8]>>>,
}

impl OpenContent {
    /// A read from the start shows the file anew; one from elsewhere goes on with what was shown.
    fn shown(&self, offset: u64, caller: &Caller<'_>) -> Result<Arc<[u8]>> {
        if offset != 0
            && let Some(shown) = &*self.shown.lock()
        {
            return Ok(Arc::clone(shown));
        }
        let bytes: Arc<[u8]> = self.content.bytes(caller)?.into();
        *self.shown.lock() = Some(Arc::clone(&bytes));
        Ok(bytes)
    }
}

impl OpenNode for OpenContent {
    fn read(&self, offset: u64, to: &mut Sink<'_>, caller: &Caller<'_>) -> Result<usize> {
        let shown = self.shown(offset, caller)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(shown.len());
        Ok(to.write(&shown[start..])?)
    }

    fn write(&self, _offset: u64, from: &mut Source<'_>, caller: &Caller<'_>) -> Result<usize> {
        let mut buffer = vec![0; from.remaining().min(WRITE_MAX)];
        let begin = from.done();
        if let Err(fault) = from.read(&mut buffer) {
            // The whole is stored at once or not at all.
            from.rewind(begin);
            return Err(fault.into());
        }
        let used = match self.content.store(&buffer, caller) {
            Ok(Written::All) => buffer.len(),
            Ok(Written::Part(count)) => count.min(buffer.len()),
            Err(error) => {
                from.rewind(begin);
                return Err(error);
            }
        };
        from.rewind(begin + used);
        Ok(used)
    }
}
