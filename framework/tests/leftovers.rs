//! Nothing is left on the host when the kernel's process ends, in whatever way.
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use framework::{Frame, Protection, Trap, UserContext, VirtAddr, VmSpace};
use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Set for the process that is to be the kernel.
const ROLE: &str = "JINUX_TEST_LEFTOVERS";

/// Runs programs in three spaces, says so, and goes on until it is killed or ends by itself.
fn be_the_kernel(role: &str) -> ! {
    let code = VirtAddr::new(0x40_0000);
    let spaces: Vec<_> = (0..3).map(|_| VmSpace::new().unwrap()).collect();
    for space in &spaces {
        let frame = Frame::zeroed().unwrap();
        frame.write(0, &[0x0f, 0x05, 0xeb, 0xfe]); // syscall; jmp .
        space.lock().map(code, frame, Protection::READ | Protection::EXECUTE).unwrap();
        let mut context = UserContext::new(code, code);
        while context.run(space) != Trap::Syscall {}
    }
    println!("ready");
    match role {
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        // In user mode for ever.
        _ => loop {
            UserContext::new(code + 2, code).run(&spaces[0]);
        },
    }
}

/// The processes whose parent is `pid`, also those that are dead but not reaped.
fn children(pid: u32) -> Vec<u32> {
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let all = fs::read_dir("/proc").unwrap();
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|each| parent(*each) == Some(pid))
        .collect()
}

fn start(role: &str) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(ROLE, role)
        .args(["--exact", "nothing_is_left", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("ready")));
    child
}

fn are_gone(pids: &[u32]) -> bool {
    let alive = |pid: &u32| {
        // A dead one may wait for init; it has no command line any more.
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("jinux-stub")
    };
    !pids.iter().any(alive)
}

#[test]
fn nothing_is_left() {
    if let Ok(role) = env::var(ROLE) {
        be_the_kernel(&role);
    }
    for role in ["kill", "exit", "abort"] {
        let mut kernel = start(role);
        let stubs = children(kernel.id());
        if role == "kill" {
            assert!(stubs.len() >= 4, "a zygote and three stubs: {stubs:?}");
            kernel.kill().unwrap();
        }
        kernel.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !are_gone(&stubs) {
            assert!(Instant::now() < deadline, "{role} left something: {stubs:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
