//! The virtual machine: a QEMU command line, and QEMU on the user's own terminal.
//!
//! The serial port is the console. At the terminal QEMU reads raw bytes, so ^C and ^Z reach the
//! guest; Ctrl-A is QEMU's own key there.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    fs::{self, OpenOptions},
    io::{self, IsTerminal},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    thread,
};

/// The kinds of machine QEMU offers that the kernel boots on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A PC with PCI Express.
    #[default]
    Q35,
    /// A minimal machine with virtio-mmio devices.
    Microvm,
}

/// Who is at the other end of the serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// A person: Ctrl-A X ends QEMU.
    Terminal,
    /// A program: every byte is the guest's, and a reset ends QEMU.
    Program,
}

/// What to boot, and on what.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kernel: an ELF file with a PVH note, or a Linux bzImage.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// Raw disk images, attached as virtio block devices in this order.
    pub disks: Vec<PathBuf>,
    /// The kernel's command line.
    pub append: String,
    /// What QEMU emulates.
    pub kind: Kind,
    /// How many CPUs.
    pub smp: u32,
    /// How much memory, as QEMU writes it (`512M`).
    pub memory: String,
    /// More words for QEMU.
    pub extra: Vec<String>,
}

/// The QEMU binary that is run.
const QEMU: &str = "qemu-system-x86_64";

impl Machine {
    /// The command that boots this machine.
    ///
    /// # Errors
    /// A file that QEMU would have to read is not there.
    pub fn command(&self, console: Console) -> Result<Command> {
        for file in [&self.kernel].into_iter().chain(&self.initrd).chain(&self.disks) {
            if !file.exists() {
                bail!("{} does not exist; `make build` builds the kernel", file.display());
            }
        }
        self.check_memory()?;
        let mut command = Command::new(QEMU);
        let accelerated = kvm_usable();
        command
            .args(["-accel", if accelerated { "kvm" } else { "tcg" }])
            .args(["-cpu", if accelerated { "host" } else { "max" }])
            .args(["-machine", if self.kind == Kind::Q35 { "q35" } else { "microvm" }])
            .args(["-smp", &self.smp.to_string(), "-m", &self.memory])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        match console {
            Console::Terminal => command
                .args(["-chardev", "stdio,id=console,mux=on,signal=off"])
                .args(["-mon", "chardev=console,mode=readline"]),
            Console::Program => {
                command.args(["-chardev", "stdio,id=console,signal=off", "-no-reboot"])
            }
        };
        command.args(["-serial", "chardev:console"]);
        command.arg("-kernel").arg(&self.kernel);
        if let Some(initrd) = &self.initrd {
            command.arg("-initrd").arg(initrd);
        }
        for (index, disk) in self.disks.iter().enumerate() {
            let device =
                if self.kind == Kind::Q35 { "virtio-blk-pci" } else { "virtio-blk-device" };
            command
                .args([
                    "-drive",
                    &format!("file={},if=none,format=raw,id=disk{index}", disk.display()),
                ])
                .args(["-device", &format!("{device},drive=disk{index}")]);
        }
        if !self.append.is_empty() {
            command.args(["-append", &self.append]);
        }
        command.args(&self.extra);
        Ok(command)
    }

    /// Refuses memory that the boot loader's files would not fit into side by side: QEMU puts one
    /// over the other then, and what boots is not what it was.
    fn check_memory(&self) -> Result<()> {
        let Some(memory) = mebibytes(&self.memory) else {
            bail!("a size of memory is written 512M or 2G, not {:?}", self.memory);
        };
        let files = [&self.kernel].into_iter().chain(&self.initrd);
        let sizes = files.map(|file| fs::metadata(file).map_or(0, |data| data.len()));
        let needed = sizes.sum::<u64>().div_ceil(1 << 20) + 2;
        if memory < needed {
            bail!("the kernel and its RAM disk need {needed}M of memory, not {}", self.memory);
        }
        Ok(())
    }

