//! The options of `jinux run`, and what they mean to the kernel.

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use kernel::start::Program;
use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    thread,
};

/// The most CPUs a machine in a process has.
const MAX_CPUS: u32 = 8;

/// The search path of a program that is given none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How the program is run.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Memory of the machine, with a suffix K, M or G.
    #[arg(short, long, value_name = "SIZE", default_value = "512M")]
    mem: String,
    /// Number of CPUs [default: as many as the host has, at most 8].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CPUS)))]
    cpus: Option<u32>,
    /// The directory of the host that is the root, under a layer in memory that takes all changes
    /// [default: /].
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// Write changes to that directory itself.
    #[arg(long, requires = "root")]
    pub(super) write_root: bool,
    /// Unpack this initial RAM disk over the root, which is empty then unless --root names one.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Set a variable, or pass it on from this environment; may be given several times.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,
    /// The working directory.
    #[arg(short, long, value_name = "DIR", default_value = "/")]
    workdir: OsString,
    /// The machine's host name.
    #[arg(long, value_name = "NAME", default_value = "jinux")]
    hostname: String,
    /// What the kernel says on standard error.
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t)]
    log: Level,
    /// Write a line about each system call to standard error.
    #[arg(long)]
    strace: bool,
    /// Simulate: one CPU and virtual time, with every choice drawn from this number. A lost wake-up
    /// or a deadlock ends the machine with status 125.
    #[arg(long, value_name = "SEED")]
    pub(super) sim: Option<u64>,
    /// The program and its arguments; without one, the init of the initial RAM disk.
    #[arg(trailing_var_arg = true, value_name = "PROGRAM [ARGS]")]
    command: Vec<OsString>,
}

/// How important a message of the kernel must be to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Nothing.
    Off,
    /// What keeps the kernel or a program from going on.
    #[default]
    Error,
    /// What may be wrong.
    Warn,
    /// What happens.
    Info,
    /// Details.
    Debug,
}

impl Level {
    /// The console log level of Linux that shows it.
    const fn number(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Error => 4,
            Self::Warn => 5,
            Self::Info => 7,
            Self::Debug => 8,
        }
    }
}

impl Options {
    /// The directory of the host that is the root.
    pub(super) fn root_directory(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }

    /// The image of the initial RAM disk.
    pub(super) fn read_initrd(&self) -> Result<Option<Vec<u8>>> {
        let read =
            |path: &PathBuf| fs::read(path).with_context(|| format!("reading {}", path.display()));
        self.initrd.as_ref().map(read).transpose()
    }

    /// How many CPUs the machine has.
    pub(super) fn cpus(&self) -> usize {
        let host = || {
            let count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
            u32::try_from(count).unwrap_or(MAX_CPUS).min(MAX_CPUS)
        };
        self.cpus.unwrap_or_else(host) as usize
    }

    /// How many bytes of memory the machine has.
    pub(super) fn memory(&self) -> Result<usize> {
        parse_size(&self.mem)
            .filter(|size| *size >= 16 << 20)
            .with_context(|| format!("--mem takes a size of at least 16M, not {:?}", self.mem))
    }

    /// The words for the kernel; hardly any, because they cannot hold any bytes.
    pub(super) fn command_line(&self) -> String {
        let hostname = self.hostname.replace('"', "");
        let trace = if self.strace { " strace" } else { "" };
        format!("loglevel={} hostname=\"{hostname}\"{trace}", self.log.number())
    }

    /// The program to run.
    pub(super) fn program(&self) -> Result<Option<Program>> {
        let Some(name) = self.command.first() else {
            if self.initrd.is_none() {
                bail!("no program to run (jinux run --help)");
            }
            return Ok(None);
        };
        let bytes = |text: &OsString| text.as_bytes().to_vec();
        Ok(Some(Program {
            name: bytes(name),
            arguments: self.command.iter().map(bytes).collect(),
            environment: self.environment(),
            directory: bytes(&self.workdir),
        }))
    }

    /// The program's environment: a few variables that every program expects, then those asked for.
    fn environment(&self) -> Vec<Vec<u8>> {
        let mut variables = vec![
            OsString::from(DEFAULT_PATH),
            OsString::from("HOME=/root"),
            OsString::from(format!("HOSTNAME={}", self.hostname)),
        ];
        if let Some(terminal) = env::var_os("TERM") {
            variables.push(assignment(OsStr::new("TERM"), &terminal));
        }
        for asked in &self.env {
            let new = match name(asked) {
                Some(_) => Some(asked.clone()),
                None => env::var_os(asked).map(|value| assignment(asked, &value)),
            };
            let own_name = name(asked).unwrap_or(asked.as_bytes());
            variables.retain(|other| name(other) != Some(own_name));
            variables.extend(new);
        }
        variables.into_iter().map(OsString::into_vec).collect()
    }
}

/// The name in `NAME=VALUE`.
fn name(variable: &OsStr) -> Option<&[u8]> {
    let bytes = variable.as_bytes();
    let end = bytes.iter().position(|byte| *byte == b'=')?;
    Some(&bytes[..end])
}

fn assignment(name: &OsStr, value: &OsStr) -> OsString {
    let mut variable = name.to_os_string();
    variable.push("=");
    variable.push(value);
    variable
}

/// Reads a number of bytes with a suffix.
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::{Options, parse_size};
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    fn options(words: &[&str]) -> Options {
        Arguments::parse_from([&["run"], words].concat()).options
    }

    #[test]
    fn what_follows_the_program_is_its_own() {
        let program = options(&["--cpus", "1", "ls", "-l", "--mem", "x"]).program().unwrap();
        let arguments = program.expect("there is one").arguments;
        assert_eq!(arguments, [&b"ls"[..], b"-l", b"--mem", b"x"]);
        let program = options(&["--", "sh", "-c", "exit"]).program().unwrap();
        assert_eq!(program.expect("there is one").arguments.len(), 3);
        assert!(options(&[]).program().is_err());
    }

    #[test]
    fn variables_replace_the_usual_ones() {
        let options = options(&["-e", "HOME=/x", "--env", "A=b=c", "-e", "NO_SUCH_VARIABLE", "sh"]);
        let environment = options.environment();
        let count = |start: &[u8]| environment.iter().filter(|one| one.starts_with(start)).count();
        assert_eq!((count(b"HOME="), count(b"HOME=/x"), count(b"A=b=c")), (1, 1, 1));
        assert_eq!(count(b"NO_SUCH"), 0);
    }

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(parse_size("64M"), Some(64 << 20));
        assert_eq!(parse_size("1g"), Some(1 << 30));
        assert_eq!(parse_size("4096"), Some(4096));
        assert_eq!(parse_size("lots"), None);
        assert_eq!(parse_size(""), None);
    }
}
