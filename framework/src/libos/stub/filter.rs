//! The filter of a stub's host calls.
//!
//! It goes by the address of the instruction. A call from the guest is never carried out: it becomes
//! a signal, and the handler hands it to the kernel. The four instructions of the stub may each do
//! one thing, with arguments that leave the window alone and reach nothing but the machine's memory;
//! anything else ends the process.
//!
//! This dispatches, and it protects the host. It is no wall between guests: a program that jumps to
//! the stub's own instruction can map any frame.

use super::{
    block,
    image::{CODE, CODE_LEN, PHYS_FD, Sites},
};
use std::vec::Vec;

pub(super) type Instruction = libc::sock_filter;

// The classic instruction set, by the names of linux/filter.h.
const LOAD: u16 = 0x20; // A = word of the data
const LOAD_IMMEDIATE: u16 = 0x00;
const LOAD_SCRATCH: u16 = 0x60;
const STORE_SCRATCH: u16 = 0x02;
const ADD_X: u16 = 0x0c;
const AND: u16 = 0x54;
const TO_X: u16 = 0x07;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const GREATER_OR_EQUAL: u16 = 0x35;
const GREATER_OR_EQUAL_X: u16 = 0x3d;
const RETURN: u16 = 0x06;

// Where struct seccomp_data has its fields.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const IP: u32 = 8;
const ARGUMENTS: u32 = 16;
/// From the low half of a field to the high one.
const HIGH: u32 = 4;

const X86_64: u32 = 0xc000_003e;

const KILL: Instruction = instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS);
const TRAP: Instruction = instruction(RETURN, libc::SECCOMP_RET_TRAP);
const ALLOW: Instruction = instruction(RETURN, libc::SECCOMP_RET_ALLOW);

/// The high half of the window's addresses, and the low halves of what is there.
const WINDOW_HIGH: u32 = high(CODE);
const WINDOW_LOW: u32 = low(CODE);

const _: () = assert!(high(CODE) == high(block::ADDRESS + block::LEN));

#[allow(clippy::cast_possible_truncation, reason = "the half that is wanted")]
const fn low(address: usize) -> u32 {
    address as u32
}

const fn high(address: usize) -> u32 {
    low(address >> 32)
}

const fn argument(index: u32) -> u32 {
    ARGUMENTS + 8 * index
}

