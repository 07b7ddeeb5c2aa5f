//! FPU state: as long as programs do not run on this target, only what is set and read.

use crate::{OutOfMemory, user::BadFpuState};
use std::vec::Vec;

/// Bytes of a state: x87 and SSE, the header, AVX.
const SIZE: usize = 512 + 64 + 256;
const MXCSR: usize = 24;

/// A program's FPU state; nothing until it is set.
#[derive(Debug, Default)]
pub(crate) struct Fpu(Option<Vec<u8>>);

impl Fpu {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn duplicate(&self) -> Result<Self, OutOfMemory> {
        Ok(Self(self.0.clone()))
    }

    pub(crate) fn size() -> usize {
        SIZE
    }

    pub(crate) fn read(&mut self, to: &mut [u8]) {
        assert_eq!(to.len(), SIZE, "the buffer is as long as the state");
        match &self.0 {
            Some(state) => to.copy_from_slice(state),
            None => {
                to.fill(0);
                to[..2].copy_from_slice(&0x037f_u16.to_le_bytes());
                to[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80_u32.to_le_bytes());
            }
        }
    }

    pub(crate) fn write(&mut self, from: &[u8]) -> Result<(), BadFpuState> {
        let header = from.get(512..576).ok_or(BadFpuState)?;
        let unknown = header[0] & !7 != 0 || header[1..].iter().any(|byte| *byte != 0);
        if from.len() != SIZE || unknown || from[MXCSR + 2..MXCSR + 4] != [0, 0] {
            return Err(BadFpuState);
        }
        self.0 = Some(from.to_vec());
        Ok(())
    }

    pub(crate) fn reset(&mut self) {
        self.0 = None;
    }
}
