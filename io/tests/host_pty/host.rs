//! A pseudo-terminal of the host's Linux behind the script.

use io::tty::Termios;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::OFlags,
    io::Errno,
    pty,
    termios::{
        Action, ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector,
        SpecialCodeIndex,
    },
};
use std::{
    fs::{File, OpenOptions},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    thread,
    time::Duration,
};

use crate::script::{Answer, Step};

pub(crate) struct Host {
    master: Option<File>,
    terminal: Option<File>,
    name: String,
    /// The least time given to the host to move bytes.
    settle: Duration,
}

/// Their places are those of `io::tty::Control`, and `None` has no constant.
const CONTROLS: [Option<SpecialCodeIndex>; 17] = [
    Some(SpecialCodeIndex::VINTR),
    Some(SpecialCodeIndex::VQUIT),
    Some(SpecialCodeIndex::VERASE),
    Some(SpecialCodeIndex::VKILL),
    Some(SpecialCodeIndex::VEOF),
    Some(SpecialCodeIndex::VTIME),
    Some(SpecialCodeIndex::VMIN),
    None,
    Some(SpecialCodeIndex::VSTART),
    Some(SpecialCodeIndex::VSTOP),
    Some(SpecialCodeIndex::VSUSP),
    Some(SpecialCodeIndex::VEOL),
    Some(SpecialCodeIndex::VREPRINT),
    Some(SpecialCodeIndex::VDISCARD),
    Some(SpecialCodeIndex::VWERASE),
    Some(SpecialCodeIndex::VLNEXT),
    Some(SpecialCodeIndex::VEOL2),
];

impl Host {
    /// `None` if the host has no pseudo-terminals.
    pub(crate) fn new(settle: Duration) -> Option<Self> {
        let master = open("/dev/ptmx")?;
        pty::unlockpt(&master).ok()?;
        let name = pty::ptsname(&master, Vec::new()).ok()?.into_string().ok()?;
        let terminal = open(&name)?;
        Some(Self { master: Some(master), terminal: Some(terminal), name, settle })
    }

    pub(crate) fn run(&mut self, step: &Step) -> Answer {
        match step {
            Step::CloseTerminal => self.terminal = None,
            Step::CloseMaster => self.master = None,
            Step::OpenTerminal => self.terminal = open(&self.name),
            Step::Type(_) | Step::Echo | Step::PollMaster => return self.run_master(step),
            _ => return self.run_terminal(step),
        }
        Answer::Done
    }

    fn run_master(&self, step: &Step) -> Answer {
        let master = self.master.as_ref().expect("scripts use what is open");
        match step {
            Step::Type(bytes) => {
                let answer = count(rustix::io::write(master, bytes));
                self.settle();
                answer
            }
            Step::Echo => read_all(master),
            _ => poll(master),
        }
    }

    fn run_terminal(&self, step: &Step) -> Answer {
        let terminal = self.terminal.as_ref().expect("scripts use what is open");
        match step {
            Step::Print(bytes) => count(rustix::io::write(terminal, bytes)),
            Step::Read(size) => read(terminal, *size),
            Step::Set(termios) => unit(set(terminal, termios)),
            Step::Count => match rustix::io::ioctl_fionread(terminal) {
                Ok(count) => Answer::Number(count),
                Err(error) => failed(error),
            },
            Step::Poll => poll(terminal),
            Step::FlushInput => unit(rustix::termios::tcflush(terminal, QueueSelector::IFlush)),
            Step::FlushOutput => unit(rustix::termios::tcflush(terminal, QueueSelector::OFlush)),
            Step::StopOutput => unit(rustix::termios::tcflow(terminal, Action::OOff)),
            Step::StartOutput => unit(rustix::termios::tcflow(terminal, Action::OOn)),
            _ => unreachable!("run() takes care of the others"),
        }
    }

    /// Waits until the host has processed what was typed. Its poll(2) does, if nothing can be read;
    /// else only time helps.
    fn settle(&self) {
        if let Some(terminal) = &self.terminal {
            poll(terminal);
        }
        thread::sleep(self.settle);
    }
}

fn open(path: &str) -> Option<File> {
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).ok()?;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).ok()
}

fn set(terminal: &File, wanted: &Termios) -> Result<(), Errno> {
    let mut termios = rustix::termios::tcgetattr(terminal)?;
    termios.input_modes = InputModes::from_bits_retain(wanted.input.bits());
    termios.output_modes = OutputModes::from_bits_retain(wanted.output.bits());
    termios.local_modes = LocalModes::from_bits_retain(wanted.local.bits());
    termios.control_modes = ControlModes::from_bits_retain(wanted.control_modes.bits());
    for (place, value) in CONTROLS.iter().zip(wanted.control) {
        if let Some(place) = place {
            termios.special_codes[*place] = value;
        }
    }
    rustix::termios::tcsetattr(terminal, OptionalActions::Now, &termios)
}

fn poll(file: &File) -> Answer {
    let asked =
        PollFlags::IN | PollFlags::OUT | PollFlags::PRI | PollFlags::RDNORM | PollFlags::WRNORM;
    let mut files = [PollFd::from_borrowed_fd(file.as_fd(), asked)];
    match rustix::event::poll(&mut files, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) => Answer::Number(u64::from(files[0].revents().bits())),
        Err(error) => failed(error),
    }
}

fn read(file: &File, size: usize) -> Answer {
    let mut buffer = vec![0; size];
    match rustix::io::read(file, &mut buffer[..]) {
        Ok(count) => {
            buffer.truncate(count);
            Answer::Bytes(buffer)
        }
        Err(error) => failed(error),
    }
}

/// Reads until there is nothing more: the host hands out at most its buffer.
fn read_all(file: &File) -> Answer {
    let mut all = Vec::new();
    loop {
        match read(file, 65536) {
            Answer::Bytes(bytes) if !bytes.is_empty() => all.extend(bytes),
            answer if all.is_empty() => return answer,
            _ => return Answer::Bytes(all),
        }
    }
}

fn count(result: Result<usize, Errno>) -> Answer {
    match result {
        Ok(count) => Answer::Number(count as u64),
        Err(error) => failed(error),
    }
}

fn unit(result: Result<(), Errno>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(error) => failed(error),
    }
}

fn failed(error: Errno) -> Answer {
    Answer::Error(u16::try_from(error.raw_os_error()).expect("error numbers are small"))
}
