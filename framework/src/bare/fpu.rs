//! FPU state, saved by owner: registers stay on the CPU until another program needs them.
//!
//! Each CPU knows whose state its registers hold. A program whose state is not there runs with the
//! FPU disabled (CR0.TS), and its first FPU instruction traps: only then is the old owner saved and
//! the new state loaded. A program that moved to another CPU has its state fetched by an interrupt.
//!
//! Source: SDM 1, 13; SDM 3A, 13.4

use super::{
    cpu,
    features::{self, Features, cpuid},
    interrupt,
    local::{self, Local, local},
};
use crate::{OutOfMemory, bytes, cpu::CpuId, user::BadFpuState};
use alloc::alloc::{alloc, dealloc};
use core::{
    alloc::Layout,
    arch::asm,
    hint,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
use x86_64::instructions::interrupts;

/// Bytes of the x87 and SSE part, and of the header behind it.
const LEGACY: usize = 512;
const HEADER: usize = 64;
/// Where MXCSR and its mask are.
const MXCSR: usize = 24;
const INITIAL_FCW: u16 = 0x037f;
const INITIAL_MXCSR: u32 = 0x1f80;
/// What MXCSR may hold where the CPU does not say.
const DEFAULT_MXCSR_MASK: u32 = 0xffbf;

/// State components that are managed: x87, SSE, AVX, and the three of AVX-512.
const COMPONENTS: u32 = 0b1110_0111;
const AVX_512: u32 = 0b1110_0000;

/// Bytes of a state; the components in it; the bits that MXCSR may hold.
static SIZE: AtomicUsize = AtomicUsize::new(LEGACY);
static ENABLED: AtomicU32 = AtomicU32::new(3);
static MXCSR_MASK: AtomicU32 = AtomicU32::new(DEFAULT_MXCSR_MASK);

/// No CPU holds the state in its registers.
const NOWHERE: u32 = u32::MAX;

/// A program's state in memory, 64 bytes long, with the saved registers behind it.
#[repr(C, align(64))]
pub(super) struct State {
    /// The CPU whose registers are newer than the memory, or `NOWHERE`.
    cpu: AtomicU32,
}

impl State {
    fn area(this: NonNull<Self>) -> *mut u8 {
        this.as_ptr().wrapping_add(1).cast()
    }

    fn layout() -> Layout {
        let size = size_of::<Self>() + SIZE.load(Ordering::Relaxed);
        Layout::from_size_align(size, align_of::<Self>()).expect("a state is a few kilobytes")
    }

    /// The CPU that holds it.
    fn cpu(this: NonNull<Self>) -> &'static AtomicU32 {
        // SAFETY: a state lives until its owner drops it, which makes all CPUs forget it first.
        unsafe { &this.as_ref().cpu }
    }

    /// A new state with the initial registers.
    fn initial() -> Result<NonNull<Self>, OutOfMemory> {
        let layout = Self::layout();
        // SAFETY: the layout is not empty.
        let state = NonNull::new(unsafe { alloc(layout) }).ok_or(OutOfMemory)?;
        // SAFETY: the memory is ours and as long as the layout.
        unsafe { bytes::zero(state.as_ptr(), layout.size()) };
        let state = state.cast::<Self>();
        Self::cpu(state).store(NOWHERE, Ordering::Relaxed);
        Self::initialize(state);
        Ok(state)
    }

    /// Writes the initial registers.
    fn initialize(this: NonNull<Self>) {
        let area = Self::area(this);
        // SAFETY: the area is as long as `SIZE` and ours.
        unsafe { bytes::zero(area, SIZE.load(Ordering::Relaxed)) };
        // SAFETY: the control word is the first of the area.
        unsafe { area.cast::<u16>().write(INITIAL_FCW) };
        // SAFETY: MXCSR is inside the area.
        unsafe { area.wrapping_add(MXCSR).cast::<u32>().write(INITIAL_MXCSR) };
    }
}

