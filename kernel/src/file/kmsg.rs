//! The kernel's log as files: `/dev/kmsg` and `/proc/kmsg`.

use abi::{Errno, Events, Result};
use alloc::{boxed::Box, sync::Arc};
use executor::wait::WaitQueue;
use framework::Sink;
use fs::{Caller, Capabilities, FileNode, Inode, OpenNode, Whence};
use io::mem::{KernelLog, KmsgFile, Seek};

/// The log of the kernel, where the `log` crate's records go.
///
/// There is one, whatever the system: also what is said before and after one lives is in it.
pub static LOG: KernelLog = KernelLog::new();

/// `CAP_SYSLOG`, which file systems do not name.
const SYSLOG: Capabilities = Capabilities::from_bits_retain(1 << 34);

/// lseek(2) of `/dev/kmsg`: only to the ends and to the last clear.
///
/// # Errors
/// - `ESPIPE`: by an offset; `EINVAL`: relative to the current place.
pub(super) fn seek(file: &KmsgFile, by: i64, whence: Whence) -> Result<u64> {
    if by != 0 {
        return Err(Errno::ESPIPE);
    }
    let to = match whence {
        Whence::Set => Seek::First,
        Whence::Data => Seek::Cleared,
        Whence::End => Seek::End,
        _ => return Err(Errno::EINVAL),
    };
    LOG.seek(file, to);
    Ok(0)
}

/// `/proc/kmsg`: what syslog(2) reads, as a file.
#[derive(Clone, Copy, Debug)]
pub struct KernelMessages;

impl FileNode for KernelMessages {
    fn open(&self, _inode: &Arc<Inode>, caller: &Caller<'_>) -> Result<Box<dyn OpenNode>> {
        if caller.capable(SYSLOG) { Ok(Box::new(Self)) } else { Err(Errno::EPERM) }
    }
}

impl OpenNode for KernelMessages {
    fn read(&self, _offset: u64, to: &mut Sink<'_>, _caller: &Caller<'_>) -> Result<usize> {
        let before = to.done();
        LOG.syslog_read(to)?;
        Ok(to.done() - before)
    }

    fn poll(&self) -> Events {
        if LOG.syslog_unread() > 0 { Events::IN | Events::RDNORM } else { Events::empty() }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(LOG.queue())
    }

    fn seekable(&self) -> bool {
        false
    }
}
