//! From the machine to the first program: boot as an ordered list.
//!
//! Until init runs, whatever goes wrong is told in one line, and the machine goes off with a status
//! that is not 0.

use crate::{
    cmdline::CommandLine,
    cred::Credentials,
    file::{FdTable, File, FsContext, Object},
    memory::{Layout, Limits as MemoryLimits, Memory, elf::Arguments},
    process::{Group, Limits, Process, Resource, Session},
    signal::Actions,
    system::System,
    thread::{Resources, Tcb, Thread, exec::{self, Program}, user_loop},
    time,
    tty::Control,
};
use abi::{Errno, Result};
use alloc::{
    format,
    string::{String, ToString},
    sync::{Arc, Weak},
    vec::Vec,
};
use executor::Spawn;
use framework::{UserContext, VirtAddr, boot::Boot, cpu, power};
use fs::{
    Caller, DeviceNumber, LookupFlags, Make, MountFlags, OpenFlags, OpenHow, Opened, Path, Walk,
    cpio, ramfs,
};
use io::{tty::Termios, uart};

/// What the kernel tries when nobody says which program is init.
const INIT_PATHS: &[&str] = &["/init", "/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];
/// The status of the machine when there is no init.
const NO_INIT: u8 = 1;

/// Brings the system up on the first CPU and runs it.
pub fn main(boot: Boot) -> ! {
    let line = CommandLine::parse(&boot.cmdline);
    framework::console::set_log_level(line.log_level);
    log::info!("Jinux {}: {}", env!("CARGO_PKG_VERSION"), boot.cmdline);
    framework::panic::set_report(report_tasks);
    let root = match unpack_root(&boot) {
        Ok(root) => root,
        Err(message) => give_up(&message),
    };
    let system = System::new(line.hostname.as_deref().unwrap_or("jinux"), root.clone());
    if let Some(uart) = boot.uart {
        add_serial(system, uart);
    }
    executor::spawn(Spawn::named("init"), async move {
        match make_init(system, &root, &line).await {
            Ok(thread) => user_loop(thread).await,
            Err(message) => give_up(&message),
        }
    });
    cpu::start_others(run);
    run()
}

fn run() -> ! {
    executor::run()
}

fn give_up(message: &str) -> ! {
    log::error!("{message}");
    power::off(NO_INIT)
}

/// The kernel itself, as file systems see it.
const fn kernel_caller() -> Caller<'static> {
    Caller::new(fs::Credentials::ROOT, time::realtime_coarse)
}

/// A root in memory with the initial RAM disk's files and what Linux puts there itself.
fn unpack_root(boot: &Boot) -> Result<Path, String> {
    let caller = kernel_caller();
    let options = ramfs::Options { mode: Some(0o755), ..ramfs::Options::default() };
    let mount = ramfs::mount(ramfs::Flavour::Ramfs, options, b"rootfs", MountFlags::empty(), &caller)
        .map_err(|errno| format!("cannot make the root file system: {errno:?}"))?;
    let root = Path::root_of(&mount);
    let walk = Walk { caller: &caller, root: &root, umask: 0 };
    let defaults = [
        ("/dev", Make::Directory, 0o755),
        ("/dev/console", Make::Character(DeviceNumber::new(5, 1)), 0o600),
        ("/root", Make::Directory, 0o700),
    ];
    for (path, what, mode) in defaults {
        walk.make(&root, path.as_bytes(), what, mode)
            .map_err(|errno| format!("cannot make {path}: {errno:?}"))?;
    }
    let Some(initrd) = &boot.initrd else {
        return Err(String::from("no initial RAM disk: give one with -initrd"));
    };
    let unpacked = cpio::unpack(initrd.bytes(), &root, &caller)
        .map_err(|error| format!("cannot unpack the initial RAM disk: {error}"))?;
    log::info!("initial RAM disk: {unpacked:?}");
    Ok(root)
}

fn add_serial(system: &'static System, port: framework::boot::Uart) {
    match uart::new(port.ports, port.irq, 0, Termios::default(), Control::new()) {
        Ok((tty, runner)) => {
            system.devices.add_serial(tty);
            executor::spawn(Spawn::named("ttyS0"), runner.run());
        }
        Err(errno) => log::warn!("no serial port: {errno:?}"),
    }
}

