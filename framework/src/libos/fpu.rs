//! FPU state: the host's image of a trap, in the standard XSAVE format (SDM 1, 13.4).
//!
//! At each trap the state is copied out of the stub's frame, so that it is in one place only; it is
//! copied in again if another program, or another stub, has run since.

use super::stub::Frame;
use crate::{OutOfMemory, user::BadFpuState};
use core::{
    arch::x86_64::__cpuid_count,
    sync::atomic::{AtomicU64, Ordering},
};
use std::{sync::OnceLock, vec::Vec};

/// Bytes of the x87 and SSE part, and of the header behind it.
const LEGACY: usize = 512;
const HEADER: usize = 64;
/// Where MXCSR and its mask are.
const MXCSR: usize = 24;
/// Bytes at the end of the first part that are the host's own.
const HOST: usize = 464;
/// Where the host says how it made the image: a magic number.
const MAGIC: u32 = 0x4650_5853;

const INITIAL_FCW: u16 = 0x037f;
const INITIAL_MXCSR: u32 = 0x1f80;
/// What MXCSR may hold.
const MXCSR_MASK: u64 = 0x2_ffff;

/// State components that are managed: x87, SSE, AVX, and the three of AVX-512.
const COMPONENTS: u64 = 0b1110_0111;

/// Which components there are, and how long an image of them is.
fn layout() -> (u64, usize) {
    static LAYOUT: OnceLock<(u64, usize)> = OnceLock::new();
    *LAYOUT.get_or_init(|| {
        let has_xsave = __cpuid_count(1, 0).ecx & 1 << 27 != 0;
        if !has_xsave {
            return (3, LEGACY);
        }
        let enabled = enabled() & COMPONENTS;
        let end = |component: u32| {
            let place = __cpuid_count(0xd, component);
            (place.eax + place.ebx) as usize
        };
        let ends = (2..8).filter(|component| enabled & 1 << component != 0).map(end);
        (enabled, ends.fold(LEGACY + HEADER, usize::max))
    })
}

/// The components that the host has enabled (XCR0).
fn enabled() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the host has enabled the instruction, and it reads a register.
    unsafe {
        core::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// A program's FPU state.
#[derive(Debug)]
pub(crate) struct Fpu {
    /// Nothing until the program has run, or a state was set.
    state: Option<Vec<u8>>,
    /// Tells states apart: another one when the state is changed here, never used again, never 0.
    id: u64,
    /// The stub that the program last ran in; 0 for none.
    pub(super) place: u64,
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn initial() -> Vec<u8> {
    let mut state = std::vec![0; layout().1];
    state[..2].copy_from_slice(&INITIAL_FCW.to_le_bytes());
    state[MXCSR..MXCSR + 4].copy_from_slice(&INITIAL_MXCSR.to_le_bytes());
    state
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .map_or(0, |bytes| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

impl Fpu {
    pub(crate) fn new() -> Self {
        Self { state: None, id: next_id(), place: 0 }
    }

    /// Tells the state from all others.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn duplicate(&self) -> Result<Self, OutOfMemory> {
        Ok(Self { state: self.state.clone(), ..Self::new() })
    }

    pub(crate) fn size() -> usize {
        layout().1
    }

    pub(crate) fn read(&mut self, to: &mut [u8]) {
        assert_eq!(to.len(), Self::size(), "the buffer is as long as the state");
        match &self.state {
            Some(state) => to.copy_from_slice(state),
            None => to.copy_from_slice(&initial()),
        }
    }

    pub(crate) fn write(&mut self, from: &[u8]) -> Result<(), BadFpuState> {
        if from.len() != Self::size() || !is_loadable(from) {
            return Err(BadFpuState);
        }
        let mut state = from.to_vec();
        state[HOST..LEGACY].fill(0);
        *self = Self { state: Some(state), ..Self::new() };
        Ok(())
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Copies the state out of a trap's frame; nothing if the frame has none.
    pub(super) fn save(&mut self, frame: &Frame) -> Option<()> {
        let state = self.state.get_or_insert_with(initial);
        let whole = frame.read_fpu(0, state);
        state[HOST..LEGACY].fill(0);
        whole.then_some(())
    }

    /// Copies the state into the frame of a stub; nothing if the frame has no room for it.
    pub(super) fn load(&mut self, frame: &Frame) -> Option<()> {
        let state = self.state.get_or_insert_with(initial);
        if state.len() > LEGACY {
            let mut host = [0; LEGACY - HOST];
            let mut header = [0; 8];
            if !frame.read_fpu(HOST, &mut host) || !frame.read_fpu(LEGACY, &mut header) {
                return None;
            }
            if long(&host, 0) & u64::from(u32::MAX) != u64::from(MAGIC) {
                return None;
            }
            // Components that are not managed keep what they have.
            let others = u64::from_le_bytes(header) & !COMPONENTS;
            let mut header = [0; HEADER];
            header[..8].copy_from_slice(&(long(state, LEGACY) & COMPONENTS | others).to_le_bytes());
            frame.write_fpu(LEGACY, &header).then_some(())?;
            frame.write_fpu(LEGACY + HEADER, &state[LEGACY + HEADER..]).then_some(())?;
        }
        frame.write_fpu(0, &state[..HOST]).then_some(())
    }
}

/// Whether `xrstor` (or `fxrstor`) takes these bytes.
fn is_loadable(from: &[u8]) -> bool {
    let mxcsr = long(from, MXCSR) & u64::from(u32::MAX);
    if mxcsr & !MXCSR_MASK != 0 {
        return false;
    }
    if from.len() < LEGACY + HEADER {
        return true;
    }
    let unknown = long(from, LEGACY) & !layout().0;
    unknown == 0 && (1..8).all(|index| long(from, LEGACY + index * 8) == 0)
}
