//! `jinux run`: the kernel in this process, with one program on it.

mod descriptors;
mod options;
mod terminal;

pub use options::Options;

use anyhow::{Result, bail};
use descriptors::{Descriptors, Watcher, port};
use framework::{host, irq::SoftwareLine};
use kernel::start::{Guest, Root, Standard};
use rustix::{
    fs::fstat,
    stdio::{stderr, stdin, stdout},
    termios::isatty,
};
use std::{os::fd::BorrowedFd, sync::Arc};
use terminal::Raw;

/// The status for errors that are not the program's.
pub const OWN_ERROR: u8 = host::FAILED;

/// Runs a program; the status to exit with is the program's, or 126 if it cannot be run, 127 if
/// there is none.
///
/// # Errors
/// What keeps the kernel from being started.
pub fn run(options: &Options) -> Result<u8> {
    let initrd = options.read_initrd()?;
    let root = match &initrd {
        Some(_) if options.root.is_none() => Root::Memory,
        _ => {
            let directory = options.root_directory();
            let open = match options.write_root {
                true => crate::host_tree::open_writable,
                false => crate::host_tree::open,
            };
            let tree = open(directory)
                .map_err(|errno| anyhow::anyhow!("opening {}: {errno:?}", directory.display()))?;
            if options.write_root { Root::HostWritable(tree) } else { Root::Host(tree) }
        }
    };
    let watcher = Watcher::start()?;
    let (standard, terminal) = streams(&watcher);
    let (terminal, window) = terminal.unzip();
    let guest = Guest { program: options.program()?, root, terminal, standard };
    let config = host::Config {
        cmdline: options.command_line(),
        initrd,
        memory: options.memory()?,
        cpus: options.cpus(),
        simulation: options.sim,
    };
    let raw = window.map(Raw::enter).transpose()?;
    let status = host::start(config, guest, kernel::start::run);
    drop(raw);
    match status {
        Ok(status) => Ok(status),
        Err(error) => bail!("the machine does not start: {error:?}"),
    }
}

/// A terminal's port, and what fires when its window changes.
type TerminalPort = (io::stream::Port, SoftwareLine);

/// What the program has as its standard descriptors. A terminal to type at makes one of them a
/// terminal of the guest, and those that show the same; anything else is a pipe.
fn streams(watcher: &Arc<Watcher>) -> ([Standard; 3], Option<TerminalPort>) {
    let typed_at = isatty(stdin());
    let shown = |fd: BorrowedFd<'static>| typed_at && isatty(fd);
    let terminal = typed_at.then(|| {
        let output = [stdout(), stderr()].into_iter().find(|fd| isatty(fd));
        let output = output.unwrap_or_else(stdin);
        let both = Descriptors { input: Some(stdin()), output: Some(output), is_terminal: true };
        port(watcher, 0, both)
    });
    let output = |number, fd: BorrowedFd<'static>| {
        let to = Descriptors { input: None, output: Some(fd), is_terminal: false };
        Standard::Stream(port(watcher, number, to).0)
    };
    let input = match typed_at {
        true => Standard::Terminal,
        false => {
            let from = Descriptors { input: Some(stdin()), output: None, is_terminal: false };
            Standard::Stream(port(watcher, 0, from).0)
        }
    };
    let out = if shown(stdout()) { Standard::Terminal } else { output(1, stdout()) };
    let error = match () {
        () if shown(stderr()) => Standard::Terminal,
        () if is_same(stdout(), stderr()) => Standard::Same(1),
        () => output(2, stderr()),
    };
    ([input, out, error], terminal)
}

/// Whether two descriptors are the same file, so that what is written to both must keep its order.
fn is_same(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> bool {
    match (fstat(a), fstat(b)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}
