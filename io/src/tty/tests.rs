//! Terminals as programs and masters see them; what needs no host to compare with.

use abi::{Errno, Events, Result};
use core::cell::{Cell, RefCell};
use framework::{Sink, Source};
use spin::Mutex;
use std::{string::String, sync::Arc, thread, time::Duration, vec, vec::Vec};

use super::{
    Caller, Control, Flow, Flush, InputFlags, LineError, LocalFlags, NoSession, Open, OpenAs,
    OutputFlags, ReadTimer, Session, SetWhen, Signal, Termios, Tty, Uncontrolled, WindowSize,
    pty::{MAX, Master, PtyTable},
};

/// Notes what the session is told.
#[derive(Default)]
struct Recorder {
    signals: Mutex<Vec<Signal>>,
    hangups: Mutex<usize>,
}

impl Session for Recorder {
    fn signal_foreground(&self, signal: Signal) {
        self.signals.lock().push(signal);
    }
    fn hang_up(&self) {
        *self.hangups.lock() += 1;
    }
}

/// A caller in the background.
#[derive(Default)]
struct Background {
    ignores: Cell<bool>,
    orphaned: Cell<bool>,
    sent: RefCell<Vec<Signal>>,
}

impl Caller for Background {
    fn in_background(&self, _tty: &Tty) -> bool {
        true
    }
    fn ignores(&self, _signal: Signal) -> bool {
        self.ignores.get()
    }
    fn is_orphaned(&self) -> bool {
        self.orphaned.get()
    }
    fn signal_own_group(&self, signal: Signal) {
        self.sent.borrow_mut().push(signal);
    }
}

fn pair(session: Arc<dyn Session>) -> (Master, Open) {
    let master = PtyTable::new().open(|_| session).unwrap();
    master.set_locked(false);
    let open = master.open_peer(OpenAs::Anyone).unwrap();
    (master, open)
}

