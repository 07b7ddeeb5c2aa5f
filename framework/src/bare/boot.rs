//! From the first instruction to `main` on the first CPU.

use super::{descriptors, features, init_cpu};
use crate::{boot::Boot, cpu::CpuId};
use core::arch::global_asm;

/// Bytes of a CPU's kernel stack.
pub(super) const STACK_SIZE: usize = 64 * 1024;

global_asm!(include_str!("boot.s"), start = sym start, stack_size = const STACK_SIZE);

unsafe extern "Rust" {
    /// What `entry!` names.
    safe fn jinux_main(boot: Boot) -> !;
}

/// Called on the boot stack with the boot page tables; `start_info` is the loader's structure.
extern "C" fn start(_start_info: u32) -> ! {
    features::detect();
    descriptors::fill_idt();
    init_cpu(CpuId::new(0), descriptors::first_fault_stacks());
    jinux_main(Boot {
        cmdline: alloc::string::String::new(),
        initrd: None,
        uart: None,
        cpu_model: alloc::string::String::new(),
    })
}
