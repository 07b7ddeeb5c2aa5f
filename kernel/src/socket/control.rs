//! Ancillary data: cmsg(3), unix(7).

use super::{Passed, who};
use crate::{cred::Capabilities, file::File, thread::Thread};
use abi::{Errno, Fd, Result};
use alloc::{vec, vec::Vec};
use framework::VirtAddr;
use fs::OpenFlags;
use net::unix::{Ancillary, Credentials};

/// `SOL_SOCKET`.
const SOCKET: i32 = 1;
/// `SCM_RIGHTS`.
const RIGHTS: i32 = 1;
/// `SCM_CREDENTIALS`.
const CREDENTIALS: i32 = 2;
/// Bytes of `struct cmsghdr`.
const HEADER: usize = 16;
/// Files one message may carry (`SCM_MAX_FD`).
const MAX_FILES: usize = 253;
/// The most ancillary data of one call (`/proc/sys/net/core/optmem_max`).
const MAX_LEN: usize = 131_072;

/// Where ancillary data is, in user memory.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Its address.
    pub at: VirtAddr,
    /// Its length in bytes.
    pub len: usize,
}

const fn align(len: usize) -> usize {
    (len + 7) & !7
}

fn int(bytes: &[u8], at: usize) -> i32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    i32::from_ne_bytes(word)
}

impl Control {
    /// Reads what a message is to carry.
    ///
    /// # Errors
    /// - `EINVAL`: a malformed header, an unknown type, too many files.
    /// - `EBADF`: a descriptor that is not open.
    /// - `EPERM`: credentials of somebody else.
    /// - `ENOBUFS`: too long; `EFAULT`: not user memory.
    pub fn read(self, thread: &Thread) -> Result<Ancillary<Passed>> {
        if self.len > MAX_LEN {
            return Err(Errno::ENOBUFS);
        }
        let mut bytes = vec![0; self.len];
        thread.read_bytes(self.at, &mut bytes)?;
        let mut ancillary = Ancillary::default();
        let mut rest = &bytes[..];
        while rest.len() >= HEADER {
            let mut len = [0; 8];
            len.copy_from_slice(&rest[..8]);
            let len = usize::from_ne_bytes(len);
            if len < HEADER || len > rest.len() {
                return Err(Errno::EINVAL);
            }
            let data = &rest[HEADER..len];
            if int(rest, 8) == SOCKET {
                match int(rest, 12) {
                    RIGHTS => read_files(thread, data, &mut ancillary.files)?,
                    CREDENTIALS => ancillary.sender = Some(read_credentials(thread, data)?),
                    _ => return Err(Errno::EINVAL),
                }
            }
            rest = &rest[align(len).min(rest.len())..];
        }
        Ok(ancillary)
    }

    /// Stores what a message carried: files get descriptors. Returns how many bytes were stored,
    /// and whether something did not fit.
    ///
    /// # Errors
    /// - `EFAULT`: not user memory.
    pub fn write(
        self,
        thread: &Thread,
        ancillary: Ancillary<Passed>,
        flags: OpenFlags,
    ) -> Result<(usize, bool)> {
        let mut done = 0;
        let mut cut = false;
        if let Some(sender) = ancillary.sender {
            let mut data = Vec::with_capacity(12);
            for number in [sender.pid, sender.uid, sender.gid] {
                data.extend_from_slice(&number.to_ne_bytes());
            }
            let stored = self.put(thread, done, CREDENTIALS, &data)?;
            cut |= stored < HEADER + data.len();
            done += align(stored).min(self.len - done);
        }
        if ancillary.files.is_empty() {
            return Ok((done, cut));
        }
        let room = (self.len - done).saturating_sub(HEADER) / 4;
        cut |= room < ancillary.files.len();
        let mut data = Vec::new();
        let files = ancillary.files.into_iter().filter_map(|file| file.downcast::<File>().ok());
        for file in files.take(room) {
            match thread.install(file, flags) {
                Ok(fd) => data.extend_from_slice(&i32::try_from(fd).unwrap_or(-1).to_ne_bytes()),
                Err(_) => {
                    cut = true;
                    break;
                }
            }
        }
        if !data.is_empty() {
            let stored = self.put(thread, done, RIGHTS, &data)?;
            done += align(stored).min(self.len - done);
        }
        Ok((done, cut))
    }

    /// Stores one header with its data, cut to the room; how many bytes that is.
    fn put(self, thread: &Thread, done: usize, kind: i32, data: &[u8]) -> Result<usize> {
        let room = self.len - done;
        if room < HEADER {
            return Ok(0);
        }
        let len = (HEADER + data.len()).min(room);
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&len.to_ne_bytes());
        bytes.extend_from_slice(&SOCKET.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&data[..len - HEADER]);
        let at = self.at.checked_add(done).ok_or(Errno::EFAULT)?;
        thread.write_bytes(at, &bytes)?;
        Ok(len)
    }
}

fn read_files(thread: &Thread, data: &[u8], files: &mut Vec<Passed>) -> Result<()> {
    if data.len() / 4 + files.len() > MAX_FILES {
        return Err(Errno::EINVAL);
    }
    for at in (0..data.len() / 4).map(|index| index * 4) {
        files.push(thread.files.get(Fd(int(data, at)))?);
    }
    Ok(())
}

/// Who a sender says it is: itself, or anybody for who has the capability.
fn read_credentials(thread: &Thread, data: &[u8]) -> Result<Credentials> {
    if data.len() != 12 {
        return Err(Errno::EINVAL);
    }
    let word = |at| int(data, at).cast_unsigned();
    let said = Credentials { pid: word(0), uid: word(4), gid: word(8) };
    let own = &thread.credentials;
    let pid = said.pid == who(thread).pid || own.has(Capabilities::SYS_ADMIN);
    let uid = [own.uid, own.euid, own.suid].contains(&said.uid) || own.has(Capabilities::SETUID);
    let gid = [own.gid, own.egid, own.sgid].contains(&said.gid) || own.has(Capabilities::SETGID);
    if pid && uid && gid { Ok(said) } else { Err(Errno::EPERM) }
}
