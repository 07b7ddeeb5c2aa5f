//! From the boot loader's values to the first program.

mod guest;
mod streams;

use crate::{
    cmdline::CommandLine,
    cred::Credentials,
    file::{FdTable, File, FsContext, LOG, Object},
    memory::{Layout, Limits as MemoryLimits, Memory},
    process::{Entries, Group, Limits, Process, Session, max_threads},
    signal::Actions,
    system::{LastWords, System},
    thread::{self, Resources, Start, Tcb, Thread},
    time,
    tty::Control,
};
use abi::{Errno, Pid, Result};
use alloc::{
    format,
    string::{String, ToString},
    sync::{Arc, Weak},
    vec::Vec,
};
use executor::Spawn;
use framework::{UserContext, VirtAddr, boot::Boot, cpu, power};
use fs::{
    Caller, DeviceNumber, LookupFlags, Make, Mount, MountFlags, MountTable, OpenFlags, Path, Walk,
    ramfs,
};
use io::{
    stream,
    tty::{OpenAs, Tty},
};
use log::LevelFilter;

pub use guest::{Guest, Program, Root, Standard};

/// The status the machine goes down with if it never came to the first program.
const FAILED: u8 = 1;

/// The first programs that are looked for, as Linux does it.
const INIT_PATHS: &[&str] = &["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];
/// The first program of an initial RAM disk.
const RAMDISK_INIT: &str = "/init";

/// The host's name until somebody sets it.
const DEFAULT_HOSTNAME: &str = "(none)";

/// What the first thread runs before it first enters user mode.
#[derive(Debug)]
pub(crate) enum First {
    /// The init that the command line names, or one of the usual places.
    Init(CommandLine),
    /// The program that a process of a host was started for.
    Program(Program),
}

/// Brings the system up and runs it: the kernel's entry.
pub fn main(boot: Boot) -> ! {
    start(boot, None)
}

/// The same in a process of a host, for a program of its own.
pub fn run(boot: Boot, guest: Guest) -> ! {
    start(boot, Some(guest))
}

fn start(boot: Boot, guest: Option<Guest>) -> ! {
    let Boot { cmdline, initrd, uart, cpu_model } = boot;
    let line = CommandLine::parse(&cmdline);
    start_log(line.log_level);
    framework::panic::set_report(report_tasks);
    log::info!("Jinux {} on {cpu_model}", env!("CARGO_PKG_VERSION"));
    log::info!("command line: {cmdline}");
    for word in &line.malformed {
        log::warn!("command line: {word} means nothing");
    }
    let image = initrd.as_ref().map_or(0, |initrd| initrd.bytes().len());
    let root = guest.as_ref().map_or_else(|| make_root(image), |guest| guest.root.make());
    let root = or_stop("no root file system", root);
    if let Some(initrd) = &initrd {
        let caller = kernel_caller();
        match fs::cpio::unpack(initrd.bytes(), &Path::root_of(&root), &caller) {
            Ok(unpacked) => {
                let (entries, kib) = (unpacked.entries, unpacked.bytes / 1024);
                log::info!("initial RAM disk: {entries} files, {kib} KiB");
            }
            Err(error) => stop(&format!("initial RAM disk: {error}{}", memory_left(&error))),
        }
    }
    // Its memory is worth more than its bytes from here on.
    drop(initrd);
    let hostname = line.hostname.as_deref().unwrap_or(DEFAULT_HOSTNAME);
    let system = System::new(hostname, MountTable::new(root));
    system.command_line.call_once(|| cmdline);
    if line.trace {
        system.trace_calls();
    }
    if let Some(uart) = uart {
        or_stop("serial port", start_serial(system, &line, uart));
    }
    executor::spawn(Spawn::named("loadavg"), system.load.run());
    or_stop("first process", start_first(system, line, guest));
    cpu::start_others(run_cpu);
    run_cpu()
}

/// Keeps the log's records, and shows those of `level` and above on the console.
fn start_log(level: LevelFilter) {
    // Only the first call sets the logger.
    let _ = log::set_logger(&LOG);
    log::set_max_level(level.max(LevelFilter::Info));
    LOG.set_console_level(match level {
        LevelFilter::Off => 0,
        LevelFilter::Error => 4,
        LevelFilter::Warn => 5,
        LevelFilter::Info => 7,
        LevelFilter::Debug | LevelFilter::Trace => 8,
    });
}

/// How little memory there was for an initial RAM disk, if that can be why it failed.
fn memory_left(error: &fs::cpio::Error) -> String {
    if !matches!(error.cause, fs::cpio::Cause::File(_)) {
        return String::new();
    }
    let stats = framework::frame::stats();
    let kib = |frames: usize| frames * framework::PAGE_SIZE / 1024;
    format!("; {} of {} KiB memory are free", kib(stats.free), kib(stats.total))
}

/// Schedules one CPU for good.
fn run_cpu() -> ! {
    executor::run()
}

/// Writes why the system cannot run, and switches the machine off.
fn stop(why: &str) -> ! {
    log::error!("cannot start: {why}");
    power::off(FAILED)
}

fn or_stop<T>(what: &str, result: Result<T>) -> T {
    result.unwrap_or_else(|errno| stop(&format!("{what}: {errno:?}")))
}

/// The kernel itself as the caller of file systems.
fn kernel_caller() -> Caller<'static> {
    Caller::new(fs::Credentials::ROOT, time::realtime_coarse)
}

