//! Running cases in the machine, many in one boot.
//!
//! The machine's first process is `tools/root/test/agent`. The host asks for one case after the
//! other, so it knows which one hangs or ends the machine: that one has failed, and the next begins
//! with a fresh boot.

use anyhow::{Context, Result};
use std::{path::PathBuf, time::Duration};

use super::{
    Site,
    cases::{Case, Outcome},
};
use crate::{
    initramfs::Initramfs,
    machine::Machine,
    session::{PATIENCE, Session},
};

/// How long a kernel may take until the agent is there.
const BOOT: Duration = Duration::from_secs(90);

/// A machine for cases; it is booted when the first one comes.
pub(super) struct Guest {
    machine: Machine,
    logs: PathBuf,
    boots: usize,
    session: Option<Session>,
}

impl Guest {
    /// Prepares the image of a machine that has these cases and shared files.
    pub(super) fn new(
        site: &Site,
        suite: &str,
        cases: &[Case],
        files: &[(String, Vec<u8>)],
    ) -> Result<Self> {
        let mut image = image(cases, files)?;
        image.program("init", include_str!("../../root/test/init"));
        image.program("test/agent", include_str!("../../root/test/agent"));
        let machine = site.machine_with(suite, &image)?;
        Ok(Self { machine, logs: site.work.join(suite), boots: 0, session: None })
    }

    /// Runs one case.
    pub(super) fn run(&mut self, case: &Case) -> Result<Outcome> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.boot()?,
        };
        let outcome = ask(&mut session, &case.name)?;
        self.session = Some(session);
        Ok(outcome)
    }

    /// Lets the machine switch itself off.
    pub(super) fn finish(self) -> Result<()> {
        let Some(mut session) = self.session else { return Ok(()) };
        session.send([4])?; // ^D: the agent's input ends
        session.end(PATIENCE).map(|_| ())
    }

    fn boot(&mut self) -> Result<Session> {
        self.boots += 1;
        let log = self.logs.with_extension(format!("{}.log", self.boots));
        let mut session = Session::boot(&self.machine, Some(log))?;
        session.expect_within("@ready\r\n", BOOT).context("booting the machine")?;
        Ok(session)
    }
}

/// A root file system with these cases and shared files.
pub(super) fn image(cases: &[Case], files: &[(String, Vec<u8>)]) -> Result<Initramfs> {
    let mut image = Initramfs::with_busybox(None)?;
    for case in cases {
        image.file(&format!("test/{}", case.name), 0o755, case.image.clone());
    }
    for (name, data) in files {
        image.file(&format!("test/files/{name}"), 0o644, data.clone());
    }
    Ok(image)
}

/// One exchange with the agent.
fn ask(session: &mut Session, name: &str) -> Result<Outcome> {
    session.send(format!("{name}\n"))?;
    session.expect("@out\r\n")?;
    let output = session.expect("@err\r\n")?;
    let error = session.expect("@end ")?;
    let status = session.expect("\r\n")?;
    Ok(Outcome {
        output: base64(&output).context("the output is garbled")?,
        error: base64(&error).context("the error output is garbled")?,
        status: status.parse().with_context(|| format!("the status {status:?}"))?,
    })
}

/// Decodes base64, whatever the lines; `None` if something else is between.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = vec![];
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace() && *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_decodes_across_lines_and_refuses_noise() {
        assert_eq!(base64("aGVsbG8g\r\nd29ybGQ=\r\n"), Some(b"hello world".to_vec()));
        assert_eq!(base64(""), Some(vec![]));
        assert_eq!(base64("/+8="), Some(vec![0xff, 0xef]));
        assert_eq!(base64("aGVs[ 1.0] oops"), None);
    }
}
