//! The vDSO: the clock without a system call.
//!
//! A shared library that the kernel maps into every program, right behind a page with the clock's
//! parameters. It runs in user mode, in any program's thread and signal handler, so it has no
//! state, no stack to speak of, and touches nothing but that page and what the caller gave it.
//! Whatever it does not know, it asks the kernel for.
//!
//! Built by the build script of `framework`; the page's layout is also in `framework::vdso`.
#![no_std]

use core::{
    arch::asm,
    ptr::{addr_of, read_volatile},
    sync::atomic::{Ordering, compiler_fence},
};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// What the kernel tells; see `framework::vdso::Parameters`.
#[repr(C)]
struct Parameters {
    /// Odd while the kernel changes the rest.
    sequence: u32,
    /// Not 0 if the counter can be used.
    usable: u32,
    base_tsc: u64,
    base_ns: u64,
    mult: u32,
    shift: u32,
    /// From the monotonic clock to UTC.
    wall_offset_ns: u64,
}

/// `struct timespec`.
#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// `struct timeval`.
#[repr(C)]
pub struct Timeval {
    seconds: i64,
    microseconds: i64,
}

/// `struct timezone`.
#[repr(C)]
pub struct Timezone {
    minutes_west: i32,
    dst: i32,
}

const NANOSECONDS: u64 = 1_000_000_000;
/// The resolution of the coarse clocks: a tick of 250 Hz.
const TICK_NS: i64 = 4_000_000;

const CLOCK_REALTIME: i32 = 0;
const CLOCK_MONOTONIC: i32 = 1;
const CLOCK_MONOTONIC_RAW: i32 = 4;
const CLOCK_REALTIME_COARSE: i32 = 5;
const CLOCK_MONOTONIC_COARSE: i32 = 6;
const CLOCK_BOOTTIME: i32 = 7;

const SYS_GETTIMEOFDAY: usize = 96;
const SYS_TIME: usize = 201;
const SYS_CLOCK_GETTIME: usize = 228;
const SYS_CLOCK_GETRES: usize = 229;
const SYS_GETCPU: usize = 309;

/// Asks the kernel.
fn system_call(number: usize, arguments: [usize; 3]) -> isize {
    let result;
    // SAFETY: only the calls above, each with the arguments its caller gave for it.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result
}

/// The page before this library.
fn parameters() -> *const Parameters {
    let start: *const u8;
    // SAFETY: an address, computed from where this code lies.
    unsafe {
        asm!("lea {}, [rip + __ehdr_start]", out(reg) start, options(nomem, nostack, pure));
    }
    start.wrapping_sub(4096).cast()
}

/// Reads the time stamp counter after all earlier instructions.
fn counter() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: changes nothing but the two registers.
    unsafe {
        asm!("lfence", "rdtsc", out("rax") low, out("rdx") high, options(nomem, nostack));
    }
    high << 32 | low
}

/// Nanoseconds since boot and the offset from there to UTC; `None` if only the kernel knows.
fn read() -> Option<(u64, u64)> {
    let page = parameters();
    loop {
        // SAFETY: the kernel maps the page before this library, and it holds the parameters.
        let before = unsafe { read_volatile(addr_of!((*page).sequence)) };
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as above; the kernel may change them meanwhile, which the sequence tells.
        let (usable, base_tsc, base_ns, mult, shift, wall) = unsafe {
            (
                read_volatile(addr_of!((*page).usable)),
                read_volatile(addr_of!((*page).base_tsc)),
                read_volatile(addr_of!((*page).base_ns)),
                read_volatile(addr_of!((*page).mult)),
                read_volatile(addr_of!((*page).shift)),
                read_volatile(addr_of!((*page).wall_offset_ns)),
            )
        };
        let now = counter();
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as above.
        let after = unsafe { read_volatile(addr_of!((*page).sequence)) };
        if before != after || before & 1 != 0 {
            continue;
        }
        if usable == 0 {
            return None;
        }
        // A counter behind the base is one of another CPU that is a little late.
        let ticks = now.saturating_sub(base_tsc);
        let ns = (u128::from(ticks) * u128::from(mult)) >> (shift & 63);
        return Some((base_ns.wrapping_add(ns as u64), wall));
    }
}

/// Nanoseconds of a clock; `None` if only the kernel knows.
fn clock(id: i32) -> Option<u64> {
    match id {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE => {
            let (ns, wall) = read()?;
            Some(ns.wrapping_add(wall))
        }
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME => {
            Some(read()?.0)
        }
        _ => None,
    }
}

/// Source: clock_gettime(2)
///
/// # Safety
/// As that function's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_clock_gettime(id: i32, to: *mut Timespec) -> i32 {
    let Some(ns) = clock(id) else {
        return system_call(SYS_CLOCK_GETTIME, [id as usize, to as usize, 0]) as i32;
    };
    let value = Timespec {
        seconds: (ns / NANOSECONDS) as i64,
        nanoseconds: (ns % NANOSECONDS) as i64,
    };
    // SAFETY: the caller's pointer.
    unsafe { to.write(value) };
    0
}

/// Source: clock_getres(2)
///
/// # Safety
/// As that function's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_clock_getres(id: i32, to: *mut Timespec) -> i32 {
    let nanoseconds = match id {
        CLOCK_REALTIME | CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_BOOTTIME => 1,
        CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE => TICK_NS,
        _ => return system_call(SYS_CLOCK_GETRES, [id as usize, to as usize, 0]) as i32,
    };
    if !to.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { to.write(Timespec { seconds: 0, nanoseconds }) };
    }
    0
}

/// Source: gettimeofday(2)
///
/// # Safety
/// As that function's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_gettimeofday(to: *mut Timeval, zone: *mut Timezone) -> i32 {
    let Some(ns) = clock(CLOCK_REALTIME) else {
        return system_call(SYS_GETTIMEOFDAY, [to as usize, zone as usize, 0]) as i32;
    };
    if !zone.is_null() {
        // Only the kernel knows the time zone someone may have set.
        return system_call(SYS_GETTIMEOFDAY, [to as usize, zone as usize, 0]) as i32;
    }
    if !to.is_null() {
        let value = Timeval {
            seconds: (ns / NANOSECONDS) as i64,
            microseconds: (ns % NANOSECONDS / 1000) as i64,
        };
        // SAFETY: the caller's pointer.
        unsafe { to.write(value) };
    }
    0
}

/// Source: time(2)
///
/// # Safety
/// As that function's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_time(to: *mut i64) -> i64 {
    let Some(ns) = clock(CLOCK_REALTIME) else {
        return system_call(SYS_TIME, [to as usize, 0, 0]) as i64;
    };
    let seconds = (ns / NANOSECONDS) as i64;
    if !to.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { to.write(seconds) };
    }
    seconds
}

/// Source: getcpu(2)
///
/// # Safety
/// As that function's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_getcpu(cpu: *mut u32, node: *mut u32, unused: usize) -> i32 {
    system_call(SYS_GETCPU, [cpu as usize, node as usize, unused]) as i32
}