const fn instruction(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

const fn branch(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// Goes on if the comparison holds, else ends the process.
fn require(to: &mut Vec<Instruction>, code: u16, k: u32) {
    to.extend([branch(code, k, 1, 0), KILL]);
}

/// Goes on unless the comparison holds.
fn refuse(to: &mut Vec<Instruction>, code: u16, k: u32) {
    to.extend([branch(code, k, 0, 1), KILL]);
}

/// Runs `then` if the accumulator is `k`; it returns in any case.
fn when(to: &mut Vec<Instruction>, k: u32, then: Vec<Instruction>) {
    let len = u8::try_from(then.len()).expect("a part of the filter is short");
    to.push(branch(EQUAL, k, 0, len));
    to.extend(then);
}

/// The filter for these instructions of the stub.
pub(super) fn build(sites: &Sites) -> Vec<Instruction> {
    let mut filter = [
        instruction(LOAD, IP + HIGH),
        branch(EQUAL, WINDOW_HIGH, 1, 0),
        TRAP,
        instruction(LOAD, IP),
        branch(GREATER_OR_EQUAL, WINDOW_LOW, 1, 0),
        TRAP,
        branch(GREATER_OR_EQUAL, low(CODE + CODE_LEN), 0, 1),
        TRAP,
        instruction(LOAD, ARCHITECTURE),
    ]
    .to_vec();
    require(&mut filter, EQUAL, X86_64);
    filter.push(instruction(LOAD, IP));
    when(&mut filter, low(sites.wait), futex(libc::FUTEX_WAIT));
    when(&mut filter, low(sites.wake), futex(libc::FUTEX_WAKE));
    when(&mut filter, low(sites.done), sigreturn());
    when(&mut filter, low(sites.operation), operation());
    filter.push(KILL);
    filter
}

fn number(of: libc::c_long) -> u32 {
    u32::try_from(of).expect("numbers of calls are small")
}

/// The one operation on the one word.
fn futex(operation: libc::c_int) -> Vec<Instruction> {
    let mut filter = [instruction(LOAD, NUMBER)].to_vec();
    require(&mut filter, EQUAL, number(libc::SYS_futex));
    filter.push(instruction(LOAD, argument(1)));
    require(&mut filter, EQUAL, operation.unsigned_abs());
    filter.push(instruction(LOAD, argument(0)));
    require(&mut filter, EQUAL, low(block::ADDRESS + block::TURN));
    filter.push(instruction(LOAD, argument(0) + HIGH));
    require(&mut filter, EQUAL, WINDOW_HIGH);
    filter.push(ALLOW);
    filter
}

fn sigreturn() -> Vec<Instruction> {
    let mut filter = [instruction(LOAD, NUMBER)].to_vec();
    require(&mut filter, EQUAL, number(libc::SYS_rt_sigreturn));
    filter.push(ALLOW);
    filter
}

/// Mapping of the machine's memory, changes of rights, and unmapping, all below the window.
fn operation() -> Vec<Instruction> {
    let mut filter = below_window();
    filter.push(instruction(LOAD, NUMBER));
    when(&mut filter, number(libc::SYS_munmap), [ALLOW].to_vec());
    let mut rights = [instruction(LOAD, argument(2))].to_vec();
    refuse(&mut rights, GREATER, 7);
    let mut protect = rights.clone();
    protect.push(ALLOW);
    filter.push(instruction(LOAD, NUMBER));
    when(&mut filter, number(libc::SYS_mprotect), protect);
    require(&mut filter, EQUAL, number(libc::SYS_mmap));
    filter.extend(rights);
    filter.push(instruction(LOAD, argument(3)));
    filter.push(instruction(AND, !libc::MAP_POPULATE.unsigned_abs()));
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    require(&mut filter, EQUAL, flags.unsigned_abs());
    filter.push(instruction(LOAD, argument(4)));
    require(&mut filter, EQUAL, PHYS_FD.unsigned_abs());
    filter.push(ALLOW);
    filter
}

/// Goes on if the first argument and the second, a length, end at the window or below.
fn below_window() -> Vec<Instruction> {
    let mut filter = [instruction(LOAD, argument(1) + HIGH)].to_vec();
    refuse(&mut filter, GREATER, WINDOW_HIGH);
    filter.push(instruction(LOAD, argument(0) + HIGH));
    refuse(&mut filter, GREATER, WINDOW_HIGH);
    filter.extend([
        // The low halves, and the carry.
        instruction(LOAD, argument(1)),
        instruction(TO_X, 0),
        instruction(LOAD, argument(0)),
        instruction(ADD_X, 0),
        instruction(STORE_SCRATCH, 0),
        branch(GREATER_OR_EQUAL_X, 0, 0, 2),
        instruction(LOAD_IMMEDIATE, 0),
        instruction(JUMP, 1),
        instruction(LOAD_IMMEDIATE, 1),
        // The high halves, with it.
        instruction(TO_X, 0),
        instruction(LOAD, argument(0) + HIGH),
        instruction(ADD_X, 0),
        instruction(TO_X, 0),
        instruction(LOAD, argument(1) + HIGH),
        instruction(ADD_X, 0),
    ]);
    refuse(&mut filter, GREATER, WINDOW_HIGH);
    // As high as the window: the low half decides.
    filter.extend([branch(EQUAL, WINDOW_HIGH, 0, 3), instruction(LOAD_SCRATCH, 0)]);
    refuse(&mut filter, GREATER, WINDOW_LOW);
    filter
}

/// The filter as the host reads it.
pub(super) fn bytes(filter: &[Instruction]) -> Vec<u8> {
    let one = |each: &Instruction| {
        let mut bytes = [0; 8];
        bytes[..2].copy_from_slice(&each.code.to_le_bytes());
        bytes[2..4].copy_from_slice(&[each.jt, each.jf]);
        bytes[4..].copy_from_slice(&each.k.to_le_bytes());
        bytes
    };
    filter.iter().flat_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITES: Sites = Sites {
        wake: CODE + 0x100,
        wait: CODE + 0x110,
        operation: CODE + 0x120,
        done: CODE + 0x130,
    };

    /// What the host would do, for a call of `number` at `ip`.
    fn decide(ip: usize, number: u32, arguments: [u64; 6]) -> u32 {
        decide_on(X86_64, ip, number, arguments)
    }

    fn decide_on(architecture: u32, ip: usize, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = [number, architecture, low(ip), high(ip)].to_vec();
        let word = |value: u64| usize::try_from(value).unwrap();
        let words = |value: &u64| [low(word(*value)), high(word(*value))];
        data.extend(arguments.iter().flat_map(words));
        let filter = build(&SITES);
        let (mut pc, mut a, mut x, mut scratch) = (0, 0u32, 0u32, [0u32; 16]);
        loop {
            let Instruction { code, jt, jf, k } = filter[pc];
            pc += 1;
            let mut jump = |holds: bool| pc += usize::from(if holds { jt } else { jf });
            match code {
                LOAD => a = data[k as usize / 4],
                LOAD_IMMEDIATE => a = k,
                LOAD_SCRATCH => a = scratch[k as usize],
                STORE_SCRATCH => scratch[k as usize] = a,
                ADD_X => a = a.wrapping_add(x),
                AND => a &= k,
                TO_X => x = a,
                JUMP => pc += k as usize,
                EQUAL => jump(a == k),
                GREATER => jump(a > k),
                GREATER_OR_EQUAL => jump(a >= k),
                GREATER_OR_EQUAL_X => jump(a >= x),
                RETURN => return k,
                _ => panic!("no such instruction: {code:#x}"),
            }
        }
    }

    const KILLED: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;

    #[test]
    fn calls_of_the_guest_are_traps() {
        for ip in [0x40_0000, 0x7fff_0000_1000, CODE - 1, CODE + CODE_LEN, 0xffff_ffff_ff60_0000] {
            for number in [0, 9, 15, 39, 202, 0x4000_0001] {
                assert_eq!(decide(ip, number, [0; 6]), libc::SECCOMP_RET_TRAP, "{ip:#x}");
            }
            assert_eq!(decide_on(0x4000_0003, ip, 1, [0; 6]), libc::SECCOMP_RET_TRAP);
        }
    }

    #[test]
    fn the_stub_does_what_it_is_for() {
        let turn = (block::ADDRESS + block::TURN) as u64;
        assert_eq!(decide(SITES.wake, 202, [turn, 1, 1, 0, 0, 0]), ALLOWED);
        assert_eq!(decide(SITES.wait, 202, [turn, 0, 3, 0, 0, 0]), ALLOWED);
        assert_eq!(decide(SITES.done, 15, [7; 6]), ALLOWED);
        for flags in [0x11, 0x8011] {
            let map = [0x1_0000, 0x1000, 7, flags, 3, 0x5000];
            assert_eq!(decide(SITES.operation, 9, map), ALLOWED);
        }
        assert_eq!(decide(SITES.operation, 10, [0x7fff_0000_0000, 0x1000, 0, 0, 0, 0]), ALLOWED);
        assert_eq!(decide(SITES.operation, 11, [0, CODE as u64, 0, 0, 0, 0]), ALLOWED);
        assert_eq!(decide(SITES.operation, 11, [CODE as u64 - 4096, 4096, 0, 0, 0, 0]), ALLOWED);
    }

    #[test]
    fn the_stub_does_nothing_else() {
        let turn = (block::ADDRESS + block::TURN) as u64;
        assert_eq!(decide(SITES.wake, 202, [turn, 0, 1, 0, 0, 0]), KILLED);
        assert_eq!(decide(SITES.wait, 202, [turn + 4, 0, 1, 0, 0, 0]), KILLED);
        assert_eq!(decide(SITES.wait, 202, [turn - (1 << 32), 0, 1, 0, 0, 0]), KILLED);
        assert_eq!(decide(SITES.done, 39, [0; 6]), KILLED);
        assert_eq!(decide(SITES.operation, 59, [0; 6]), KILLED);
        assert_eq!(decide(CODE + 0x50, 15, [0; 6]), KILLED);
        assert_eq!(decide_on(0x4000_0003, SITES.done, 15, [0; 6]), KILLED);
        for (flags, fd) in [(0x12, 3), (0x10_0011, 3), (0x11, 4), (0x32, 3)] {
            let map = [0x1_0000, 0x1000, 7, flags, fd, 0];
            assert_eq!(decide(SITES.operation, 9, map), KILLED);
        }
        let all = [0x1_0000, 0x1000, 8, 0x11, 3, 0];
        assert_eq!(decide(SITES.operation, 9, all), KILLED);
        assert_eq!(decide(SITES.operation, 10, all), KILLED);
    }

    #[test]
    fn the_window_stays() {
        let code = CODE as u64;
        let ranges = [
            (code, 1),
            (code - 4096, 4097),
            (0, code + 1),
            (code + 0x1_0000, 4096),
            (1, u64::MAX),
            (code, u64::MAX - code + 1),
            (u64::MAX, 2),
            (0x7fff_0000_0000, 0x1_0000_0000),
            (0xffff_f000, code - 0xffff_f000 + 1),
        ];
        for (at, len) in ranges {
            for number in [9, 10, 11] {
                let arguments = [at, len, 3, 0x11, 3, 0];
                assert_eq!(decide(SITES.operation, number, arguments), KILLED, "{at:#x} {len:#x}");
            }
        }
        let fits = [0xffff_f000, code - 0xffff_f000, 3, 0x11, 3, 0];
        assert_eq!(decide(SITES.operation, 11, fits), ALLOWED);
    }
}
