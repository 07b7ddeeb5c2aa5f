//! A shell at the end of a session: commands in, output and status out.

use anyhow::{Context, Result};
use std::{path::PathBuf, time::Duration};

use crate::{
    machine::Machine,
    session::{PATIENCE, Session},
};

/// How long a kernel may take to its first prompt.
const BOOT: Duration = Duration::from_secs(90);

/// What a command said, with plain newlines, and its exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Standard output and error, as the terminal showed them.
    pub text: String,
    /// The exit status, as `$?` has it.
    pub status: u8,
}

/// The interactive shell on a machine's console.
///
/// Its prompt carries the last status, so that the end of a command is seen and not guessed.
pub struct Shell {
    /// For what is more than a command and its output: keys, full-screen programs.
    pub session: Session,
}

impl Shell {
    /// Boots a machine and waits for the shell of the image's own root.
    ///
    /// # Errors
    /// No prompt comes.
    pub fn boot(machine: &Machine, log: Option<PathBuf>) -> Result<Self> {
        let mut session = Session::boot(machine, log)?;
        session.expect_within(":~# ", BOOT).context("waiting for the shell's prompt")?;
        // Wide, so that the line editor never has to wrap what it echoes.
        session.line("stty rows 24 cols 999")?;
        session.expect(":~# ")?;
        session.line("PS1='[status='\\$?']# '")?;
        session.expect("[status=0]# ")?;
        Ok(Self { session })
    }

    /// Runs one command line and waits for the next prompt.
    ///
    /// # Errors
    /// It does not end in [`PATIENCE`].
    pub fn run(&mut self, command: &str) -> Result<Output> {
        self.session.line(command)?;
        self.session.expect("\r\n").context("the terminal echoes the command")?;
        self.prompt(PATIENCE).with_context(|| format!("running {command:?}"))
    }

    /// Waits for the prompt; returns what came before it and the status of the last command.
    ///
    /// # Errors
    /// It does not come in time.
    pub fn prompt(&mut self, limit: Duration) -> Result<Output> {
        let text = self.session.expect_within("[status=", limit)?.replace("\r\n", "\n");
        let status = self.session.expect("]# ")?;
        let status = status.parse().with_context(|| format!("the status {status:?}"))?;
        Ok(Output { text, status })
    }
}
