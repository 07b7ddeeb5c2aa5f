//! User memory as a thread reads and writes it: copies that make pages present on the way.
//!
//! Everything here returns `EFAULT` for addresses that are not, and cannot be made, accessible.

use super::Thread;
use crate::{memory::FaultError, syscall::UserPtr};
use abi::{Errno, Result};
use alloc::{vec, vec::Vec};
use framework::{Fault, VirtAddr, user::PageFault};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The longest path, its NUL included (`PATH_MAX`).
pub const PATH_MAX: usize = 4096;

impl Thread {
    /// Makes the page present that stopped a copy.
    ///
    /// # Errors
    /// - `EFAULT`: it is not mapped, or not for this access.
    /// - `ENOMEM`: there is no frame to be had.
    pub fn resolve(&self, fault: Fault) -> Result<()> {
        let fault = PageFault { at: fault.at, write: fault.write, execute: false, present: false };
        self.memory.try_fault(&fault).map_err(|error| match error {
            FaultError::OutOfMemory => {
                // If the victim is this process, it ends on its way out of the call.
                super::oom::kill_largest(self.system);
                Errno::ENOMEM
            }
            _ => Errno::EFAULT,
        })
    }

    /// Copies bytes from user memory.
    pub fn read_bytes(&self, from: VirtAddr, to: &mut [u8]) -> Result<()> {
        let mut done = 0;
        loop {
            let at = from.checked_add(done).ok_or(Errno::EFAULT)?;
            match self.memory.space().read(at, &mut to[done..]) {
                Ok(()) => return Ok(()),
                Err(fault) => {
                    self.resolve(fault)?;
                    done += fault.done;
                }
            }
        }
    }

    /// Copies bytes to user memory.
    pub fn write_bytes(&self, to: VirtAddr, from: &[u8]) -> Result<()> {
        let mut done = 0;
        loop {
            let at = to.checked_add(done).ok_or(Errno::EFAULT)?;
            match self.memory.space().write(at, &from[done..]) {
                Ok(()) => return Ok(()),
                Err(fault) => {
                    self.resolve(fault)?;
                    done += fault.done;
                }
            }
        }
    }

    /// Reads a value from user memory.
    pub fn read<T: FromBytes + IntoBytes>(&self, from: UserPtr<T>) -> Result<T> {
        let mut value = T::new_zeroed();
        self.read_bytes(from.address(), value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a value to user memory.
    pub fn write<T: IntoBytes + Immutable>(&self, to: UserPtr<T>, value: &T) -> Result<()> {
        self.write_bytes(to.address(), value.as_bytes())
    }

    /// Writes a value to user memory unless the pointer is null.
    pub fn write_optional<T: IntoBytes + Immutable>(
        &self,
        to: Option<UserPtr<T>>,
        value: &T,
    ) -> Result<()> {
        to.map_or(Ok(()), |to| self.write(to, value))
    }

    /// Reads `len` values; the caller has bounded `len`.
    pub fn read_slice<T: FromBytes + IntoBytes + Clone>(
        &self,
        from: UserPtr<T>,
        len: usize,
    ) -> Result<Vec<T>> {
        let mut values = vec![T::new_zeroed(); len];
        for (index, value) in values.iter_mut().enumerate() {
            self.read_bytes(from.nth(index)?.address(), value.as_mut_bytes())?;
        }
        Ok(values)
    }

    /// Writes values one after the other.
    pub fn write_slice<T: IntoBytes + Immutable>(
        &self,
        to: UserPtr<T>,
        values: &[T],
    ) -> Result<()> {
        self.write_bytes(to.address(), values.as_bytes())
    }

    /// Reads a string of at most `max` bytes, its NUL not included.
    ///
    /// # Errors
    /// - `ENAMETOOLONG`: no NUL in the first `max + 1` bytes.
    pub fn read_string(&self, from: UserPtr<u8>, max: usize) -> Result<Vec<u8>> {
        let mut string = Vec::new();
        let mut chunk = [0; 128];
        while string.len() <= max {
            let at = from.address().checked_add(string.len()).ok_or(Errno::EFAULT)?;
            // A chunk that stays within one page faults at its start or not at all.
            let len = chunk.len().min(framework::PAGE_SIZE - at.page_offset());
            match self.memory.space().read_cstr(at, &mut chunk[..len]) {
                Ok(Some(end)) => {
                    string.extend_from_slice(&chunk[..end]);
                    return if string.len() <= max { Ok(string) } else { Err(Errno::ENAMETOOLONG) };
                }
                Ok(None) => string.extend_from_slice(&chunk[..len]),
                Err(fault) => self.resolve(fault)?,
            }
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// Reads a path.
    ///
    /// # Errors
    /// - `ENAMETOOLONG`: longer than [`PATH_MAX`] with its NUL.
    pub fn read_path(&self, from: UserPtr<u8>) -> Result<Vec<u8>> {
        self.read_string(from, PATH_MAX - 1)
    }

    /// Loads an aligned word atomically.
    pub fn load_u32(&self, at: UserPtr<u32>) -> Result<u32> {
        loop {
            match self.memory.space().load_u32(at.address()) {
                Ok(value) => return Ok(value),
                Err(fault) => self.resolve(fault)?,
            }
        }
    }

    /// Compares and swaps an aligned word atomically; returns what was there.
    pub fn compare_exchange_u32(&self, at: UserPtr<u32>, old: u32, new: u32) -> Result<u32> {
        loop {
            match self.memory.space().compare_exchange_u32(at.address(), old, new) {
                Ok(value) => return Ok(value),
                Err(fault) => self.resolve(fault)?,
            }
        }
    }
}
