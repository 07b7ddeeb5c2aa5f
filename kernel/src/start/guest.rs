//! What a process of a host starts the kernel for: one program, its streams, its root.

use crate::{
    file::{FdTable, File, Object},
    start::streams,
    syscall::Outcome,
    system::System,
    thread::{self, Start, Thread},
    tty::Steal,
};
use abi::{Errno, Result};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use framework::{console, power};
use fs::{LookupFlags, Mount, MountFlags, OpenFlags, Path, Walk, hostfs::HostNode};
use io::{stream::Port, tty::OpenAs};

/// The status of a program that is there but cannot be run.
const CANNOT_RUN: u8 = 126;
/// The status of a program that is not there.
const NOT_FOUND: u8 = 127;

/// Where programs are looked for if the environment has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What runs in a machine that a process of a host is.
pub struct Guest {
    /// The first program; `None` starts the init of the initial RAM disk.
    pub program: Option<Program>,
    /// The root of the file tree.
    pub root: Root,
    /// The terminal of the host, which becomes `/dev/console`.
    pub terminal: Option<Port>,
    /// What the first program has as descriptors 0, 1 and 2.
    pub standard: [Standard; 3],
}

/// Where a root file system comes from.
pub enum Root {
    /// It is empty, and in memory; an initial RAM disk fills it.
    Memory,
    /// A directory of the host, under a layer in memory that takes all changes.
    Host(Arc<dyn HostNode>),
    /// A directory of the host, which takes the changes itself.
    HostWritable(Arc<dyn HostNode>),
}

impl Root {
    /// Makes the mount.
    pub(super) fn make(&self) -> Result<Arc<Mount>> {
        match self {
            Self::Memory => super::make_root(0),
            Self::HostWritable(node) => {
                let flags = MountFlags::RELATIVE_ACCESS_TIME;
                fs::hostfs::mount_writable(Arc::clone(node), b"host", flags)
            }
            Self::Host(node) => {
                let host = fs::hostfs::mount(Arc::clone(node), b"host", MountFlags::empty())?;
                let (flags, caller) = (MountFlags::RELATIVE_ACCESS_TIME, super::kernel_caller());
                fs::overlayfs::mount_over(&host, b"overlay", flags, &caller)
            }
        }
    }
}

/// A program to run instead of an init. The strings are any bytes but NUL.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its path, or a name that is looked for in the directories of `PATH`.
    pub name: Vec<u8>,
    /// Its arguments, the first one included.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment, `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// Its working directory.
    pub directory: Vec<u8>,
}

/// What a standard descriptor is.
#[derive(Debug)]
pub enum Standard {
    /// The terminal.
    Terminal,
    /// A pipe whose other end is a stream of the host.
    Stream(Port),
    /// The same file as another descriptor.
    Same(usize),
}

/// Opens descriptors 0, 1 and 2.
pub(super) fn open_standard(
    system: &'static System,
    files: &Arc<FdTable>,
    standard: [Standard; 3],
) -> Result<()> {
    for (fd, what) in standard.into_iter().enumerate() {
        let file = match what {
            Standard::Terminal => open_terminal(system)?,
            Standard::Stream(port) if fd == 0 => streams::input(system, port),
            Standard::Stream(port) => {
                streams::output(system, if fd == 1 { "stdout" } else { "stderr" }, port)
            }
            Standard::Same(other) => {
                let other = i32::try_from(other).map_err(|_| Errno::EBADF)?;
                files.get(abi::Fd(other))?
            }
        };
        files.open(file, false, 3)?;
    }
    Ok(())
}

fn open_terminal(system: &System) -> Result<Arc<File>> {
    let tty = system.devices.console().ok_or(Errno::ENODEV)?;
    let caller = super::kernel_caller();
    let root = system.mounts.root();
    let walk = Walk { caller: &caller, root: &root, umask: 0 };
    let path = walk.resolve(&root, b"/dev/console", LookupFlags::FOLLOW)?;
    Ok(File::new(Object::Tty(tty.open(OpenAs::Anyone)?), OpenFlags::READ_WRITE, path))
}

/// What every program expects to find: type, place, options, and the mode of a place that is made.
const MOUNTS: &[(&str, &[u8], &[u8], u32)] = &[
    ("proc", b"proc", b"", 0o555),
    ("sysfs", b"sys", b"", 0o555),
    ("devtmpfs", b"dev", b"", 0o755),
    ("devpts", b"dev/pts", b"gid=5,mode=620,ptmxmode=666", 0o755),
    ("tmpfs", b"dev/shm", b"mode=1777", 0o1777),
    ("tmpfs", b"tmp", b"mode=1777", 0o1777),
    ("tmpfs", b"run", b"mode=755", 0o755),
];

/// Mounts what an init would mount.
pub(super) fn mount_standard(system: &'static System) {
    for (kind, at, options, mode) in MOUNTS {
        if let Err(errno) = mount(system, kind, at, options, *mode) {
            log::warn!("mounting {kind} at /{}: {errno:?}", String::from_utf8_lossy(at));
        }
    }
}

