//! From the first instruction to `main` on the first CPU.

use super::{descriptors, features, init_cpu, memory, paging, platform, trap};
use crate::{
    PAGE_SIZE, PhysAddr,
    boot::{Boot, Initrd},
    bytes,
    cpu::CpuId,
    frame::{meta::Meta, pool},
    memory_map::MemoryMap,
    pvh::StartInfo,
};
use alloc::string::String;
use core::arch::global_asm;

/// Bytes of a CPU's kernel stack.
pub(super) const STACK_SIZE: usize = 64 * 1024;

global_asm!(include_str!("boot.s"), start = sym start, stack_size = const STACK_SIZE);

unsafe extern "Rust" {
    /// What `entry!` names.
    safe fn jinux_main(boot: Boot) -> !;
}

/// Called on the boot stack with the boot page tables; `start_info` is the loader's structure.
extern "C" fn start(start_info: u32) -> ! {
    features::detect();
    features::patch();
    trap::sort_landings();
    descriptors::fill_idt();
    init_cpu(CpuId::new(0), descriptors::first_fault_stacks());
    let mut info = StartInfo::parse(u64::from(start_info), &read_early);
    init_memory(&mut info.memory, info.memory_end);
    let devices = platform::init(info.rsdp, paging::mapped());
    jinux_main(Boot {
        cmdline: String::from_utf8_lossy(info.cmdline()).into_owned(),
        initrd: info.initrd.map(|(start, len)| Initrd::new(PhysAddr::new(start), len)),
        uart: devices.uart,
        cpu_model: devices.cpu_model,
    })
}

/// Reads what the boot page tables reach.
fn read_early(at: u64, to: &mut [u8]) -> bool {
    let end = at.checked_add(to.len() as u64);
    if end.is_none_or(|end| end > 1 << 30) {
        return false;
    }
    // SAFETY: the first GiB is mapped; what the loader left there is only read.
    let left =
        unsafe { bytes::copy(to.as_mut_ptr(), memory::pointer(PhysAddr::new(at)), to.len()) };
    left == 0
}

/// Gives the kernel its page tables, and the frame allocator all memory that is left.
///
/// `end_of_memory` is where memory ends, including what is in use now and given back later.
fn init_memory(map: &mut MemoryMap, end_of_memory: u64) {
    let (start, end) = paging::image();
    map.reserve(start, end - start);
    paging::init(map, end_of_memory);
    let count = usize::try_from(end_of_memory / PAGE_SIZE as u64).expect("both are 64 bits");
    let size = count * size_of::<Meta>();
    let at = map.take(size as u64, u64::MAX).expect("memory for the frames' records");
    let records = memory::pointer(PhysAddr::new(at));
    // SAFETY: the range was taken from free memory and is mapped.
    unsafe { bytes::zero(records, size) };
    // SAFETY: as above; all bytes zero is a valid record, and the memory is never given back.
    let records = unsafe { core::slice::from_raw_parts(records.cast::<Meta>(), count) };
    let number = |at: u64| u32::try_from(at / PAGE_SIZE as u64).expect("cut to 2^32 frames");
    pool::init(records, map.ranges().iter().map(|range| (number(range.start), number(range.end))));
}
