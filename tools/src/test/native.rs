//! Running a case on the host's own Linux, which says what is right.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use super::cases::{Case, Outcome};
use crate::initramfs;

/// How long a case may take here.
const LIMIT: Duration = Duration::from_secs(60);

/// A directory of the host laid out as the machine's: busybox's commands and the cases.
pub(super) struct Native {
    root: PathBuf,
    files: Vec<(String, Vec<u8>)>,
}

impl Native {
    /// Lays out `root`, replacing what was there.
    pub(super) fn new(root: PathBuf, files: Vec<(String, Vec<u8>)>) -> Result<Self> {
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))?;
        }
        default_signals()?;
        let bin = root.join("bin");
        fs::create_dir_all(&bin).with_context(|| format!("creating {}", bin.display()))?;
        let busybox = initramfs::find_busybox()?;
        for applet in initramfs::applets(&busybox)? {
            let name = applet.rsplit('/').next().unwrap_or(&applet).to_owned();
            symlink(&busybox, bin.join(name)).context("linking busybox")?;
        }
        Ok(Self { root, files })
    }

    /// Runs a case in an empty directory, or, if it is a script, one with the shared files.
    pub(super) fn run(&self, case: &Case) -> Result<Outcome> {
        let directory = self.root.join("dir");
        fs::create_dir(&directory).context("creating the case's directory")?;
        let result = self.run_in(case, &directory);
        fs::remove_dir_all(&directory).context("removing the case's directory")?;
        result
    }

    fn run_in(&self, case: &Case, directory: &Path) -> Result<Outcome> {
        let file = self.root.join(&case.name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&file, &case.image)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        let script = case.name.ends_with(".sh");
        for (name, data) in self.files.iter().filter(|_| script) {
            fs::write(directory.join(name), data)?;
        }
        // As the machine's agent does it: a shell leads the session, the case is its child.
        let line =
            if script { "umask 022; sh \"$0\"; exit $?" } else { "umask 022; \"$0\"; exit $?" };
        let mut command = Command::new(self.root.join("bin/setsid"));
        command.args(["sh", "-c", line]).arg(&file);
        command.current_dir(directory);
        command.env_clear().env("PATH", self.root.join("bin")).env("HOME", "/root");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("running {}", case.name))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let (sender, result) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait_with_output()));
        let output = result.recv_timeout(LIMIT);
        if let Some(group) = group {
            // Nothing is left when this fails, which is the good case.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let Ok(output) = output else { bail!("it did not end in {LIMIT:?} on this Linux") };
        let output = output.context("waiting for the case")?;
        let status = output.status.code().and_then(|code| u8::try_from(code).ok());
        Ok(Outcome {
            output: output.stdout,
            error: output.stderr,
            status: status.context("the shell around the case was killed")?,
        })
    }
}

/// Makes cases start with the default action of every signal, whoever started this process.
///
/// An ignored signal stays ignored across `execve`, a caught one does not: so each that is ignored
/// here gets a handler that does nothing.
fn default_signals() -> Result<()> {
    let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let ignored = ignored.context("/proc/self/status has no SigIgn")?;
    for signal in (1..=64).filter(|signal| ignored >> (signal - 1) & 1 != 0) {
        // The C library keeps two real-time signals for itself; nobody tests with those.
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    Ok(())
}
