//! Running user mode: not on this target yet.

use super::fpu::Fpu;
use crate::{
    VmSpace,
    user::{Regs, Trap},
};

pub(crate) fn run(_regs: &mut Regs, _fpu: &mut Fpu, _space: &VmSpace) -> Trap {
    unimplemented!("programs do not run on the library OS yet")
}
