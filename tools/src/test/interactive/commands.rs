//! Command lines: what they say and how they end.

use anyhow::{Result, ensure};

use super::{Script, says};
use crate::shell::Shell;

pub(super) const SCRIPTS: &[(&str, Script)] = &[
    ("status", status),
    ("console-is-the-terminal", console),
    ("pipeline", pipeline),
    ("here-document", here_document),
    ("loop-over-lines", loop_over_lines),
    ("background-loop", background_loop),
    ("wait", wait),
    ("time", time),
    ("trap", trap),
    ("ulimit", ulimit),
];

fn status(shell: &mut Shell) -> Result<()> {
    says(shell, "echo hello", "hello\n")?;
    let output = shell.run("echo out; sh -c 'exit 42'")?;
    ensure!(output.text == "out\n" && output.status == 42, "{output:?}");
    ensure!(shell.run("no-such-command")?.status == 127);
    says(shell, "true", "")
}

fn console(shell: &mut Shell) -> Result<()> {
    says(shell, "[ -t 0 ] && [ -t 1 ] && tty | grep -c '^/dev/'", "1\n")?;
    says(shell, "echo to the terminal >/dev/tty", "to the terminal\n")?;
    says(shell, "stty size", "24 999\n")
}

fn pipeline(shell: &mut Shell) -> Result<()> {
    says(shell, "seq 100 | grep 7 | sort -rn | head -n 3 | paste -s -d,", "97,87,79\n")?;
    says(shell, "seq 50000 | tail -n 1", "50000\n")?;
    let output = shell.run("true | sh -c 'exit 3'")?;
    ensure!(output.status == 3, "{output:?}");
    Ok(())
}

fn here_document(shell: &mut Shell) -> Result<()> {
    shell.session.line("cat <<END")?;
    shell.session.expect("> ")?;
    shell.session.line("six times seven is $((6 * 7))")?;
    shell.session.expect("> ")?;
    shell.session.line("END")?;
    shell.session.expect("\r\n")?;
    let output = shell.prompt(crate::session::PATIENCE)?;
    ensure!(output.text == "six times seven is 42\n", "{output:?}");
    Ok(())
}

fn loop_over_lines(shell: &mut Shell) -> Result<()> {
    shell.session.line("for i in a b; do")?;
    shell.session.expect("> ")?;
    shell.session.line("echo [$i]")?;
    shell.session.expect("> ")?;
    shell.session.line("done")?;
    shell.session.expect("\r\n")?;
    let output = shell.prompt(crate::session::PATIENCE)?;
    ensure!(output.text == "[a]\n[b]\n", "{output:?}");
    Ok(())
}

fn background_loop(shell: &mut Shell) -> Result<()> {
    let output =
        shell.run("for i in 1 2 3 4; do (usleep ${i}0000; echo $i >>order) & done; wait; wc -l <order; rm order")?;
    ensure!(output.text.contains("4\n") && output.status == 0, "{output:?}");
    Ok(())
}

fn wait(shell: &mut Shell) -> Result<()> {
    let output = shell.run("sh -c 'sleep 0.2; exit 9' & wait $!")?;
    ensure!(output.status == 9, "{output:?}");
    let output =
        shell.run("sleep 100 & until grep -q sleep /proc/$!/comm; do :; done; kill $!; wait $!")?;
    ensure!(output.status == 143, "{output:?}");
    Ok(())
}

fn time(shell: &mut Shell) -> Result<()> {
    let output = shell.run("time sleep 0.3")?;
    let real = output.text.lines().find_map(|line| line.strip_prefix("real"));
    let seconds = real.and_then(|text| text.trim().strip_prefix("0m "));
    let seconds = seconds.and_then(|text| text.strip_suffix('s')?.parse::<f32>().ok());
    ensure!(seconds.is_some_and(|seconds| (0.29..10.0).contains(&seconds)), "{output:?}");
    Ok(())
}

fn trap(shell: &mut Shell) -> Result<()> {
    says(shell, "trap 'echo caught' USR1; kill -USR1 $$; trap - USR1", "caught\n")?;
    says(shell, "(trap 'echo leaving' EXIT)", "leaving\n")?;
    says(shell, "sh -c 'trap \"\" TERM; kill $$; echo survived'", "survived\n")
}

fn ulimit(shell: &mut Shell) -> Result<()> {
    says(shell, "(ulimit -n 20; ulimit -n)", "20\n")?;
    let output = shell.run("(ulimit -n 4; exec 3</dev/null; sh -c 'exec 4</dev/null')")?;
    ensure!(output.status != 0 && !output.text.is_empty(), "{output:?}");
    Ok(())
}
