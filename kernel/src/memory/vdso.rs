//! The page of code that answers the clock without a system call.

use super::Memory;
use abi::Result;
use framework::VirtAddr;

impl Memory {
    /// Maps the vDSO; `None` where there is none.
    pub(super) fn map_vdso(&self) -> Result<Option<VirtAddr>> {
        Ok(None)
    }
}
