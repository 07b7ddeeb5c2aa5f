//! Ending the process, and running its program again.

use std::os::unix::process::CommandExt;

pub(crate) fn off(status: u8) -> ! {
    std::process::exit(i32::from(status))
}

pub(crate) fn reboot() -> ! {
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).exec();
    log::error!("the program does not start again: {error}");
    off(1)
}
