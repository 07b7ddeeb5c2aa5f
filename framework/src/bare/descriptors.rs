//! Segments, the task state segment and the interrupt descriptor table.
//!
//! The user selectors are Linux's, which programs see in signal frames: code 0x33, data 0x2b.

use super::{
    local::{FAULT_STACK_SIZE, local},
    registers::{self, write_msr},
    trap,
};
use core::{cell::UnsafeCell, ptr};
use x86_64::{
    PrivilegeLevel, VirtAddr,
    instructions::{
        segmentation::{CS, DS, ES, SS, Segment},
        tables::{lgdt, lidt, load_tss},
    },
    structures::{DescriptorTablePointer, gdt::SegmentSelector},
};

const KERNEL_CODE: SegmentSelector = SegmentSelector::new(2, PrivilegeLevel::Ring0);
const KERNEL_DATA: SegmentSelector = SegmentSelector::new(3, PrivilegeLevel::Ring0);
/// Selector of user data and stack.
pub(super) const USER_DATA: u16 = 5 << 3 | 3;
/// Selector of user code.
pub(super) const USER_CODE: u16 = 6 << 3 | 3;
const TSS: SegmentSelector = SegmentSelector::new(8, PrivilegeLevel::Ring0);

const CODE_DESCRIPTOR: u64 = 0x00af_9b00_0000_ffff;
const DATA_DESCRIPTOR: u64 = 0x00cf_9300_0000_ffff;
const RING_3: u64 = 3 << 45;

/// Stacks of their own for what can come at any instruction (SDM 3A, 6.14.5).
const FAULT_STACKS: [(usize, u8); 3] = [(2, 1), (8, 2), (18, 3)];

/// Gates: present, 64-bit interrupt gate; and the ones a program may use itself.
const GATE: u64 = 0x8e;
const USER_GATE: u64 = 0xee;
const USER_VECTORS: [usize; 2] = [3, 4];

/// AC, NT, IOPL, DF, IF, TF.
const FLAGS_CLEARED_BY_SYSCALL: u64 = 0x4_7700;

#[repr(C, align(16))]
struct Idt(UnsafeCell<[[u64; 2]; 256]>);

// SAFETY: written by the first CPU before others start, read only by the hardware after that.
unsafe impl Sync for Idt {}

static IDT: Idt = Idt(UnsafeCell::new([[0; 2]; 256]));

/// Fills the interrupt descriptor table; once, on the first CPU.
pub(super) fn fill_idt() {
    let table = IDT.0.get();
    for vector in 0..256 {
        let stub = trap::stub(vector) as u64;
        let stack = FAULT_STACKS.iter().find(|(v, _)| *v == vector).map_or(0, |(_, ist)| *ist);
        let gate = if USER_VECTORS.contains(&vector) { USER_GATE } else { GATE };
        let low = stub & 0xffff
            | u64::from(KERNEL_CODE.0) << 16
            | u64::from(stack) << 32
            | gate << 40
            | (stub >> 16 & 0xffff) << 48;
        // SAFETY: one CPU runs, and this function is the only one that touches the table.
        unsafe { (*table)[vector] = [low, stub >> 32] };
    }
}

/// Loads this CPU's segments, task state and interrupt table, and sets up `syscall`.
///
/// `fault_stacks` are the tops of three stacks of [`FAULT_STACK_SIZE`] bytes.
pub(super) fn load(fault_stacks: [usize; 3]) {
    let local = local();
    let tss = local.tss.get();
    for (index, top) in fault_stacks.into_iter().enumerate() {
        // `trap.s` finds the CPU's data at the top of these stacks: GS may be the program's.
        let slot = (top - 16) as *mut usize;
        // SAFETY: the caller gave the top of a stack that nobody uses yet.
        unsafe { slot.write(ptr::from_ref(local).addr()) };
        // SAFETY: this CPU's own table, which no trap has used so far.
        unsafe { (*tss).interrupt_stack_table[index] = VirtAddr::new(slot.addr() as u64) };
    }
    let base = tss.addr() as u64;
    let tss_low = 103 | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    let gdt = local.gdt.get();
    let descriptors = [
        0,
        0,
        CODE_DESCRIPTOR,
        DATA_DESCRIPTOR,
        0,
        DATA_DESCRIPTOR | RING_3,
        CODE_DESCRIPTOR | RING_3,
        0,
        tss_low,
        base >> 32,
    ];
    // SAFETY: this CPU's own table, not loaded yet.
    unsafe { *gdt = descriptors };
    load_tables(gdt.addr() as u64);
    // syscall: CS 0x10, SS 0x18. sysret: SS 0x2b, CS 0x33.
    write_msr(registers::STAR, 0x23 << 48 | u64::from(KERNEL_CODE.0) << 32);
    write_msr(registers::LSTAR, trap::syscall_address() as u64);
    write_msr(registers::SFMASK, FLAGS_CLEARED_BY_SYSCALL);
}

fn load_tables(gdt: u64) {
    let gdt = DescriptorTablePointer { limit: 79, base: VirtAddr::new(gdt) };
    // SAFETY: the table lives in a static and is complete.
    unsafe { lgdt(&gdt) };
    // SAFETY: the selector is that of 64-bit ring 0 code.
    unsafe { CS::set_reg(KERNEL_CODE) };
    // SAFETY: the selector is that of a data segment.
    unsafe { SS::set_reg(KERNEL_DATA) };
    // SAFETY: a null selector is fine for data in long mode.
    unsafe { DS::set_reg(SegmentSelector::NULL) };
    // SAFETY: as for DS.
    unsafe { ES::set_reg(SegmentSelector::NULL) };
    // SAFETY: the descriptor describes this CPU's task state segment.
    unsafe { load_tss(TSS) };
    let idt =
        DescriptorTablePointer { limit: 4095, base: VirtAddr::new(IDT.0.get().addr() as u64) };
    // SAFETY: `fill_idt` has made all gates lead to the stubs of `trap.s`.
    unsafe { lidt(&idt) };
}

#[repr(align(16))]
struct FaultStacks(UnsafeCell<[[u8; FAULT_STACK_SIZE]; 3]>);

// SAFETY: only the first CPU's traps use it, as stacks.
unsafe impl Sync for FaultStacks {}

static FIRST: FaultStacks = FaultStacks(UnsafeCell::new([[0; FAULT_STACK_SIZE]; 3]));

/// Tops of the first CPU's fault stacks.
pub(super) fn first_fault_stacks() -> [usize; 3] {
    [1, 2, 3].map(|end| FIRST.0.get().addr() + end * FAULT_STACK_SIZE)
}