fn collect(size: usize, read: impl FnOnce(&mut Sink<'_>) -> Result<usize>) -> Result<Vec<u8>> {
    let mut buffer = vec![0; size];
    let count = read(&mut Sink::kernel(&mut buffer))?;
    buffer.truncate(count);
    Ok(buffer)
}

fn read_as(open: &Open, caller: &dyn Caller) -> Result<Vec<u8>> {
    collect(100, |sink| open.read(caller, sink, &mut ReadTimer::default()))
}

fn read(open: &Open) -> Result<Vec<u8>> {
    read_as(open, &Uncontrolled)
}

fn echo(master: &Master) -> Result<Vec<u8>> {
    collect(100, |sink| master.read(sink))
}

fn type_in(master: &Master, bytes: &[u8]) {
    assert_eq!(master.write(&mut Source::kernel(bytes)), Ok(bytes.len()));
}

fn print(open: &Open, bytes: &[u8]) -> Result<usize> {
    open.write(&Uncontrolled, &mut Source::kernel(bytes))
}

fn set(open: &Open, change: impl FnOnce(&mut Termios)) {
    let mut termios = open.termios().unwrap();
    change(&mut termios);
    open.set_termios(&Uncontrolled, SetWhen::Now, &termios).unwrap();
}

#[test]
fn what_is_typed_is_echoed_and_read() {
    for (typed, echoed, line) in [
        (&b"ls\n"[..], &b"ls\r\n"[..], &b"ls\n"[..]),
        (b"lx\x7fs\r", b"lx\x08 \x08s\r\n", b"ls\n"),
        (b"a\t\x7fb\n", b"a\t\x08\x08\x08\x08\x08\x08\x08b\r\n", b"ab\n"),
        (b"\x01\x7f\n", b"^A\x08 \x08\x08 \x08\r\n", b"\n"),
        (b"one two\x17\n", b"one two\x08 \x08\x08 \x08\x08 \x08\r\n", b"one \n"),
        (b"x\x15y\n", b"x\x08 \x08y\r\n", b"y\n"),
        (b"\x16\x03\n", b"^\x08^C\r\n", b"\x03\n"),
        (b"a\x12\n", b"a^R\r\na\r\n", b"a\n"),
        (b"\x04", b"", b""),
    ] {
        let (master, open) = pair(Arc::new(NoSession));
        type_in(&master, typed);
        assert_eq!(echo(&master).unwrap_or_default(), echoed, "{}", typed.escape_ascii());
        assert_eq!(read(&open).unwrap(), line, "{}", typed.escape_ascii());
        assert_eq!(read(&open), Err(Errno::EAGAIN));
    }
}

#[test]
fn signals_go_to_the_foreground() {
    let recorder = Arc::new(Recorder::default());
    let (master, open) = pair(recorder.clone());
    type_in(&master, b"lost\x1c");
    type_in(&master, b"\x1a\x03kept\n");
    assert_eq!(*recorder.signals.lock(), [Signal::Quit, Signal::Interrupt, Signal::Stop]);
    assert_eq!(read(&open).unwrap(), b"kept\n");
    recorder.signals.lock().clear();
    let size = WindowSize { rows: 25, columns: 80, ..WindowSize::default() };
    open.set_window_size(size).unwrap();
    master.tty().set_window_size(size);
    assert_eq!(*recorder.signals.lock(), [Signal::WindowChange]);
    recorder.signals.lock().clear();
    assert_eq!(master.signal(9), Err(Errno::EINVAL));
    master.signal(2).unwrap();
    set(&open, |termios| termios.local -= LocalFlags::ISIG);
    type_in(&master, b"\x03\n");
    assert_eq!(*recorder.signals.lock(), [Signal::Interrupt]);
    assert_eq!(read(&open).unwrap(), b"\x03\n");
}

#[test]
fn the_background_is_stopped() {
    let (master, open) = pair(Arc::new(NoSession));
    type_in(&master, b"line\n");
    let caller = Background::default();
    assert_eq!(read_as(&open, &caller), Err(Errno::ERESTARTSYS));
    let termios = open.termios().unwrap();
    let change = || open.set_termios(&caller, SetWhen::Now, &termios);
    assert_eq!(change(), Err(Errno::ERESTARTSYS));
    assert_eq!(open.flush(&caller, Flush::Input), Err(Errno::ERESTARTSYS));
    assert_eq!(open.write(&caller, &mut Source::kernel(b"x")), Ok(1));
    set(&open, |termios| termios.local |= LocalFlags::TOSTOP);
    assert_eq!(open.write(&caller, &mut Source::kernel(b"x")), Err(Errno::ERESTARTSYS));
    let (reads, writes) = (Signal::BackgroundRead, Signal::BackgroundWrite);
    assert_eq!(*caller.sent.borrow(), [reads, writes, writes, writes]);
    caller.ignores.set(true);
    assert_eq!(read_as(&open, &caller), Err(Errno::EIO));
    assert_eq!(open.write(&caller, &mut Source::kernel(b"x")), Ok(1));
    caller.ignores.set(false);
    caller.orphaned.set(true);
    assert_eq!(read_as(&open, &caller), Err(Errno::EIO));
    assert_eq!(open.write(&caller, &mut Source::kernel(b"x")), Err(Errno::EIO));
    assert_eq!(change(), Err(Errno::EIO));
    assert_eq!(caller.sent.borrow().len(), 4);
    let console = master.open_peer(OpenAs::Console).unwrap();
    assert_eq!(read_as(&console, &caller).unwrap(), b"line\n");
}

#[test]
fn raw_reads_wait_for_bytes_or_time() {
    let (master, open) = pair(Arc::new(NoSession));
    let minimum = |min, time| {
        set(&open, |termios| {
            termios.local -= LocalFlags::ICANON;
            termios.control[Control::Min as usize] = min;
            termios.control[Control::Time as usize] = time;
        });
    };
    minimum(3, 1);
    let (mut buffer, mut timer) = ([0; 10], ReadTimer::default());
    let mut sink = Sink::kernel(&mut buffer);
    assert_eq!(open.read(&Uncontrolled, &mut sink, &mut timer), Err(Errno::EAGAIN));
    assert_eq!(timer.deadline(), None);
    type_in(&master, b"ab");
    assert_eq!(open.read(&Uncontrolled, &mut sink, &mut timer), Err(Errno::EAGAIN));
    assert!(timer.deadline().is_some());
    thread::sleep(Duration::from_millis(101));
    assert_eq!(open.read(&Uncontrolled, &mut sink, &mut timer), Ok(2));

    minimum(0, 1);
    let (mut buffer, mut timer) = ([0; 10], ReadTimer::default());
    let mut sink = Sink::kernel(&mut buffer);
    assert_eq!(open.read(&Uncontrolled, &mut sink, &mut timer), Err(Errno::EAGAIN));
    assert!(timer.deadline().is_some());
    thread::sleep(Duration::from_millis(101));
    assert_eq!(open.read(&Uncontrolled, &mut sink, &mut timer), Ok(0));
    minimum(0, 0);
    assert_eq!(read(&open).unwrap(), b"");
    minimum(3, 0);
    type_in(&master, b"abc");
    assert_eq!(read(&open).unwrap(), b"abc");
}

#[test]
fn a_hang_up_ends_all_openings() {
    let recorder = Arc::new(Recorder::default());
    let (master, open) = pair(recorder.clone());
    type_in(&master, b"unread\n");
    open.tty().hang_up();
    assert_eq!(read(&open).unwrap(), b"");
    assert_eq!(print(&open, b"x"), Err(Errno::EIO));
    assert_eq!(open.termios(), Err(Errno::EIO));
    assert_eq!(open.readable_bytes(), Err(Errno::EIO));
    assert!(open.poll().contains(Events::IN | Events::OUT | Events::ERR | Events::HUP));
    let again = master.open_peer(OpenAs::Anyone).unwrap();
    type_in(&master, b"new\n");
    assert_eq!(read(&again).unwrap(), b"new\n");
    assert!(!master.poll().contains(Events::HUP));
    drop((open, again));
    assert!(master.poll().contains(Events::HUP));
    assert_eq!(*recorder.hangups.lock(), 1);
    drop(master);
    assert_eq!(*recorder.hangups.lock(), 2);
}

#[test]
fn packets_tell_what_happened() {
    let (master, open) = pair(Arc::new(NoSession));
    master.set_packet_mode(true);
    assert_eq!(echo(&master), Err(Errno::EAGAIN));
    print(&open, b"hi").unwrap();
    assert_eq!(echo(&master).unwrap(), b"\0hi");
    let status = |bits: u8| {
        assert!(master.poll().contains(Events::PRI | Events::IN));
        assert_eq!(echo(&master).unwrap(), [bits]);
    };
    type_in(&master, b"\x13");
    status(4);
    open.control_flow(&Uncontrolled, Flow::StopOutput).unwrap();
    assert_eq!(echo(&master), Err(Errno::EAGAIN));
    open.control_flow(&Uncontrolled, Flow::StartOutput).unwrap();
    status(8);
    open.flush(&Uncontrolled, Flush::Input).unwrap();
    status(1);
    open.flush(&Uncontrolled, Flush::Both).unwrap();
    status(3);
    set(&open, |termios| termios.input -= InputFlags::IXON);
    status(16);
    set(&open, |termios| termios.input |= InputFlags::IXON);
    status(32);
    set(&open, |termios| termios.local |= LocalFlags::EXTPROC);
    status(64);
    set(&open, |termios| termios.local -= LocalFlags::EXTPROC);
    status(64);
    type_in(&master, b"a\x03");
    status(3);
    assert_eq!(echo(&master).unwrap(), b"\0^C");
    print(&open, b"long").unwrap();
    assert_eq!(collect(1, |sink| master.read(sink)).unwrap(), b"\0");
    assert_eq!(echo(&master).unwrap(), b"\0long");
}

#[test]
fn numbers_are_reused_when_both_sides_are_closed() {
    let table = PtyTable::new();
    let session = || -> Arc<dyn Session> { Arc::new(NoSession) };
    let mut masters: Vec<_> = (0..4).map(|_| table.open(|_| session()).unwrap()).collect();
    assert_eq!(masters[1].open_peer(OpenAs::Anyone).err(), Some(Errno::EIO));
    masters[1].set_locked(false);
    let open = masters[1].open_peer(OpenAs::Anyone).unwrap();
    drop(masters.remove(1));
    assert!(table.get(1).is_none() && table.get(2).is_some());
    assert_eq!((table.next(1), table.next(4)), (Some(2), None));
    assert_eq!(table.open(|_| session()).unwrap().number(), 4);
    assert_eq!(open.tty().open(OpenAs::Admin).err(), Some(Errno::EIO));
    drop(open);
    masters.push(table.open(|_| session()).unwrap());
    assert_eq!(masters[3].number(), 1);
    assert_eq!((masters[3].tty().name(), masters[3].tty().device()), ("pts/1".into(), (136, 1)));
    while masters.len() < MAX {
        masters.push(table.open(|_| session()).unwrap());
    }
    assert_eq!(table.open(|_| session()).err(), Some(Errno::ENOSPC));
    assert_eq!(masters[MAX - 1].tty().device(), (151, 255));
}

#[test]
fn exclusive_use_is_kept_until_the_last_close() {
    let (master, open) = pair(Arc::new(NoSession));
    open.set_exclusive(true).unwrap();
    assert_eq!(master.open_peer(OpenAs::Anyone).err(), Some(Errno::EBUSY));
    drop(master.open_peer(OpenAs::Admin).unwrap());
    assert_eq!(master.open_peer(OpenAs::Anyone).err(), Some(Errno::EBUSY));
    drop(open);
    assert!(master.open_peer(OpenAs::Anyone).is_ok());
}

fn serial(change: impl FnOnce(&mut Termios)) -> Open {
    let mut termios = Termios::default();
    change(&mut termios);
    Tty::serial(0, termios, Arc::new(NoSession)).unwrap().open(OpenAs::Anyone).unwrap()
}

fn sent(open: &Open) -> String {
    let mut bytes = [0; 1000];
    let count = open.tty().transmit(&mut bytes);
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[test]
fn a_stopped_serial_line_keeps_its_output() {
    let open = serial(|_| ());
    open.tty().receive(b"a\x13b");
    assert_eq!(sent(&open), "");
    assert_eq!(print(&open, b"out"), Ok(3));
    assert_eq!(open.drain(&Uncontrolled), Err(Errno::EAGAIN));
    let termios = open.termios().unwrap();
    let waits = open.set_termios(&Uncontrolled, SetWhen::Drain, &termios);
    assert_eq!((waits, open.unsent_bytes()), (Err(Errno::EAGAIN), Ok(5)));
    open.tty().receive(b"\x11");
    assert_eq!((sent(&open).as_str(), open.drain(&Uncontrolled)), ("about", Ok(())));
    open.tty().set_termios(SetWhen::Flush, &termios).unwrap();
    assert_eq!(open.readable_bytes(), Ok(0));
}

#[test]
fn a_full_buffer_stops_the_sender() {
    let open = serial(|termios| {
        termios.input |= InputFlags::IXOFF;
        termios.local = LocalFlags::empty();
    });
    assert_eq!(open.tty().receive(&[b'x'; 5000]), 5000);
    assert_eq!(sent(&open), "\x13");
    while read(&open).is_ok() {}
    assert_eq!(sent(&open), "\x11");
}

#[test]
fn breaks_and_garbled_bytes_are_marked() {
    let errors = |input: InputFlags| {
        let open = serial(|termios| {
            termios.input = input;
            termios.local -= LocalFlags::ICANON;
        });
        open.tty().receive_error(LineError::Break);
        open.tty().receive_error(LineError::Garbled(b'g'));
        open.tty().receive(b"\xff");
        read(&open).unwrap_or_default()
    };
    assert_eq!(errors(InputFlags::empty()), b"\0g\xff");
    assert_eq!(errors(InputFlags::IGNBRK | InputFlags::INPCK), b"\0\xff");
    assert_eq!(errors(InputFlags::IGNPAR | InputFlags::INPCK), b"\0\xff");
    assert_eq!(errors(InputFlags::PARMRK | InputFlags::INPCK), b"\xff\0\0\xff\0g\xff\xff");
    let recorder = Arc::new(Recorder::default());
    let tty = Tty::serial(0, Termios::default(), recorder.clone()).unwrap();
    let mut termios = Termios::default();
    termios.input |= InputFlags::BRKINT;
    tty.set_termios(SetWhen::Now, &termios).unwrap();
    tty.receive_error(LineError::Break);
    assert_eq!(*recorder.signals.lock(), [Signal::Interrupt]);
}

#[test]
fn random_use_neither_panics_nor_grows() {
    let mut state = 1u64;
    let mut random = move |limit: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    for _ in 0..60 {
        let open = serial(|_| ());
        let mut taken = 0;
        for _ in 0..400 {
            let bytes: Vec<u8> = (0..random(300)).map(|_| random(256).to_le_bytes()[0]).collect();
            match random(8) {
                0 => set(&open, |termios| {
                    let bits = u32::try_from(random(1 << 31)).unwrap();
                    termios.input = InputFlags::from_bits_retain(bits & 0x7fff);
                    termios.local = LocalFlags::from_bits_retain(bits >> 5);
                    termios.output = OutputFlags::from_bits_retain(bits >> 3);
                    for control in &mut termios.control {
                        *control = random(256).to_le_bytes()[0];
                    }
                }),
                1..=3 => taken += open.tty().receive(&bytes),
                4 => taken += print(&open, &bytes).unwrap_or(0),
                5 => open.tty().receive_error(LineError::Garbled(0xff)),
                6 => drop(read(&open)),
                _ => drop(sent(&open)),
            }
            assert!(open.readable_bytes().unwrap() <= 4096);
            assert!(open.unsent_bytes().unwrap() <= 16384);
        }
        assert!(taken > 0);
    }
}