/// The root of the initial RAM disk, with the console's node, which Linux's own has too.
fn make_root(image: usize) -> Result<Arc<Mount>> {
    let caller = kernel_caller();
    // As on Linux, it takes half of memory at most; the image's bytes are memory again soon.
    let flavour = ramfs::Flavour::Tmpfs;
    let pages = framework::frame::stats().total + image / framework::PAGE_SIZE;
    let half = pages as u64 / 2;
    let options = ramfs::Options { pages: Some(half), ..ramfs::Options::default() };
    let root = ramfs::mount(flavour, options, b"rootfs", MountFlags::empty(), &caller)?;
    let path = Path::root_of(&root);
    let walk = Walk { caller: &caller, root: &path, umask: 0 };
    walk.make(&path, b"dev", Make::Directory, 0o755)?;
    walk.make(&path, b"dev/console", Make::Character(DeviceNumber::new(5, 1)), 0o600)?;
    walk.make(&path, b"root", Make::Directory, 0o700)?;
    Ok(root)
}

/// Makes the serial port a terminal.
fn start_serial(
    system: &'static System,
    line: &CommandLine,
    uart: framework::boot::Uart,
) -> Result<()> {
    let words = line.driver_words.iter();
    let mut settings =
        words.filter_map(|word| io::console::parse_serial(word.strip_prefix("console=")?));
    let termios = settings.next_back().map(|(_, termios)| termios).unwrap_or_default();
    let (tty, runner) = io::uart::new(uart.ports, uart.irq, 0, termios, Control::new())?;
    system.devices.add_serial(Arc::clone(&tty));
    system.speaks_last(Arc::new(SerialPort(tty)));
    executor::spawn(Spawn::named("ttyS0"), runner.run());
    Ok(())
}

/// Makes the first process and starts it: the guest's, or an init.
fn start_first(system: &'static System, line: CommandLine, guest: Option<Guest>) -> Result<()> {
    let files = Arc::new(FdTable::new());
    let Some(Guest { program, terminal, standard, .. }) = guest else {
        open_console(system, &files)?;
        return start_process(system, files, First::Init(line));
    };
    if let Some(port) = terminal {
        let termios = io::tty::Termios::default();
        let (terminal, runner) = stream::Terminal::new(port, 0, termios, Control::new())?;
        system.devices.add_serial(Arc::clone(terminal.tty()));
        system.speaks_last(terminal);
        executor::spawn(Spawn::named("terminal"), runner.run());
    }
    if program.is_some() {
        system.serves_one_program.call_once(|| ());
        guest::mount_standard(system);
    }
    guest::open_standard(system, &files, standard)?;
    start_process(system, files, program.map_or(First::Init(line), First::Program))
}

/// Starts process 1. What fails after this, in finding its program, ends it.
fn start_process(system: &'static System, files: Arc<FdTable>, first: First) -> Result<()> {
    let layout = Layout::new(0, None);
    let resources = Resources {
        memory: Memory::new(layout, MemoryLimits::default())?,
        files,
        fs: Arc::new(FsContext::new(system.mounts.root())),
        credentials: Credentials::root(),
    };
    let process = make_process(&mut system.pids.lock(), system, &resources, &first)?;
    let tcb =
        Tcb::new(process.pid, Arc::clone(&process), &resources, *b"init\0\0\0\0\0\0\0\0\0\0\0\0");
    process.threads.lock().live.push(Arc::clone(&tcb));
    system.pids.lock().insert_thread(process.pid, Arc::clone(&tcb));
    let context = UserContext::new(VirtAddr::new(0), VirtAddr::new(0));
    let mut thread = Thread::new(context, tcb, resources);
    thread.first_program = Some(alloc::boxed::Box::new(first));
    thread.start(Spawn::named("init"));
    Ok(())
}

