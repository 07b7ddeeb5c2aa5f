//! The kernel with a fault in it, to see how it ends: each must be caught and reported.
//!
//! `fault=NAME` on the command line says what a task does when the first program is running, and
//! `cpu=N` where. Nothing of this is in the product.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    extern crate alloc;

    use alloc::{boxed::Box, string::String};
    use core::{arch::asm, hint::black_box, time::Duration};
    use executor::{CpuSet, Spawn};
    use framework::{
        Frame, PAGE_SIZE, Protection, VirtAddr, VmSpace, boot::Boot, cpu::CpuId, time,
    };

    /// When the first program certainly runs.
    const DELAY: Duration = Duration::from_millis(500);

    /// A place of the user half.
    const USER: usize = 0x10_0000;

    fn main(boot: Boot) -> ! {
        let word = |name: &str| {
            let words = boot.cmdline.split_whitespace();
            words.filter_map(|word| word.strip_prefix(name)).next_back().map(String::from)
        };
        let fault = word("fault=").unwrap_or_default();
        let mut how = Spawn::named("saboteur");
        if let Some(cpu) = word("cpu=").and_then(|number| number.parse().ok()) {
            how.affinity = CpuSet::only(CpuId::new(cpu));
        }
        executor::spawn(how, async move {
            executor::sleep_until(time::now().saturating_add(DELAY)).await;
            sabotage(&fault);
        });
        kernel::main(boot)
    }

    framework::entry!(main);

    fn sabotage(fault: &str) {
        let code = sabotage as *const () as usize;
        match fault {
            "panic" => panic!("as it was asked to"),
            "write-code" => store(code),
            "write-constant" => store("constant".as_ptr().addr()),
            "write-nowhere" => store(0x10),
            "run-heap" => call(Box::leak(Box::new([0xc3_u8; 16])).as_ptr().addr()),
            "run-stack" => call(black_box(&[0xc3_u8; 16]).as_ptr().addr()),
            "read-user" => in_user_memory(load),
            "write-user" => in_user_memory(store),
            "run-user" => in_user_memory(call),
            "stack" => {
                black_box(deeper(1));
            }
            "bad-opcode" => {
                // SAFETY: none; the exception is what is wanted.
                unsafe { asm!("ud2") }
            }
            other => panic!("no such fault: {other}"),
        }
        panic!("{fault} went unnoticed");
    }

    #[inline(never)]
    fn store(at: usize) {
        // SAFETY: none; the exception is what is wanted.
        unsafe { (at as *mut u8).write_volatile(0x90) }
    }

    #[inline(never)]
    fn load(at: usize) {
        // SAFETY: none; the exception is what is wanted.
        black_box(unsafe { (at as *const u8).read_volatile() });
    }

    #[inline(never)]
    fn call(at: usize) {
        // SAFETY: none; the exception is what is wanted.
        unsafe { asm!("call {}", in(reg) at, clobber_abi("C")) }
    }

    /// Does it to a page that a program could read, write and run.
    fn in_user_memory(act: fn(usize)) {
        let space = VmSpace::new().expect("memory");
        let page = Frame::zeroed().expect("memory");
        page.fill(0, PAGE_SIZE, 0xc3);
        let at = VirtAddr::new(USER);
        let all = Protection::READ | Protection::WRITE | Protection::EXECUTE;
        space.lock().map(at, page, all).expect("memory");
        // The copy makes the space this CPU's.
        let mut byte = [0];
        space.read(at, &mut byte).expect("it is mapped");
        assert_eq!(byte, [0xc3]);
        act(USER);
    }

    #[inline(never)]
    fn deeper(depth: usize) -> usize {
        let space = black_box([depth; 64]);
        if depth == 0 { 0 } else { deeper(depth + 1) + space[depth % 64] }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this image is for the bare machine; `jinux test --suite faults` boots it");
}