/// Finds out what state the CPUs have, and enables it on this one. Leaves the FPU disabled.
pub(super) fn init_cpu() {
    if features::has(Features::XSAVE) {
        let mut enabled = cpuid(0xd, 0).eax & COMPONENTS;
        if enabled & AVX_512 != AVX_512 || enabled & 4 == 0 {
            enabled &= !AVX_512;
        }
        // SAFETY: CR4.OSXSAVE is set, and the CPU names these components; x87 is among them.
        unsafe {
            asm!("xsetbv", in("ecx") 0, in("eax") enabled, in("edx") 0, options(nostack));
        }
        ENABLED.store(enabled, Ordering::Relaxed);
        // The size for what is enabled now.
        SIZE.store(cpuid(0xd, 0).ebx as usize, Ordering::Relaxed);
    }
    #[repr(align(64))]
    struct Area([u8; LEGACY]);
    let mut area = Area([0; LEGACY]);
    enable();
    // SAFETY: the area is aligned and as long as the instruction writes.
    unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut area, options(nostack)) };
    disable();
    let mask = u32::from_le_bytes([area.0[28], area.0[29], area.0[30], area.0[31]]);
    MXCSR_MASK.store(if mask == 0 { DEFAULT_MXCSR_MASK } else { mask }, Ordering::Relaxed);
}

/// Lets FPU instructions run on this CPU.
fn enable() {
    // SAFETY: the kernel itself uses no FPU.
    unsafe { asm!("clts", options(nostack, preserves_flags)) };
    local().fpu_enabled.set(true);
}

/// Makes FPU instructions trap on this CPU.
fn disable() {
    // SAFETY: as above; only the bit TS changes.
    unsafe {
        asm!("mov {0}, cr0", "or {0}, 8", "mov cr0, {0}", out(reg) _, options(nostack));
    }
    local().fpu_enabled.set(false);
}

/// Writes this CPU's registers to `state`; the FPU is enabled.
fn save(state: NonNull<State>) {
    let area = State::area(state);
    if features::has(Features::XSAVE) {
        // SAFETY: the area is aligned and as long as the enabled components need.
        unsafe {
            asm!("xsave64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
        }
    } else {
        // SAFETY: as above, for the legacy part.
        unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack)) };
    }
}

