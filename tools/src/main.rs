//! `jinux`: builds the kernel's image and boots it.
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use std::{fs, path::PathBuf, process::ExitCode};
use tools::{
    initramfs::Initramfs,
    latency,
    machine::{Kind, Machine},
    paths, run, stress, symbols,
    test::{self, Options, Suite},
};

/// Boots and tests the Jinux kernel.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Request,
}

#[derive(Subcommand)]
enum Request {
    /// Run a program on the kernel as a process of this host.
    ///
    /// The kernel is in this process; nothing else is needed, no rights and no emulator. The
    /// program sees the host's files, read only, and has this terminal, or the pipes and files
    /// that are its standard streams.
    ///
    /// Exits with the program's status, with 128 and the signal's number if one killed it, with 127
    /// if there is no such program, with 126 if it cannot be run, and with 125 for errors of its own.
    Run(run::Options),
    /// Boot a kernel in QEMU, with its console on this terminal.
    ///
    /// Exits with 0 when the guest switches off, with n when it writes n to the debug-exit port.
    Qemu(QemuArguments),
    /// Build an initial RAM disk with busybox.
    Initramfs(InitramfsArguments),
    /// Write a kernel's symbol table into its image, for backtraces.
    Symbols {
        /// The executable that the linker made.
        from: PathBuf,
        /// The image to write.
        to: PathBuf,
    },
    /// Run every check and every test; the last line counts them.
    Test(TestArguments),
    /// Count the guest instructions of system calls, process and memory operations.
    Latency(LatencyArguments),
    /// Run storms of forks, pipes, signals and more; fails if the kernel keeps anything of them.
    Stress(StressArguments),
}

#[derive(Args)]
struct QemuArguments {
    /// The kernel: an ELF file with a PVH note, or a Linux bzImage [default: target/jinux.elf].
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The initial RAM disk.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Number of CPUs.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255))]
    smp: u32,
    /// Memory, with a suffix M or G.
    #[arg(long, value_name = "SIZE", default_value = "512M")]
    mem: String,
    /// The machine that is emulated.
    #[arg(long, value_enum, default_value_t)]
    machine: Kind,
    /// Words for the kernel's command line; may be given several times.
    #[arg(long, value_name = "WORDS")]
    append: Vec<String>,
    /// A raw disk image; may be given several times.
    #[arg(long, value_name = "FILE")]
    disk: Vec<PathBuf>,
    /// Print QEMU's command line and do not run it.
    #[arg(long)]
    dry_run: bool,
    /// More arguments for QEMU itself.
    #[arg(last = true, value_name = "QEMU-ARGUMENT")]
    extra: Vec<String>,
}

#[derive(Args)]
struct InitramfsArguments {
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// A file to add; may be given several times. MODE is octal.
    #[arg(long, value_name = "HOST:GUEST[:MODE]")]
    file: Vec<String>,
    /// The statically linked busybox [default: the first on PATH].
    #[arg(long, value_name = "FILE")]
    busybox: Option<PathBuf>,
}

#[derive(Args)]
struct LatencyArguments {
    /// The kernel [default: target/jinux.elf].
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Another kernel, such as Linux, to compare with in the same machine.
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Only these rows [default: all].
    rows: Vec<String>,
}

#[derive(Args)]
struct StressArguments {
    /// The kernel [default: target/jinux.elf].
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// How long the storms last.
    #[arg(long, value_name = "N", default_value_t = 120)]
    seconds: u32,
    /// Number of CPUs.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=255))]
    smp: u32,
    /// The machine that is emulated.
    #[arg(long, value_enum, default_value_t)]
    machine: Kind,
}

#[derive(Args)]
struct TestArguments {
    /// Only these suites; may be given several times [default: all].
    #[arg(long, value_enum)]
    suite: Vec<Suite>,
    /// Another kernel than the one of this tree, such as Linux, to check the tests themselves.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Run the machine's suites on this machine only, not on all that are planned.
    #[arg(long, value_enum)]
    machine: Option<Kind>,
    /// Run them on one machine with so many CPUs only.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    smp: Option<u32>,
    /// Only the cases in the machine whose name contains this.
    filter: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let result = match arguments.command {
        Request::Run(options) => return ExitCode::from(run_program(&options)),
        Request::Qemu(arguments) => qemu(arguments),
        Request::Initramfs(arguments) => initramfs(&arguments).map(|()| 0),
        Request::Symbols { from, to } => symbols::install(&from, &to).map(|()| 0),
        Request::Latency(arguments) => latency_table(&arguments).map(|()| 0),
        Request::Stress(arguments) => storms(&arguments).map(|()| 0),
        Request::Test(TestArguments { suite: suites, kernel, machine, smp, filter }) => {
            test::run(&Options { suites, filter, kernel, machine, smp })
        }
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("jinux: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Shows help, or what is wrong with the arguments.
fn usage(error: &clap::Error) -> ExitCode {
    // Who closed the output does not want to read it.
    let _ = error.print();
    let runs = std::env::args_os().nth(1).is_some_and(|command| command == "run");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if runs => ExitCode::from(run::OWN_ERROR),
        _ => ExitCode::from(2),
    }
}

fn run_program(options: &run::Options) -> u8 {
    run::run(options).unwrap_or_else(|error| {
        eprintln!("jinux: {error:#}");
        run::OWN_ERROR
    })
}

fn qemu(arguments: QemuArguments) -> Result<u8> {
    let machine = Machine {
        kernel: arguments.kernel.unwrap_or_else(paths::kernel),
        initrd: arguments.initrd,
        disks: arguments.disk,
        append: arguments.append.join(" "),
        kind: arguments.machine,
        smp: arguments.smp,
        memory: arguments.mem,
        extra: arguments.extra,
    };
    if arguments.dry_run {
        println!("{:?}", machine.command(tools::machine::Console::Terminal)?);
        return Ok(0);
    }
    machine.run()
}

/// Runs the storms and prints what they said.
fn storms(arguments: &StressArguments) -> Result<()> {
    let machine = Machine {
        kernel: arguments.kernel.clone().unwrap_or_else(paths::kernel),
        initrd: None,
        disks: vec![],
        append: "console=ttyS0 quiet panic=-1".into(),
        kind: arguments.machine,
        smp: arguments.smp,
        memory: "512M".into(),
        extra: vec![],
    };
    let work = paths::target().join("stress");
    print!("{}", stress::run(&machine, &work, arguments.seconds)?);
    Ok(())
}

fn latency_table(arguments: &LatencyArguments) -> Result<()> {
    let kernel = arguments.kernel.clone().unwrap_or_else(paths::kernel);
    eprintln!("measuring {}", kernel.display());
    let measured = latency::measure(&kernel, &arguments.rows)?;
    let reference = arguments.reference.as_ref().map(|reference| {
        eprintln!("measuring {}", reference.display());
        latency::measure(reference, &arguments.rows)
    });
    print!("{}", latency::table(&measured, reference.transpose()?.as_ref()));
    Ok(())
}

fn initramfs(arguments: &InitramfsArguments) -> Result<()> {
    let mut image = Initramfs::with_busybox(arguments.busybox.as_deref())?;
    for file in &arguments.file {
        image.host_file(file)?;
    }
    let bytes = image.to_bytes()?;
    fs::write(&arguments.output, bytes)
        .with_context(|| format!("writing {}", arguments.output.display()))
}
