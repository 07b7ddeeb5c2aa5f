//! The vDSO: a shared library for programs that reads the clock without a system call.
//!
//! `vdso/vdso.rs` is its source. The kernel maps one page with [`parameters`] and, right behind it,
//! the pages of [`IMAGE`].

use crate::time::TscClock;

/// The library, an ELF file to be mapped as it is.
pub const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vdso.so"));

/// Where the parameters begin in their page, behind the sequence number: a 32-bit word at 0 that
/// is odd while they change.
pub const PARAMETERS_OFFSET: usize = 4;

/// The parameters as the library reads them: how the counter gives nanoseconds since boot, and
/// what to add to get UTC. Without a clock the library asks the kernel.
pub fn parameters(clock: Option<TscClock>, wall_offset_ns: u64) -> [u8; 36] {
    let usable = u32::from(clock.is_some());
    let clock = clock.unwrap_or(TscClock { base_tsc: 0, base_ns: 0, mult: 0, shift: 0 });
    let mut bytes = [0; 36];
    bytes[..4].copy_from_slice(&usable.to_le_bytes());
    bytes[4..12].copy_from_slice(&clock.base_tsc.to_le_bytes());
    bytes[12..20].copy_from_slice(&clock.base_ns.to_le_bytes());
    bytes[20..24].copy_from_slice(&clock.mult.to_le_bytes());
    bytes[24..28].copy_from_slice(&clock.shift.to_le_bytes());
    bytes[28..].copy_from_slice(&wall_offset_ns.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::IMAGE;

    #[test]
    fn image_is_a_library_with_the_names_programs_ask_for() {
        assert_eq!(&IMAGE[..4], b"\x7fELF");
        let has = |name: &[u8]| IMAGE.windows(name.len()).any(|window| window == name);
        for name in ["clock_gettime", "clock_getres", "gettimeofday", "time", "getcpu"] {
            assert!(has(format!("__vdso_{name}\0").as_bytes()), "{name}");
        }
        assert!(has(b"LINUX_2.6\0") && has(b"linux-vdso.so.1\0"));
    }
}
