//! Entropy: RDSEED, RDRAND, and always also the jitter of the time stamp counter.

use super::{clock::tsc, features::cpuid};
use core::arch::asm;

/// Readings of the counter that make 64 bits.
const ROUNDS: usize = 64;

pub(crate) fn seed(bytes: &mut [u8]) {
    let has_seed = cpuid(7, 0).ebx & 1 << 18 != 0;
    let has_random = cpuid(1, 0).ecx & 1 << 30 != 0;
    for chunk in bytes.chunks_mut(8) {
        let mut word = jitter();
        if has_random {
            word = mix(word ^ rdrand());
        }
        if has_seed {
            word = mix(word ^ rdseed());
        }
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
}

/// What is left of the time that a few instructions take when all that repeats is gone.
fn jitter() -> u64 {
    let mut pool = 0;
    for _ in 0..ROUNDS {
        pool = mix(pool ^ tsc());
        core::hint::spin_loop();
    }
    pool
}

/// Spreads each bit over all (the finalizer of `splitmix64`).
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ value >> 31).wrapping_add(0x9e37_79b9_7f4a_7c15)
}

/// A random number, or 0 if there is none for the moment.
fn rdrand() -> u64 {
    for _ in 0..10 {
        let (value, good): (u64, u8);
        // SAFETY: CPUID announces the instruction.
        unsafe {
            asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) good, options(nomem, nostack))
        };
        if good != 0 {
            return value;
        }
    }
    0
}

/// A number of full entropy, or 0 if there is none for the moment.
fn rdseed() -> u64 {
    for _ in 0..100 {
        let (value, good): (u64, u8);
        // SAFETY: CPUID announces the instruction.
        unsafe {
            asm!("rdseed {}", "setc {}", out(reg) value, out(reg_byte) good, options(nomem, nostack))
        };
        if good != 0 {
            return value;
        }
        core::hint::spin_loop();
    }
    0
}
