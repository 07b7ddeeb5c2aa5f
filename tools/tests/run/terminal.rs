//! The terminal of a guest, typed at through a pseudo-terminal of the host.

use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    process::{Child, Command},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use crate::{PATIENCE, wait};
use tools::initramfs::find_busybox;

/// A `jinux run` on a pseudo-terminal.
struct Typist {
    child: Child,
    master: File,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Typist {
    fn start(program: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("the host has pseudo-terminals");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, vec![]).expect("it has a name");
        let terminal = || {
            let flags = i32::try_from(OFlags::NOCTTY.bits()).expect("it is a bit of an int");
            let name = name.to_str().expect("it is a path below /dev");
            let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(name);
            opened.expect("it is unlocked")
        };
        let master = File::from(master);
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_jinux"), "run", "--"]).args(program);
        command.stdin(terminal()).stdout(terminal()).stderr(terminal());
        let child = command.spawn().expect("setsid is everywhere");
        let mut from = master.try_clone().expect("a descriptor");
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer)
                && sender.send(buffer[..count].to_vec()).is_ok()
            {}
        });
        let typist = Self { child, master, output, seen: vec![] };
        typist.resize(24, 80);
        typist
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("it is a terminal");
    }

    fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("jinux reads");
    }

    /// Waits for text, and forgets what came up to its end.
    fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.seen.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = found {
                self.seen.drain(..at + text.len());
                return;
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(_) => {
                    panic!("{text:?} does not come: {:?}", String::from_utf8_lossy(&self.seen))
                }
            }
        }
    }

    fn is_raw(&self) -> bool {
        let settings = tcgetattr(&self.master).expect("it is a terminal");
        !settings.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }
}

fn shell() -> Typist {
    let busybox = find_busybox().expect("make setup installs busybox");
    let mut typist = Typist::start(&[busybox.to_str().expect("it is a plain path"), "sh"]);
    typist.expect("# ");
    typist
}

#[test]
fn keys_are_the_guest_s_and_the_terminal_comes_back() {
    let mut typist = shell();
    assert!(typist.is_raw());
    typist.keys("sleep 100\r");
    typist.expect("sleep 100\r\n");
    thread::sleep(Duration::from_millis(200));
    typist.keys("\x03");
    typist.expect("# ");
    typist.keys("echo status=$?\r");
    typist.expect("status=130\r\n");
    typist.keys("sleep 100\r");
    thread::sleep(Duration::from_millis(300));
    typist.keys("\x1a");
    typist.expect("Stopped");
    typist.expect("# ");
    typist.keys("fg\r");
    typist.expect("sleep 100\r\n");
    thread::sleep(Duration::from_millis(200));
    typist.keys("\x03");
    typist.expect("# ");
    typist.keys("exit 5\r");
    typist.expect("exit 5\r\n");
    let Typist { child, master, .. } = typist;
    assert_eq!(wait(child).code(), Some(5));
    let settings = tcgetattr(&master).expect("it is a terminal");
    assert!(settings.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO));
}

#[test]
fn the_window_is_the_host_s() {
    let mut typist = shell();
    typist.keys("stty size\r");
    typist.expect("24 80\r\n");
    typist.resize(50, 132);
    typist.keys("until stty size | grep '50 132'; do :; done; exit 0\r");
    typist.expect("\r\n50 132\r\n");
    assert!(wait(typist.child).success());
}

#[test]
fn a_signal_ends_the_machine_and_gives_the_terminal_back() {
    let typist = shell();
    assert!(typist.is_raw());
    let pid = i32::try_from(typist.child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.expect("it is a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let Typist { child, master, .. } = typist;
    assert!(!wait(child).success());
    let settings = tcgetattr(&master).expect("it is a terminal");
    assert!(settings.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO));
}
