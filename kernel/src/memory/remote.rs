//! Reading and writing an address space from outside: a new stack, `/proc/PID/mem`, ptrace(2),
//! process_vm_readv(2). It need not be active on any CPU.

use super::{FaultError, Memory, State, VmaFlags, fault};
use framework::{Frame, PAGE_SIZE, Protection, VirtAddr};

/// Which mappings an access from outside may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only what the program itself may.
    Allowed,
    /// Also what it may not, as a debugger does; private mappings get a page of their own.
    Forced,
}

impl Memory {
    /// Copies from `at` on into `to`; returns how many bytes before the first that cannot be read.
    pub fn read_at(&self, at: VirtAddr, to: &mut [u8], access: Access) -> usize {
        self.each_page(at, to.len(), (false, access), |frame, offset, done, len| {
            frame.read(offset, &mut to[done..done + len]);
        })
    }

    /// Copies `from` to `at` on; returns how many bytes before the first that cannot be written.
    pub fn write_at(&self, at: VirtAddr, from: &[u8], access: Access) -> usize {
        self.each_page(at, from.len(), (true, access), |frame, offset, done, len| {
            frame.write(offset, &from[done..done + len]);
        })
    }

    /// Calls `copy` with the frame of each page, the offset in it, bytes done, and bytes to do.
    fn each_page(
        &self,
        at: VirtAddr,
        len: usize,
        (write, access): (bool, Access),
        mut copy: impl FnMut(&Frame, usize, usize, usize),
    ) -> usize {
        let mut done = 0;
        while done < len {
            let Some(here) = at.checked_add(done) else { break };
            let piece = (PAGE_SIZE - here.page_offset()).min(len - done);
            // The lock is let go between pages: the whole may be megabytes.
            let mut state = self.state.lock();
            let Ok(frame) = self.page_for(&mut state, here, write, access) else { break };
            copy(&frame, here.page_offset(), done, piece);
            done += piece;
        }
        done
    }

    /// The frame behind `at`, made present for the access.
    pub(super) fn page_for(
        &self,
        state: &mut State,
        at: VirtAddr,
        write: bool,
        access: Access,
    ) -> Result<Frame, FaultError> {
        let index = state.map.find(at).ok_or(FaultError::NotMapped)?;
        let vma = state.map.get(index);
        let needs = if write { Protection::WRITE } else { Protection::READ };
        let allowed = match access {
            Access::Allowed => vma.protection.contains(needs),
            Access::Forced if write && vma.flags.contains(VmaFlags::SHARED) => {
                vma.protection.contains(needs)
            }
            Access::Forced => vma.maximum.contains(needs),
        };
        if !allowed {
            return Err(FaultError::NotAllowed);
        }
        let mut cursor = self.space.lock();
        fault::make_present(&mut cursor, vma, at.page(), write)?;
        let page = cursor.query(at.page()).ok_or(FaultError::OutOfMemory)?;
        if write {
            state.map.set_own_pages(index);
        }
        Ok(page.frame)
    }
}