/// Loads this CPU's registers from `state`; the FPU is enabled.
fn restore(state: NonNull<State>) {
    let area = State::area(state);
    if features::has(Features::XSAVE) {
        // SAFETY: the area holds what `save` or `initialize` wrote, or what `write` checked.
        unsafe {
            asm!("xrstor64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
        }
    } else {
        // SAFETY: as above.
        unsafe { asm!("fxrstor64 [{}]", in(reg) area, options(nostack)) };
    }
}

/// Saves what this CPU's registers hold, for whoever it belongs to; interrupts are off.
fn release(local: &Local) {
    if let Some(owner) = NonNull::new(local.fpu.replace(ptr::null_mut())) {
        enable();
        save(owner);
        disable();
        State::cpu(owner).store(NOWHERE, Ordering::Release);
    }
}

/// Another CPU needs the state that is in this one's registers; called by the interrupt.
pub(super) fn answer() {
    release(local());
}

/// A program's FPU state.
#[derive(Debug)]
pub(crate) struct Fpu {
    /// Nothing until the program's first FPU instruction.
    state: Option<NonNull<State>>,
    /// Tells programs apart, also those that have ended: never used again, never 0.
    id: u64,
}

// SAFETY: the state belongs to the one value, and CPUs that hold it are told before it is touched.
unsafe impl Send for Fpu {}
// SAFETY: nothing is changed through a shared reference.
unsafe impl Sync for Fpu {}

impl Fpu {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { state: None, id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// What tells this program from all others.
    #[inline]
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Enables the FPU if this CPU's registers hold the state, else disables it; interrupts are off.
    ///
    /// It stays right as long as no other program runs on this CPU.
    pub(super) fn prepare(&self, local: &Local) {
        let state = self.state.map_or(ptr::null_mut(), NonNull::as_ptr);
        let mine = !state.is_null() && local.fpu.get() == state;
        if mine != local.fpu_enabled.get() {
            if mine { enable() } else { disable() }
        }
    }

    /// Loads the state into this CPU's registers, after an FPU instruction trapped; interrupts are
    /// on.
    pub(super) fn load(&mut self) -> Result<(), OutOfMemory> {
        let state = match self.state {
            Some(state) => state,
            None => *self.state.insert(State::initial()?),
        };
        fetch(state);
        interrupts::without_interrupts(|| {
            let local = local();
            release(local);
            enable();
            restore(state);
            State::cpu(state).store(u32::from(local.id().get()), Ordering::Relaxed);
            local.fpu.set(state.as_ptr());
        });
        Ok(())
    }

    /// A copy of the state.
    pub(crate) fn duplicate(&self) -> Result<Self, OutOfMemory> {
        let Some(state) = self.state else { return Ok(Self::new()) };
        fetch(state);
        let copy = State::initial()?;
        // SAFETY: both areas are of this size, and no CPU holds either.
        unsafe {
            bytes::copy(State::area(copy), State::area(state), SIZE.load(Ordering::Relaxed));
        }
        Ok(Self { state: Some(copy), ..Self::new() })
    }

    /// Bytes of a state.
    pub(crate) fn size() -> usize {
        SIZE.load(Ordering::Relaxed)
    }

    /// Copies the state out.
    pub(crate) fn read(&mut self, to: &mut [u8]) {
        assert_eq!(to.len(), Self::size(), "the buffer is as long as the state");
        to.fill(0);
        let Some(state) = self.state else {
            to[..2].copy_from_slice(&INITIAL_FCW.to_le_bytes());
            to[MXCSR..MXCSR + 4].copy_from_slice(&INITIAL_MXCSR.to_le_bytes());
            return;
        };
        fetch(state);
        // SAFETY: the area is of this size, and no CPU holds it.
        unsafe { bytes::copy(to.as_mut_ptr(), State::area(state), to.len()) };
    }

    /// Replaces the state, if the CPU would load it.
    pub(crate) fn write(&mut self, from: &[u8]) -> Result<(), BadFpuState> {
        if from.len() != Self::size() || !is_loadable(from) {
            return Err(BadFpuState);
        }
        let state = match self.state {
            Some(state) => state,
            None => *self.state.insert(State::initial().map_err(|_| BadFpuState)?),
        };
        fetch(state);
        // SAFETY: the area is of this size, and no CPU holds it.
        unsafe { bytes::copy(State::area(state), from.as_ptr(), from.len()) };
        Ok(())
    }

    /// Goes back to the initial state.
    pub(crate) fn reset(&mut self) {
        if let Some(state) = self.state {
            forget(state);
            State::initialize(state);
        }
    }
}

impl Drop for Fpu {
    fn drop(&mut self) {
        if let Some(state) = self.state {
            forget(state);
            // SAFETY: it came from `alloc` with this layout, and no CPU knows it any more.
            unsafe { dealloc(state.as_ptr().cast(), State::layout()) };
        }
    }
}

/// Whether `xrstor` (or `fxrstor`) takes these bytes.
fn is_loadable(from: &[u8]) -> bool {
    let word = |at: usize| {
        from.get(at..at + 8).map_or(0, |bytes| {
            bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte))
        })
    };
    let mxcsr_ok = word(MXCSR) & u64::from(!MXCSR_MASK.load(Ordering::Relaxed)) == 0;
    if from.len() < LEGACY + HEADER {
        return mxcsr_ok;
    }
    let unknown = word(LEGACY) & !u64::from(ENABLED.load(Ordering::Relaxed));
    mxcsr_ok && unknown == 0 && (1..8).all(|index| word(LEGACY + index * 8) == 0)
}

/// Brings the state from whichever CPU holds it to memory; interrupts are on.
fn fetch(state: NonNull<State>) {
    let holder = State::cpu(state).load(Ordering::Acquire);
    if holder == NOWHERE {
        return;
    }
    interrupts::without_interrupts(|| {
        let local = local();
        if local.fpu.get() == state.as_ptr() {
            release(local);
        }
    });
    ask(state);
}

/// Makes whichever CPU holds the state forget it; interrupts are on.
fn forget(state: NonNull<State>) {
    interrupts::without_interrupts(|| {
        let local = local();
        if local.fpu.get() == state.as_ptr() {
            local.fpu.set(ptr::null_mut());
            disable();
            State::cpu(state).store(NOWHERE, Ordering::Relaxed);
        }
    });
    ask(state);
}

/// Asks another CPU for the state, if one holds it, and waits.
fn ask(state: NonNull<State>) {
    let holder = State::cpu(state);
    let cpu = holder.load(Ordering::Acquire);
    let Ok(cpu) = u8::try_from(cpu) else { return };
    debug_assert_ne!(usize::from(cpu), local::id().index(), "this CPU has released it");
    cpu::send(CpuId::new(cpu), interrupt::FPU);
    while holder.load(Ordering::Acquire) != NOWHERE {
        hint::spin_loop();
    }
}
