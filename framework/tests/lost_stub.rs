//! The host ends a process in which a program runs.
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use framework::{
    Frame, Protection, Trap, UserContext, VirtAddr, VmSpace,
    user::{Exception, MACHINE_CHECK},
};
use std::{fs, process::Command, sync::Mutex, thread, time::Duration};

/// One test at a time: they tell the stubs of this process by their age, or do not.
static TURN: Mutex<()> = Mutex::new(());

/// The youngest child of this process.
fn youngest() -> u32 {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let children = tasks.flat_map(|task| {
        let list = fs::read_to_string(task.unwrap().path().join("children")).unwrap();
        list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()
    });
    children.max().unwrap()
}

#[test]
fn only_its_program_is_lost() {
    let _turn = TURN.lock();
    let code = VirtAddr::new(0x40_0000);
    let space = VmSpace::new().unwrap();
    let frame = Frame::zeroed().unwrap();
    frame.write(0, &[0x0f, 0x05, 0xeb, 0xfe]); // syscall; jmp .
    space.lock().map(code, frame, Protection::READ | Protection::EXECUTE).unwrap();
    for _ in 0..5 {
        let mut context = UserContext::new(code, code);
        while context.run(&space) != Trap::Syscall {}
        let pid = youngest();
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(10));
            Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        });
        let lost = Exception { vector: MACHINE_CHECK, error: 0 };
        assert_eq!(context.run(&space), Trap::Exception(lost));
        killer.join().unwrap();
    }
}

#[test]
fn other_signals_of_the_host_are_nothing() {
    let _turn = TURN.lock();
    let code = VirtAddr::new(0x40_0000);
    let space = VmSpace::new().unwrap();
    let frame = Frame::zeroed().unwrap();
    frame.write(0, &[0xff, 0xc9, 0x75, 0xfc, 0x0f, 0x05]); // dec ecx; jnz back; syscall
    space.lock().map(code, frame, Protection::READ | Protection::EXECUTE).unwrap();
    let mut context = UserContext::new(code, code);
    for signal in ["-SEGV", "-SYS", "-TERM", "-INT", "-ALRM", "-TRAP", "-HUP"] {
        context.regs_mut().rip = code.get();
        context.regs_mut().rcx = 100_000_000;
        let sender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            let me = std::process::id().to_string();
            Command::new("pkill").args([signal, "-P", &me, "-f", "jinux-stub"]).status().unwrap();
        });
        while matches!(context.run(&space), Trap::Interrupt | Trap::Attention) {}
        assert_eq!(context.regs().rip, code.get() + 6, "{signal}");
        sender.join().unwrap();
    }
}
