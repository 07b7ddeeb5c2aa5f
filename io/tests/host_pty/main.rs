//! Feeds the same bytes to a pseudo-terminal of the host's Linux and to ours, and compares what is
//! echoed, read and answered. Without a usable `/dev/ptmx` the tests say so and pass.

mod host;
mod ours;
mod random;
mod script;

use io::tty::{Control, InputFlags, LocalFlags, OutputFlags, Termios};
use script::{Step, compare};

/// Types `typed` under `termios`, and compares echo and lines.
fn typed(termios: Termios, typed: &[u8]) {
    let mut steps = vec![Step::Set(termios), Step::Type(typed.to_vec()), Step::Echo];
    steps.extend((0..4).flat_map(|_| [Step::Count, Step::Read(4096)]));
    compare(&steps);
}

fn with(change: impl FnOnce(&mut Termios)) -> Termios {
    let mut termios = Termios::default();
    change(&mut termios);
    termios
}

fn raw() -> Termios {
    with(|termios| {
        termios.input = InputFlags::empty();
        termios.output = OutputFlags::empty();
        termios.local = LocalFlags::empty();
    })
}

#[test]
fn lines_are_edited() {
    for bytes in [
        &b"hello\n"[..],
        b"hellp\x7fo\n",
        b"a\tb\tc\x7f\x7f\x7f\x7f\x7f\x7f\n",
        b"one two  three\x17\x17x\n",
        b"some words\x15new\n",
        b"\x01\x02\x7f\x7f\x7f\n",
        b"abc\x12def\n",
        b"\x16\x03\x16\x16\x16\x7f\n",
        b"ab\x04cd\x04\x04\x04",
        b"\x04",
        b"one\rtwo\nthree",
        b"\xff\xfe\x80\n",
        b"abc\x1b[A\x7f\x7f\n",
        b"x\x00y\x00\n",
        b"a\x03b\n",
        b"a\x1cb\x1ac\n",
    ] {
        typed(Termios::default(), bytes);
    }
}

#[test]
fn utf8_is_erased_by_character() {
    let termios = with(|termios| termios.input |= InputFlags::IUTF8);
    typed(termios, "höl\x7f\x7f\x7fäöü\x17€\t\x7f\x7f\n".as_bytes());
    typed(termios, b"\x80\x80\x7f\xc3\xa4\x7f\n");
    typed(Termios::default(), "hö\x7f\x7f\n".as_bytes());
    let print = with(|termios| {
        termios.input |= InputFlags::IUTF8;
        termios.local |= LocalFlags::ECHOPRT;
    });
    typed(print, "aä€\x7f\x7fx\x17\n".as_bytes());
}

#[test]
fn every_echo_mode_erases_alike() {
    let modes = [
        LocalFlags::ECHO,
        LocalFlags::ECHOE,
        LocalFlags::ECHOK,
        LocalFlags::ECHOKE,
        LocalFlags::ECHOCTL,
        LocalFlags::ECHOPRT,
        LocalFlags::ECHONL,
        LocalFlags::IEXTEN,
    ];
    for mode in modes {
        let termios = with(|termios| termios.local ^= mode);
        typed(termios, b"ab\tc\x01d\x7f\x7f\x7f\x7fx y\x17z\x12w\x15\x16\x7fq\x7f\x7f\x7f\n");
    }
}

#[test]
fn output_is_processed() {
    let text = b"a\tb\r\nc\rd\n\te\x08\x08\tf\xffG\x01h\n\n\r\r\ni";
    let modes = [
        OutputFlags::OPOST,
        OutputFlags::ONLCR,
        OutputFlags::OCRNL,
        OutputFlags::ONOCR,
        OutputFlags::ONLRET,
        OutputFlags::OLCUC,
        OutputFlags::TAB3,
    ];
    for first in modes {
        for second in modes {
            let termios = with(|termios| {
                termios.output ^= first;
                termios.output ^= second;
            });
            let typing = Step::Type(b"\tx\x7f\x7fyz\t\x7f\n".to_vec());
            compare(&[
                Step::Set(termios),
                Step::Print(text.to_vec()),
                Step::Echo,
                typing,
                Step::Echo,
            ]);
        }
    }
}

#[test]
fn input_is_translated() {
    let modes = [
        InputFlags::ISTRIP,
        InputFlags::INLCR,
        InputFlags::IGNCR,
        InputFlags::ICRNL,
        InputFlags::IUCLC,
        InputFlags::IXON,
        InputFlags::IXANY,
        InputFlags::PARMRK,
        InputFlags::IUTF8,
    ];
    let text = b"AbC\r\n\xe1\xff\x8d\x8a\xd0\xdf\r\nx\xc3\xa4\n";
    for first in modes {
        for second in modes {
            let termios = with(|termios| {
                termios.input ^= first;
                termios.input ^= second;
            });
            typed(termios, text);
            let uncooked = Termios { local: LocalFlags::IEXTEN, ..termios };
            typed(uncooked, text);
        }
    }
}

#[test]
fn an_endless_line_keeps_its_beginning() {
    let mut steps = vec![];
    for letter in b'a'..b'a' + 20 {
        steps.extend([Step::Type(vec![letter; 400]), Step::Echo]);
    }
    steps.extend([Step::Type(b"XYZ\x7f!\n".to_vec()), Step::Echo, Step::Count]);
    steps.extend([Step::Read(5000), Step::Read(100), Step::Type(b"next\n".to_vec())]);
    steps.extend([Step::Read(2), Step::Read(100), Step::Echo]);
    compare(&steps);
    let kill = with(|termios| termios.local |= LocalFlags::ECHOKE);
    let mut steps = vec![Step::Set(kill)];
    steps.extend((0..9).flat_map(|_| [Step::Type(b"abcdef\x01\x02".repeat(50)), Step::Echo]));
    steps.extend([Step::Type(b"\x15x\n".to_vec()), Step::Echo, Step::Read(100)]);
    compare(&steps);
}

