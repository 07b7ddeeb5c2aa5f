//! CPUs: which one this is, starting, halting, kicking.
use crate::cpu::CpuId;

#[inline]
pub(crate) fn current() -> CpuId {
    super::local::id()
}

pub(crate) fn count() -> usize {
    1
}

pub(crate) fn start_others(_run: fn() -> !) {
    unimplemented!()
}

pub(crate) fn halt_unless(_ready: impl FnOnce() -> bool) {
    unimplemented!()
}

pub(crate) fn kick(_id: CpuId) {
    unimplemented!()
}
