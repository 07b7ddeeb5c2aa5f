//! Our pseudo-terminal behind the script.

use abi::{Errno, Result};
use framework::{Sink, Source};
use io::tty::{
    Flow, Flush, NoSession, Open, OpenAs, ReadTimer, SetWhen, Uncontrolled,
    pty::{Master, PtyTable},
};
use std::sync::Arc;

use crate::script::{Answer, Step};

/// More than a terminal holds.
const ALL: usize = 65536;

pub(crate) struct Ours {
    _table: PtyTable,
    master: Option<Master>,
    terminal: Option<Open>,
}

impl Ours {
    pub(crate) fn new() -> Self {
        let table = PtyTable::new();
        let master = table.open(|_| Arc::new(NoSession)).expect("the table is empty");
        master.set_locked(false);
        let terminal = master.tty().open(OpenAs::Anyone).expect("it is unlocked");
        Self { _table: table, master: Some(master), terminal: Some(terminal) }
    }

    pub(crate) fn run(&mut self, step: &Step) -> Answer {
        match step {
            Step::CloseTerminal => self.terminal = None,
            Step::CloseMaster => self.master = None,
            Step::OpenTerminal => {
                let master = self.master.as_ref().expect("scripts open before they close");
                self.terminal = Some(master.tty().open(OpenAs::Anyone).expect("it is unlocked"));
            }
            Step::Type(_) | Step::Echo | Step::PollMaster => return self.run_master(step),
            _ => return self.run_terminal(step),
        }
        Answer::Done
    }

    fn run_master(&self, step: &Step) -> Answer {
        let master = self.master.as_ref().expect("scripts use what is open");
        match step {
            Step::Type(bytes) => {
                let mut source = Source::kernel(bytes);
                let result = master.write(&mut source);
                count(result, source.done())
            }
            Step::Echo => {
                let mut buffer = vec![0; ALL];
                let mut sink = Sink::kernel(&mut buffer);
                let result = master.read(&mut sink);
                let done = sink.done();
                bytes(result, buffer, done)
            }
            _ => Answer::Number(u64::from(master.poll().bits())),
        }
    }

    fn run_terminal(&self, step: &Step) -> Answer {
        let terminal = self.terminal.as_ref().expect("scripts use what is open");
        match step {
            Step::Print(bytes) => {
                let mut source = Source::kernel(bytes);
                let result = terminal.write(&Uncontrolled, &mut source);
                count(result, source.done())
            }
            Step::Read(size) => {
                let mut buffer = vec![0; *size];
                let mut sink = Sink::kernel(&mut buffer);
                let result = terminal.read(&Uncontrolled, &mut sink, &mut ReadTimer::default());
                let done = sink.done();
                bytes(result, buffer, done)
            }
            Step::Set(termios) => unit(terminal.set_termios(&Uncontrolled, SetWhen::Now, termios)),
            Step::Count => count(terminal.readable_bytes(), 0),
            Step::Poll => Answer::Number(u64::from(terminal.poll().bits())),
            Step::FlushInput => unit(terminal.flush(&Uncontrolled, Flush::Input)),
            Step::FlushOutput => unit(terminal.flush(&Uncontrolled, Flush::Output)),
            Step::StopOutput => unit(terminal.control_flow(&Uncontrolled, Flow::StopOutput)),
            Step::StartOutput => unit(terminal.control_flow(&Uncontrolled, Flow::StartOutput)),
            _ => unreachable!("run() takes care of the others"),
        }
    }
}

/// What a call that may not wait returns: what was done, if anything was.
fn count(result: Result<usize>, done: usize) -> Answer {
    match result {
        Ok(count) => Answer::Number(count as u64),
        Err(Errno::EAGAIN) if done > 0 => Answer::Number(done as u64),
        Err(error) => Answer::Error(error.number()),
    }
}

fn bytes(result: Result<usize>, mut buffer: Vec<u8>, done: usize) -> Answer {
    match count(result, done) {
        Answer::Number(_) => {
            buffer.truncate(done);
            Answer::Bytes(buffer)
        }
        answer => answer,
    }
}

fn unit(result: Result<()>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Error(error.number()),
    }
}