#[test]
fn reads_of_any_size_meet_lines_of_any_size() {
    for line in [1, 2, 3, 63, 64, 65, 127, 128] {
        for size in [1, 2, 3, 63, 64, 65, 128, 200] {
            for end in [&b"\n"[..], b"\x04", b"\x04\x04"] {
                let mut text = vec![b'x'; line];
                text.extend_from_slice(end);
                text.extend_from_slice(b"y\n");
                let mut steps = vec![Step::Type(text)];
                steps.extend((0..5).flat_map(|_| [Step::Count, Step::Read(size)]));
                compare(&steps);
            }
        }
    }
}

#[test]
fn changing_modes_keeps_what_was_typed() {
    let text = b"ab\x04cd\nef\x00g";
    for (first, second) in [(Termios::default(), raw()), (raw(), Termios::default())] {
        let mut steps = vec![Step::Set(first), Step::Type(text.to_vec()), Step::Count];
        steps.extend([Step::Set(second), Step::Count, Step::Read(3), Step::Read(100), Step::Count]);
        steps.extend([Step::Type(b"h\x00\n".to_vec()), Step::Count, Step::Read(2)]);
        steps.extend([Step::Set(first), Step::Count, Step::Read(100), Step::Read(100), Step::Echo]);
        compare(&steps);
    }
}

#[test]
fn raw_reads_want_their_minimum() {
    for (min, time) in [(0, 0), (1, 0), (3, 0), (0, 1), (3, 1)] {
        let mut termios = raw();
        termios.control[Control::Min as usize] = min;
        termios.control[Control::Time as usize] = time;
        let mut steps = vec![Step::Set(termios), Step::Read(5), Step::Poll];
        for text in [&b"a"[..], b"bc", b"defghijk"] {
            steps.extend([Step::Type(text.to_vec()), Step::Poll, Step::Read(2), Step::Read(2)]);
        }
        compare(&steps);
    }
}

#[test]
fn stopped_output_waits() {
    let text = |bytes: &[u8]| Step::Print(bytes.to_vec());
    let typing = |bytes: &[u8]| Step::Type(bytes.to_vec());
    compare(&[
        text(b"before "),
        typing(b"ab\x13cd"),
        text(b"stopped "),
        Step::Poll,
        Step::Echo,
        typing(b"ef\x11g\n"),
        text(b"after"),
        Step::Echo,
        Step::Read(100),
        Step::Poll,
    ]);
    compare(&[typing(b"\x13ab\x03c"), Step::Echo, text(b"x"), Step::Echo, Step::Read(9)]);
    let any = with(|termios| termios.input |= InputFlags::IXANY);
    compare(&[Step::Set(any), typing(b"\x13ab"), Step::Echo, text(b"x"), Step::Echo]);
    let none = with(|termios| termios.input -= InputFlags::IXON);
    compare(&[typing(b"\x13ab"), Step::Echo, Step::Set(none), Step::Echo, text(b"x"), Step::Echo]);
    compare(&[
        Step::StopOutput,
        typing(b"a\x11b"),
        text(b"x"),
        Step::Echo,
        Step::StartOutput,
        Step::Echo,
    ]);
    let mut steps = vec![typing(b"\x13")];
    steps.extend((0..30).map(|_| typing(&b"0123456789\t\x01\x7f".repeat(20))));
    steps.extend([Step::Echo, typing(b"\x11"), Step::Echo, typing(b"\n"), Step::Echo]);
    compare(&steps);
}

#[test]
fn flushes_drop_what_they_should() {
    let typing = |bytes: &[u8]| Step::Type(bytes.to_vec());
    compare(&[typing(b"ab\ncd"), Step::FlushInput, typing(b"e\n"), Step::Read(100), Step::Echo]);
    compare(&[Step::Print(b"kept".to_vec()), Step::Echo, Step::FlushOutput, Step::Echo]);
    for noflush in [false, true] {
        let termios = with(|termios| termios.local.set(LocalFlags::NOFLSH, noflush));
        compare(&[
            Step::Set(termios),
            typing(b"one\ntwo\nth\x03ree\n"),
            Step::Count,
            Step::Read(100),
            Step::Read(100),
            Step::Read(100),
            Step::Echo,
        ]);
    }
}

#[test]
fn sides_close_and_open_again() {
    let typing = |bytes: &[u8]| Step::Type(bytes.to_vec());
    compare(&[
        typing(b"ab\n"),
        Step::Print(b"bye\n".to_vec()),
        Step::CloseTerminal,
        Step::PollMaster,
        Step::Echo,
        Step::Echo,
        Step::PollMaster,
        typing(b"more\n"),
        Step::OpenTerminal,
        Step::PollMaster,
        Step::Echo,
        Step::Read(100),
        Step::Read(100),
        Step::CloseMaster,
        Step::Poll,
        Step::Read(100),
        Step::Print(b"x".to_vec()),
        Step::Count,
    ]);
}

#[test]
fn random_scripts_agree() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(400);
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + rounds {
        println!("seed {seed}");
        compare(&random::script(seed));
    }
}