fn mount(system: &'static System, kind: &str, at: &[u8], options: &[u8], mode: u32) -> Result<()> {
    let caller = super::kernel_caller();
    let root = system.mounts.root();
    let walk = Walk { caller: &caller, root: &root, umask: 0 };
    match walk.make(&root, at, fs::Make::Directory, mode) {
        Ok(_) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    let at = walk.resolve(&root, at, LookupFlags::FOLLOW)?;
    let flags = match kind {
        "devtmpfs" | "devpts" => MountFlags::NO_SUID,
        _ => MountFlags::NO_SUID | MountFlags::NO_DEVICES,
    };
    let source = kind.as_bytes();
    let kind = system.file_systems.find(source)?;
    let request = crate::filesystems::Request {
        system,
        source,
        flags,
        options,
        caller: &caller,
        root: &root,
        base: &root,
    };
    system.mounts.mount(&at, (kind.make)(&request)?)
}

/// Becomes the program, or ends the machine with the status a shell would report.
pub(super) async fn run_program(thread: &mut Thread, program: &Program) {
    take_terminal(thread);
    if let Err((status, why)) = find_and_execute(thread, program).await {
        let name = String::from_utf8_lossy(&program.name);
        console::write(format!("jinux: {name}: {why}\n").as_bytes());
        thread.system.last_words();
        power::off(status)
    }
}

/// Makes the terminal, if descriptor 0 is one, the controlling one of a session of its own.
fn take_terminal(thread: &Thread) {
    let Ok(file) = thread.files.get(abi::Fd(0)) else { return };
    if let Object::Tty(open) = file.object()
        && let Err(errno) = thread.set_controlling_tty(open.tty(), Steal::No)
    {
        log::warn!("no controlling terminal: {errno:?}");
    }
}

async fn find_and_execute(thread: &mut Thread, program: &Program) -> Result<(), (u8, String)> {
    if let Err(errno) = change_directory(thread, &program.directory).await {
        return Err((CANNOT_RUN, format!("working directory: {}", text(errno))));
    }
    let mut kept = Errno::ENOENT;
    for path in candidates(program) {
        match execute(thread, &path, program).await {
            Ok(()) => return Ok(()),
            // As execvp(3) does: another directory may have one that can be run.
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(Errno::EACCES) => kept = Errno::EACCES,
            Err(errno) => return Err((CANNOT_RUN, text(errno))),
        }
    }
    let status = if kept == Errno::ENOENT { NOT_FOUND } else { CANNOT_RUN };
    Err((status, text(kept)))
}

async fn change_directory(thread: &Thread, to: &[u8]) -> Result<usize> {
    let find = |walk: &Walk<'_>, base: &Path, path: &[u8]| walk.resolve_directory(base, path);
    let enter = |place: Path| {
        thread.fs.set_cwd(place);
        Ok(Outcome::Done(0))
    };
    thread.walk_then(abi::Fd::CWD, to.to_vec(), find, enter)?.finish().await
}

/// The paths to try, in their order.
fn candidates(program: &Program) -> Vec<Vec<u8>> {
    if program.name.contains(&b'/') {
        return alloc::vec![program.name.clone()];
    }
    let path = program.environment.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
    let join = |directory: &[u8]| match directory {
        [] => program.name.clone(),
        _ => [directory, b"/", &program.name].concat(),
    };
    path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':').map(join).collect()
}

async fn execute(thread: &mut Thread, path: &[u8], program: &Program) -> Result<()> {
    let mut arguments = thread::no_arguments(thread);
    for argument in &program.arguments {
        arguments.push_argument(argument)?;
    }
    for variable in &program.environment {
        arguments.push_environment(variable)?;
    }
    let base: Path = thread.fs.places().cwd;
    let (path, file_name) = (path.to_vec(), path.to_vec());
    let start = Start { base, path, flags: LookupFlags::FOLLOW, file_name };
    let program = thread::find(thread, start, arguments).await?;
    thread::exec(thread, &program).await.map(drop)
}

/// An error as people read it.
fn text(errno: Errno) -> String {
    let text = match errno {
        Errno::ENOENT => "No such file or directory",
        Errno::EACCES => "Permission denied",
        Errno::ENOEXEC => "Exec format error",
        Errno::ENOTDIR => "Not a directory",
        Errno::E2BIG => "Argument list too long",
        Errno::ENOMEM => "Cannot allocate memory",
        Errno::ELOOP => "Too many levels of symbolic links",
        other => return format!("{other:?}"),
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::{Program, candidates};

    fn program(name: &[u8], environment: &[&[u8]]) -> Program {
        Program {
            name: name.to_vec(),
            arguments: vec![name.to_vec()],
            environment: environment.iter().map(|variable| variable.to_vec()).collect(),
            directory: b"/".to_vec(),
        }
    }

    #[test]
    fn names_are_looked_for_in_the_path() {
        let found = candidates(&program(b"ls", &[b"A=b", b"PATH=/bin::/x"]));
        assert_eq!(found, [&b"/bin/ls"[..], b"ls", b"/x/ls"]);
        assert_eq!(candidates(&program(b"./ls", &[b"PATH=/bin"])), [b"./ls"]);
        assert_eq!(candidates(&program(b"ls", &[])).len(), 6);
    }
}