/// Makes process 1 of no session, like Linux's, so that it can make one; a program that is no init
/// has one already.
fn make_process(
    entries: &mut Entries,
    system: &'static System,
    resources: &Resources,
    first: &First,
) -> Result<Arc<Process>> {
    let pid = entries.allocate()?;
    let credentials = Arc::clone(&resources.credentials);
    let limits = Limits::initial(max_threads() as u64 / 2);
    let group = Group::new(Pid::KERNEL, Session::new(Pid::KERNEL));
    let process =
        Process::new(pid, system, Weak::new(), group, limits, Actions::new(), credentials);
    process.join_group(entries);
    if let First::Program(_) = first {
        let session = Session::led_by(&process);
        entries.insert_session(&session);
        let group = Group::new(pid, session);
        entries.insert_group(&group);
        process.set_group(entries, group);
    }
    entries.insert_process(Arc::clone(&process));
    Ok(process)
}

/// The terminal of the serial port, for the end: its task will not run any more.
struct SerialPort(Arc<Tty>);

impl LastWords for SerialPort {
    fn say(&self) {
        let mut bytes = [0; 64];
        loop {
            let count = self.0.transmit(&mut bytes);
            if count == 0 {
                return;
            }
            // The kernel's console makes each newline two bytes itself.
            let said: Vec<u8> = bytes[..count].iter().copied().filter(|b| *b != b'\r').collect();
            framework::console::write(&said);
        }
    }
}

/// Opens the console as descriptors 0, 1 and 2, if there is one.
fn open_console(system: &'static System, files: &Arc<FdTable>) -> Result<()> {
    let Some(tty) = system.devices.console() else {
        log::warn!("there is no console");
        return Ok(());
    };
    let caller = kernel_caller();
    let root = system.mounts.root();
    let walk = Walk { caller: &caller, root: &root, umask: 0 };
    let path = walk.resolve(&root, b"/dev/console", LookupFlags::FOLLOW)?;
    let object = Object::Tty(tty.open(OpenAs::Console)?);
    let file = File::new(object, OpenFlags::READ_WRITE, path);
    for _ in 0..3 {
        files.open(Arc::clone(&file), false, 3)?;
    }
    Ok(())
}

/// What the first thread does first: finds its program and becomes it. Stops the machine if there
/// is none.
pub(crate) async fn run_first_program(thread: &mut Thread, first: &First) {
    match first {
        First::Init(line) => run_init(thread, line).await,
        First::Program(program) => guest::run_program(thread, program).await,
    }
}

async fn run_init(thread: &mut Thread, line: &CommandLine) {
    let root = thread.fs.places().root;
    let asked = line.init.as_deref();
    let ramdisk = line.ramdisk_init.as_deref().unwrap_or(RAMDISK_INIT);
    // A RAM disk's program comes first; `init=` is what it hands over to, unless it has none.
    let mut last = Errno::ENOENT;
    let candidates = core::iter::once(ramdisk).chain(asked).chain(match asked {
        Some(_) => [].iter().copied(),
        None => INIT_PATHS.iter().copied(),
    });
    let mut tried = String::new();
    for path in candidates {
        match execute(thread, &root, path, line).await {
            Ok(()) => return,
            Err(errno) => {
                if errno != Errno::ENOENT || Some(path) == asked || line.ramdisk_init.is_some() {
                    last = errno;
                    tried = path.to_string();
                    break;
                }
            }
        }
    }
    let tried = if tried.is_empty() { "no init found".into() } else { format!("init {tried}") };
    stop(&format!("{tried}: {last:?}"))
}

async fn execute(thread: &mut Thread, root: &Path, path: &str, line: &CommandLine) -> Result<()> {
    let mut arguments = thread::no_arguments(thread);
    arguments.push_argument(path.as_bytes())?;
    for argument in &line.arguments {
        arguments.push_argument(argument.as_bytes())?;
    }
    for variable in ["HOME=/", "TERM=linux"] {
        let name = variable.split_once('=').map_or(variable, |(name, _)| name);
        let replaced = |own: &&String| own.split_once('=').is_some_and(|(own, _)| own == name);
        if !line.environment.iter().any(|own| replaced(&own)) {
            arguments.push_environment(variable.as_bytes())?;
        }
    }
    for variable in &line.environment {
        arguments.push_environment(variable.as_bytes())?;
    }
    let start = Start {
        base: root.clone(),
        path: path.as_bytes().to_vec(),
        flags: LookupFlags::FOLLOW,
        file_name: path.as_bytes().to_vec(),
    };
    let program = thread::find(thread, start, arguments).await?;
    log::info!("running {path}");
    thread::exec(thread, &program).await.map(drop)
}

/// What a panic prints about the tasks.
fn report_tasks(out: &mut dyn core::fmt::Write) {
    executor::tasks(&mut |task| {
        // The console cannot refuse.
        let _ = writeln!(out, "{:4} {:16} {:?} {}", task.id, task.name, task.state, task.wait);
    });
}
