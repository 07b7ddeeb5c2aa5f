//! What is done to both terminals, and the comparison of what they answered.

use io::tty::Termios;
use std::{fmt, time::Duration};

use crate::{host::Host, ours::Ours};

/// One thing done to a terminal.
#[derive(Clone)]
pub(crate) enum Step {
    /// The master writes.
    Type(Vec<u8>),
    /// The master reads all there is.
    Echo,
    /// The program reads at most so many bytes.
    Read(usize),
    /// The program writes.
    Print(Vec<u8>),
    /// The program changes the settings.
    Set(Termios),
    /// `FIONREAD`.
    Count,
    Poll,
    PollMaster,
    FlushInput,
    FlushOutput,
    StopOutput,
    StartOutput,
    CloseTerminal,
    OpenTerminal,
    CloseMaster,
}

/// What a step answered.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Number(u64),
    Bytes(Vec<u8>),
    /// An error number of Linux.
    Error(u16),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(bytes) => write!(f, "Type {}", bytes.escape_ascii()),
            Self::Print(bytes) => write!(f, "Print {}", bytes.escape_ascii()),
            Self::Echo => write!(f, "Echo"),
            Self::Read(size) => write!(f, "Read {size}"),
            Self::Set(termios) => write!(
                f,
                "Set {:?} {:?} {:?} {:x?}",
                termios.input, termios.output, termios.local, termios.control
            ),
            Self::Count => write!(f, "Count"),
            Self::Poll => write!(f, "Poll"),
            Self::PollMaster => write!(f, "PollMaster"),
            Self::FlushInput => write!(f, "FlushInput"),
            Self::FlushOutput => write!(f, "FlushOutput"),
            Self::StopOutput => write!(f, "StopOutput"),
            Self::StartOutput => write!(f, "StartOutput"),
            Self::CloseTerminal => write!(f, "CloseTerminal"),
            Self::OpenTerminal => write!(f, "OpenTerminal"),
            Self::CloseMaster => write!(f, "CloseMaster"),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "done"),
            Self::Number(number) => write!(f, "{number:#x}"),
            Self::Bytes(bytes) => write!(f, "[{}] {}", bytes.len(), bytes.escape_ascii()),
            Self::Error(number) => write!(f, "errno {number}"),
        }
    }
}

/// Does `steps` to a terminal of the host and to ours; panics where the answers differ.
///
/// The host moves bytes in the background, so a difference is believed only if it stays when more
/// time is given.
pub(crate) fn compare(steps: &[Step]) {
    let mut ours = Ours::new();
    let our_answers: Vec<Answer> = steps.iter().map(|step| ours.run(step)).collect();
    let mut difference = String::new();
    for settle in [Duration::from_micros(200), Duration::from_millis(5), Duration::from_millis(40)]
    {
        let Some(mut host) = Host::new(settle) else {
            eprintln!("no pseudo-terminal on this host: nothing compared");
            return;
        };
        difference.clear();
        for (step, our_answer) in steps.iter().zip(&our_answers) {
            let host_answer = host.run(step);
            let marker = if host_answer == *our_answer { "  " } else { "! " };
            difference += &format!("{marker}{step:?}\n    ours {our_answer:?}\n");
            if host_answer != *our_answer {
                difference += &format!("    host {host_answer:?}\n");
            }
        }
        if !difference.lines().any(|line| line.starts_with('!')) {
            return;
        }
    }
    panic!("the host answers otherwise:\n{difference}");
}