/// Makes the first process and gives it its program.
async fn make_init(system: &'static System, root: &Path, line: &CommandLine) -> Result<Thread, String> {
    let mut thread = first_thread(system, root).map_err(|errno| format!("no memory for init: {errno:?}"))?;
    open_console(&thread);
    let given = line.ramdisk_init.as_ref().or(line.init.as_ref());
    if let Some(path) = given {
        return match try_init(&mut thread, path, line).await {
            Ok(()) => Ok(thread),
            Err(errno) => Err(format!("cannot run init {path}: {errno:?}")),
        };
    }
    let mut tried = Vec::new();
    for path in INIT_PATHS {
        match try_init(&mut thread, path, line).await {
            Ok(()) => return Ok(thread),
            Err(errno) => tried.push(format!("{path} ({errno:?})")),
        }
    }
    Err(format!("no init found, tried {}", tried.join(", ")))
}

async fn try_init(thread: &mut Thread, path: &str, line: &CommandLine) -> Result<()> {
    let mut arguments = Arguments::new(thread.process().limit(Resource::Stack));
    arguments.push_argument(path.as_bytes())?;
    for argument in &line.arguments {
        arguments.push_argument(argument.as_bytes())?;
    }
    for variable in ["HOME=/", "TERM=linux"].into_iter().map(ToString::to_string).chain(line.environment.clone()) {
        arguments.push_environment(variable.as_bytes())?;
    }
    let program = {
        let caller = kernel_caller();
        let places = thread.fs.places();
        let walk = Walk { caller: &caller, root: &places.root, umask: 0 };
        Program::find(&walk, &places.cwd, path.as_bytes(), LookupFlags::FOLLOW, arguments)?
    };
    exec::exec(thread, &program).await.map(drop)
}

/// Process 1 with everything but a program.
fn first_thread(system: &'static System, root: &Path) -> Result<Thread> {
    let resources = Resources {
        memory: Memory::new(Layout::new(8 << 20, None), MemoryLimits::default())?,
        files: Arc::new(FdTable::new()),
        fs: Arc::new(FsContext::new(root.clone())),
        credentials: Credentials::root(),
    };
    let mut entries = system.pids.lock();
    let pid = entries.allocate()?;
    let session = Session::new(pid);
    let group = Group::new(pid, Arc::clone(&session));
    let limits = Limits::initial(max_processes());
    let credentials = Arc::clone(&resources.credentials);
    let actions = Actions::new();
    let process =
        Process::new(pid, system, Weak::new(), Arc::clone(&group), limits, actions, credentials);
    entries.insert_session(&session);
    entries.insert_group(&group);
    let mut name = [0; 16];
    name[..4].copy_from_slice(b"init");
    let tcb = Tcb::new(pid, Arc::clone(&process), &resources, name);
    process.threads.lock().live.push(Arc::clone(&tcb));
    process.join_group(&mut entries);
    entries.insert_thread(pid, Arc::clone(&tcb));
    entries.insert_process(process);
    drop(entries);
    let context = UserContext::new(VirtAddr::new(0), VirtAddr::new(0));
    Ok(Thread::new(context, tcb, resources))
}

/// As many as an eighth of the memory holds, as on Linux.
fn max_processes() -> u64 {
    const BYTES_OF_ONE: u64 = 32 << 10;
    let memory = framework::frame::stats().total as u64 * framework::PAGE_SIZE as u64;
    (memory / 8 / BYTES_OF_ONE).max(64)
}

/// Standard input, output and error of init.
fn open_console(thread: &Thread) {
    let caller = kernel_caller();
    let places = thread.fs.places();
    let walk = Walk { caller: &caller, root: &places.root, umask: 0 };
    let how = OpenHow { flags: OpenFlags::READ_WRITE, ..OpenHow::default() };
    let opened = walk.open(&places.cwd, b"/dev/console", &how);
    let file = match opened {
        Ok(Opened::Device(device)) => crate::file::open_device(thread, device),
        Ok(Opened::File(file)) => {
            let path = file.path().clone();
            Ok(File::new(Object::Node(file), how.flags, path))
        }
        Ok(Opened::Fifo(_)) => Err(Errno::ENXIO),
        Err(errno) => Err(errno),
    };
    match file {
        Ok(file) => {
            for _ in 0..3 {
                // Nothing is open yet, so the numbers are 0, 1 and 2.
                let _ = thread.install(Arc::clone(&file), OpenFlags::empty());
            }
        }
        Err(errno) => log::warn!("init has no console: {errno:?}"),
    }
}

/// What a panic prints of the tasks there are.
fn report_tasks(out: &mut dyn core::fmt::Write) {
    executor::tasks(&mut |task| {
        let _ = writeln!(out, "task {task:?}");
    });
}
