//! `jinux run` as its users see it: statuses, streams, arguments, the terminal.

mod terminal;

use std::{
    fs,
    io::Write,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tools::initramfs::find_busybox;

/// How long anything may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `jinux run` with pipes; `options` come before the program.
fn jinux(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jinux"));
    command.arg("run").args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A shell of the guest that runs `script`, with more arguments for it to come.
fn shell(script: &str) -> Command {
    let mut command = jinux(&["--"]);
    command.arg(find_busybox().expect("make setup installs busybox"));
    command.args(["sh", "-c", script, "sh"]);
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("jinux is built")
}

/// What the guest's shell writes to its standard output.
fn said(script: &str) -> String {
    let output = output(&mut shell(script));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    String::from_utf8(output.stdout).expect("the script writes text")
}

fn status(command: &mut Command) -> Option<i32> {
    output(command).status.code()
}

/// Starts a command and takes its input, which is a pipe.
fn start(mut command: Command) -> (Child, ChildStdin) {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("jinux is built");
    let input = child.stdin.take().expect("it is a pipe");
    (child, input)
}

/// Waits for the end, so that a hang fails here.
fn wait(mut child: Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("it is a child") {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().expect("it is a child");
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_status_is_the_program_s_or_says_why_there_is_none() {
    assert_eq!(status(&mut shell("exit 7")), Some(7));
    assert_eq!(status(&mut shell("kill -TERM $$")), Some(128 + 15));
    assert_eq!(status(&mut shell("kill -SEGV $$")), Some(128 + 11));
    assert_eq!(status(jinux(&[]).arg("no-such-program")), Some(127));
    assert_eq!(status(jinux(&[]).arg("/etc/passwd")), Some(126));
    assert_eq!(status(jinux(&["--workdir", "/nowhere"]).arg("true")), Some(126));
    assert_eq!(status(&mut jinux(&["--no-such-option", "true"])), Some(125));
    assert_eq!(status(&mut jinux(&["--mem", "lots", "true"])), Some(125));
    assert_eq!(status(&mut jinux(&["--root", "/no/such/directory", "true"])), Some(125));
    assert_eq!(status(&mut jinux(&[])), Some(125));
    assert_eq!(status(&mut jinux(&["--help"])), Some(0));
}

#[test]
fn output_and_error_are_apart_and_without_the_kernel_s_words() {
    let output = output(&mut shell("echo out; echo error >&2"));
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice()),
        (&b"out\n"[..], &b"error\n"[..])
    );
}

#[test]
fn one_pipe_for_both_keeps_their_order() {
    let name = format!("jinux-run-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let file = fs::File::create(&path).expect("there is a place for files");
    let both = file.try_clone().expect("a descriptor");
    let script = "for i in 1 2 3 4 5; do echo out $i; echo error $i >&2; done";
    let child = shell(script).stdout(file).stderr(both).spawn().expect("jinux is built");
    assert!(wait(child).success());
    let text = fs::read_to_string(&path).expect("it was made above");
    fs::remove_file(&path).expect("it was made above");
    let expected: String = (1..=5).map(|i| format!("out {i}\nerror {i}\n")).collect();
    assert_eq!(text, expected);
}

#[test]
fn bytes_pass_unchanged_and_the_end_of_the_input_is_its_end() {
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n ^ n >> 8).to_le_bytes()[0]).collect();
    let (child, mut input) = start(shell("cat"));
    let sent = bytes.clone();
    let writer = thread::spawn(move || input.write_all(&sent));
    let output = child.wait_with_output().expect("it is a child");
    writer.join().expect("it does not panic").expect("cat reads everything");
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    assert_eq!(said("cat; echo end"), "end\n");
    assert_eq!(said("[ -t 0 ] || [ -t 1 ] || [ -p /dev/stdin ] && echo a pipe"), "a pipe\n");
}

#[test]
fn input_that_comes_later_is_waited_for() {
    let (child, mut input) = start(shell("read a; read b; echo $b $a"));
    input.write_all(b"one\n").expect("it reads");
    thread::sleep(Duration::from_millis(100));
    input.write_all(b"two\n").expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it is a child");
    assert_eq!(output.stdout, b"two one\n");
}

#[test]
fn a_program_that_does_not_read_ends_all_the_same() {
    let (child, input) = start(shell("exit 3"));
    assert_eq!(wait(child).code(), Some(3));
    drop(input);
}

#[test]
fn who_writes_for_ever_does_not_outlive_the_program() {
    let mut child = shell("yes & sleep 0.05; exit 4").spawn().expect("jinux is built");
    let mut from = child.stdout.take().expect("it is a pipe");
    let reader = thread::spawn(move || std::io::copy(&mut from, &mut std::io::sink()));
    assert_eq!(wait(child).code(), Some(4));
    assert!(reader.join().expect("it does not panic").expect("it reads") > 0);
}

#[test]
fn who_writes_to_nobody_gets_sigpipe() {
    let mut child = shell("yes").spawn().expect("jinux is built");
    let mut from = child.stdout.take().expect("it is a pipe");
    std::io::Read::read_exact(&mut from, &mut [0; 4]).expect("it says y");
    drop(from);
    assert_eq!(wait(child).code(), Some(128 + 13));
}

#[test]
fn arguments_and_variables_are_any_bytes() {
    let odd = std::ffi::OsStr::from_bytes(b"a \xff\n\"$x' -- \\");
    let script = "printf '%s|' \"$@\" \"$VARIABLE\"";
    let mut command = jinux(&["--env"]);
    let mut variable = std::ffi::OsString::from("VARIABLE=");
    variable.push(odd);
    command.arg(variable).arg("--").arg(find_busybox().expect("make setup installs busybox"));
    command.args(["sh", "-c", script, "sh"]).arg("").arg(odd).arg("--mem");
    let expected = [&b"|"[..], odd.as_bytes(), b"|--mem|", odd.as_bytes(), b"|"].concat();
    assert_eq!(output(&mut command).stdout, expected);
}

#[test]
fn the_machine_is_what_the_options_say() {
    let mut command = jinux(&["--cpus", "2", "--mem", "64M", "--hostname", "box", "-w", "/tmp"]);
    command.arg(find_busybox().expect("make setup installs busybox"));
    let script = "nproc; hostname; pwd; grep -c processor /proc/cpuinfo; echo $$; \
                  [ $(awk '/MemTotal/ { print $2 }' /proc/meminfo) -le 65536 ] && echo small";
    command.args(["sh", "-c", script]);
    assert_eq!(
        String::from_utf8_lossy(&output(&mut command).stdout),
        "2\nbox\n/tmp\n2\n1\nsmall\n"
    );
}

#[test]
fn the_usual_file_systems_are_there() {
    let script = "echo x > /tmp/f && cat /tmp/f /proc/self/comm; ls -d /dev/pts /dev/null /sys; \
                  echo y > /dev/shm/f && cat /dev/shm/f";
    assert_eq!(said(script), "x\ncat\n/dev/null\n/dev/pts\n/sys\ny\n");
}

#[test]
fn a_dynamic_program_of_the_host_runs() {
    let output = output(jinux(&["--"]).args(["/bin/cat", "/proc/self/comm"]));
    assert_eq!(output.stdout, b"cat\n");
}

#[test]
fn orphans_leave_no_zombies() {
    let script = "(sleep 0.05 & exit) ; (sleep 0.05 &) ; sleep 0.3; \
                  grep -l Z /proc/[0-9]*/stat 2>/dev/null; wait; echo none";
    assert_eq!(said(script), "none\n");
}

#[test]
fn many_cpus_run_many_processes() {
    let script =
        "for i in 1 2 3 4 5 6 7 8; do (seq 200 | while read n; do :; done; echo $i) & done; wait";
    let mut lines: Vec<_> = said(script).lines().map(String::from).collect();
    lines.sort();
    assert_eq!(lines, ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[test]
fn a_killed_machine_leaves_nothing_behind() {
    let marker = format!("/tmp/jinux-{}", std::process::id());
    let mut command = shell("echo ready; while :; do :; done");
    command.arg(&marker);
    let mut child = command.spawn().expect("jinux is built");
    let mut from = child.stdout.take().expect("it is a pipe");
    std::io::Read::read_exact(&mut from, &mut [0; 6]).expect("it says ready");
    let before = stubs_of(child.id());
    assert!(!before.is_empty(), "programs run in processes of their own");
    child.kill().expect("it runs");
    assert_eq!(wait(child).signal(), Some(9));
    let deadline = Instant::now() + PATIENCE;
    while before.iter().any(|pid| is_alive(*pid)) {
        assert!(Instant::now() < deadline, "one of {before:?} is left");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The children of a process, whichever of its threads made them.
fn stubs_of(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let children = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
    let texts = tasks.filter_map(|task| children(task.ok()?).ok());
    texts
        .flat_map(|text| text.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