    /// Runs the machine on this terminal until it is switched off; returns the status to exit with.
    ///
    /// # Errors
    /// QEMU cannot be started, or fails by itself.
    pub fn run(mut self) -> Result<u8> {
        let terminal = Terminal::save();
        if terminal.saved.is_some() {
            eprintln!("(Ctrl-A X ends QEMU, Ctrl-A H lists its other keys)");
            self.describe_terminal();
        }
        let mut child = start(self.command(Console::Terminal)?)?;
        stop_on_signals(&child)?;
        let status = child.wait().context("waiting for QEMU")?;
        drop(terminal);
        exit_status(status)
    }

    /// Tells the guest what its terminal is: words that no kernel knows become init's environment.
    fn describe_terminal(&mut self) {
        let mut words = vec![];
        if let Ok(size) = tcgetwinsize(io::stdin())
            && size.ws_row > 0
            && size.ws_col > 0
        {
            words.push(format!("LINES={} COLUMNS={}", size.ws_row, size.ws_col));
        }
        if let Ok(term) = std::env::var("TERM")
            && term.chars().all(|c| c.is_ascii_alphanumeric() || "-+.".contains(c))
        {
            words.push(format!("TERM={term}"));
        }
        for word in words {
            if !self.append.is_empty() {
                self.append.push(' ');
            }
            self.append.push_str(&word);
        }
    }
}

/// A size as QEMU takes it, in MiB: `512`, `512M`, `2G`.
fn mebibytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['M', 'm', 'G', 'g']);
    let unit = match &text[digits.len()..] {
        "" | "M" | "m" => 1,
        "G" | "g" => 1024,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Starts QEMU.
///
/// # Errors
/// It is not installed.
pub fn start(mut command: Command) -> Result<Child> {
    command
        .spawn()
        .with_context(|| format!("cannot run {QEMU}; `make setup` installs it (qemu-system-x86)"))
}

/// The status to exit with when QEMU has ended.
///
/// A guest that switches off by ACPI is 0; one that writes `n` to isa-debug-exit makes QEMU exit
/// with `2n + 1`, which is `n` here.
///
/// # Errors
/// QEMU failed or was killed.
pub fn exit_status(status: ExitStatus) -> Result<u8> {
    if let Some(signal) = status.signal() {
        bail!("QEMU was ended by signal {signal}");
    }
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(0) => Ok(0),
        Some(code) if code > 1 && code % 2 == 1 => Ok(code / 2),
        other => bail!("QEMU failed with status {other:?}; its message is above"),
    }
}

/// Hardware virtualization is there: the device can be opened, and the CPU has it. (The device
/// node alone says nothing inside a container.)
fn kvm_usable() -> bool {
    let virtualizes = fs::read_to_string("/proc/cpuinfo")
        .is_ok_and(|text| text.split_whitespace().any(|word| word == "vmx" || word == "svm"));
    virtualizes && OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
}

/// Ends QEMU, by its own orderly exit, when this process is asked to end.
fn stop_on_signals(child: &Child) -> Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT]).context("catching signals")?;
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    thread::spawn(move || {
        for _ in signals.forever() {
            if let Some(pid) = pid {
                // It has ended already when this fails.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
    });
    Ok(())
}

/// The terminal's settings as they were; put back when this is dropped, however QEMU ended.
struct Terminal {
    saved: Option<Termios>,
}

impl Terminal {
    fn save() -> Self {
        let stdin = io::stdin();
        Self { saved: if stdin.is_terminal() { tcgetattr(&stdin).ok() } else { None } }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            // A terminal that is gone needs no restoring.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, saved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{exit_status, mebibytes};
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        assert_eq!(mebibytes("512M"), Some(512));
        assert_eq!((mebibytes("96"), mebibytes("2g")), (Some(96), Some(2048)));
        assert_eq!((mebibytes("2GM"), mebibytes("G"), mebibytes("-1M")), (None, None, None));
    }

    #[test]
    fn the_guest_decides_the_exit_status() {
        let status = |code: i32| exit_status(ExitStatus::from_raw(code << 8)).ok();
        assert_eq!(status(0), Some(0));
        assert_eq!(status(3), Some(1));
        assert_eq!(status(33), Some(16));
        assert_eq!(status(255), Some(127));
        assert_eq!(status(1), None, "QEMU's own failure");
        assert_eq!(status(2), None);
        assert!(exit_status(ExitStatus::from_raw(9)).is_err(), "killed");
    }
}
