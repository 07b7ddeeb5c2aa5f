//! A scripted conversation with whatever is on the other end of a console.
//!
//! The console is QEMU's serial port on a pair of pipes, so every byte reaches the guest's terminal
//! as it is and comes back as the guest sent it. Nothing here sleeps: a step waits for text, and
//! when its time is over the error carries what was seen instead.
//!
//! (rexpect polls every 100 ms and reads bytes as Latin-1, and a pseudo-terminal of the host would
//! edit and echo a second time: hence pipes and this module.)

use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::machine::{self, Console, Machine};

/// How long a step may take on a slow, busy host before it counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// busybox asks the terminal for the cursor's place at every prompt; nobody here answers.
const CURSOR_QUERY: &[u8] = b"\x1b[6n";

/// How much of what was seen an error shows; the whole is in the log.
const SHOWN: usize = 4000;

/// A running program and what has been said so far.
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    consumed: usize,
    log: Option<PathBuf>,
}

impl Session {
    /// Boots a machine; its console is this session.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn boot(machine: &Machine, log: Option<PathBuf>) -> Result<Self> {
        Self::start(machine.command(Console::Program)?, log)
    }

    /// Starts a program. What it says is written to `log` when the session ends.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut command: Command, log: Option<PathBuf>) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = machine::start(command)?;
        let input = child.stdin.take();
        let mut from = child.stdout.take().context("the program's output is a pipe")?;
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len) = from.read(&mut buffer)
                && len > 0
                && sender.send(buffer[..len].to_vec()).is_ok()
            {}
        });
        Ok(Self { child, input, output, seen: vec![], consumed: 0, log })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The program has ended.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let sent =
            self.input.as_mut().map(|to| to.write_all(bytes.as_ref()).and_then(|()| to.flush()));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => bail!("the machine has stopped\n{}", self.dump()),
        }
    }

    /// Sends a line as typed: with the Enter key.
    ///
    /// # Errors
    /// The program has ended.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.send(format!("{text}\r"))
    }

    /// Waits until `text` comes; returns what came before it.
    ///
    /// # Errors
    /// It does not come in [`PATIENCE`], or the program ends before.
    pub fn expect(&mut self, text: &str) -> Result<String> {
        self.expect_within(text, PATIENCE)
    }

    /// Waits until `text` comes; returns what came before it.
    ///
    /// # Errors
    /// It does not come in time, or the program ends before.
    pub fn expect_within(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let fresh = &self.seen[self.consumed..];
            if let Some(at) = find(fresh, text.as_bytes()) {
                let before = String::from_utf8_lossy(&fresh[..at]).into_owned();
                self.consumed += at + text.len();
                return Ok(before);
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{text:?} did not come in {limit:?}\n{}", self.dump())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the machine stopped before {text:?} came\n{}", self.dump())
                }
            }
        }
    }

    /// Closes the input and waits for the program's own end; returns the rest it said.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn end(mut self, limit: Duration) -> Result<(ExitStatus, String)> {
        let deadline = Instant::now() + limit;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the machine did not stop in {limit:?}\n{}", self.dump())
                }
            }
        }
        let rest = String::from_utf8_lossy(&self.seen[self.consumed..]).into_owned();
        Ok((self.child.wait().context("waiting for the program")?, rest))
    }

    /// The last of what was seen, and where the whole is.
    fn dump(&self) -> String {
        let from = self.seen.len().saturating_sub(SHOWN);
        let text = String::from_utf8_lossy(&self.seen[from..]).replace('\r', "");
        let place =
            self.log.as_ref().map_or(String::new(), |log| format!(", all in {}", log.display()));
        format!("---- the end of what was seen{place}:\n{}\n----", visible(&text))
    }

    fn take(&mut self, bytes: &[u8]) {
        self.seen.extend_from_slice(bytes);
        while let Some(at) = find(&self.seen[self.consumed..], CURSOR_QUERY) {
            let from = self.consumed + at;
            self.seen.drain(from..from + CURSOR_QUERY.len());
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Both fail only when the program has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        while let Ok(bytes) = self.output.recv() {
            self.take(&bytes);
        }
        if let Some(log) = &self.log
            && let Err(error) = fs::write(log, &self.seen)
        {
            eprintln!("cannot write {}: {error}", log.display());
        }
    }
}

/// Text for an error: control characters are made visible, lines stay lines.
fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let shown = !c.is_control() || c == '\n' || c == '\t';
            let escaped = if shown { None } else { Some(c.escape_default()) };
            shown.then_some(c).into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::Session;
    use std::{process::Command, time::Duration};

    fn shell() -> Session {
        Session::start(Command::new("sh"), None).expect("sh is everywhere")
    }

    #[test]
    fn what_comes_before_the_expected_text_is_returned() {
        let mut session = shell();
        session.send("printf 'one two '; printf three\n").expect("running");
        assert_eq!(session.expect("two").expect("said"), "one ");
        assert_eq!(session.expect("three").expect("said"), " ");
        session.send("exit 3\n").expect("running");
        let (status, rest) = session.end(Duration::from_secs(10)).expect("ends");
        assert_eq!((status.code(), rest.as_str()), (Some(3), ""));
    }

    #[test]
    fn a_deadline_shows_what_was_seen() {
        let mut session = shell();
        session.send("printf 'odd\\033[1mtext'\n").expect("running");
        session.expect("odd").expect("said");
        let error = session.expect_within("even", Duration::from_millis(200)).expect_err("never");
        let text = error.to_string();
        assert!(
            text.contains("\"even\" did not come") && text.contains("odd\\u{1b}[1mtext"),
            "{text}"
        );
    }

    #[test]
    fn the_end_of_the_program_is_seen_at_once() {
        let mut session = shell();
        session.send("exit\n").expect("running");
        let error = session.expect("anything").expect_err("it is gone");
        assert!(error.to_string().contains("stopped before"), "{error}");
    }

    #[test]
    fn cursor_queries_are_left_out() {
        let mut session = shell();
        session.send("printf 'a\\033[6'; printf 'nb\\033[6nc.'\n").expect("running");
        assert_eq!(session.expect(".").expect("said"), "abc");
    }
}
