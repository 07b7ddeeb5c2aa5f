//! Random scripts: settings, bytes and calls drawn from a seed.

use io::tty::{Control, InputFlags, LocalFlags, OutputFlags, Termios};

use crate::script::Step;

/// A small generator (splitmix64): the same seed gives the same script.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it is below a usize")
    }

    fn bits(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).expect("half of a u64")
    }
}

/// Bytes that mean something to terminals, more often than their share.
const TELLING: &[u8] = b"\x03\x04\x07\x08\x09\x0a\x0d\x11\x12\x13\x15\x16\x17\x1a\x1c\x7f\x80\xa4\xc3\xff  ab_Z9\t\n\x7f\x7f";

/// The default STOP character; the scripts do not change it.
const STOP: u8 = 0x13;

/// The script of `seed`.
pub(crate) fn script(seed: u64) -> Vec<Step> {
    let mut random = Random(seed);
    let mut steps = vec![Step::Set(termios(&mut random))];
    for _ in 0..2 + random.below(14) {
        let step = match random.below(12) {
            0 | 1 => Step::Set(termios(&mut random)),
            2..=5 => {
                steps.extend(typing(&bytes(&mut random)));
                continue;
            }
            6 => Step::Print(bytes(&mut random)),
            7 => Step::Echo,
            8 => Step::Count,
            9 => Step::Read(1 + random.below(80)),
            10 => Step::Read(4096),
            _ => rare(&mut random),
        };
        steps.push(step);
    }
    steps.extend([
        Step::Echo,
        Step::Count,
        Step::Poll,
        Step::Read(30),
        Step::Read(5000),
        Step::Echo,
    ]);
    steps
}

/// Types `bytes`, each STOP by itself: whether echo before it is still shown depends on how the
/// host cuts what is typed into pieces.
fn typing(bytes: &[u8]) -> Vec<Step> {
    bytes
        .chunk_by(|before, after| *before != STOP && *after != STOP)
        .map(|part| Step::Type(part.to_vec()))
        .collect()
}

fn rare(random: &mut Random) -> Step {
    match random.below(5) {
        0 => Step::FlushInput,
        1 => Step::StopOutput,
        2 => Step::StartOutput,
        3 => Step::Poll,
        _ => Step::PollMaster,
    }
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let longest = if random.below(8) == 0 { 600 } else { 40 };
    (0..1 + random.below(longest))
        .map(|_| match random.below(3) {
            0 => random.next().to_le_bytes()[0],
            1 => b'a' + random.next().to_le_bytes()[0] % 26,
            _ => TELLING[random.below(TELLING.len())],
        })
        .collect()
}

fn termios(random: &mut Random) -> Termios {
    let mut termios = Termios::default();
    let input = InputFlags::all() - InputFlags::IXOFF;
    termios.input ^= InputFlags::from_bits_retain(sparse(random) & 0o77777) & input;
    let local = LocalFlags::from_bits_retain(0o107777) - LocalFlags::FLUSHO;
    termios.local ^= LocalFlags::from_bits_retain(sparse(random)) & local;
    // A signal's flush reaches what the host's worker has not moved yet: a matter of luck there.
    termios.local |= LocalFlags::NOFLSH;
    termios.output ^= OutputFlags::from_bits_retain(sparse(random) & 0o77);
    if random.below(4) == 0 {
        termios.output |= OutputFlags::TAB3;
    }
    for place in [Control::Intr, Control::Erase, Control::Eol, Control::Eol2, Control::Werase] {
        if random.below(10) == 0 {
            termios.control[place as usize] = TELLING[random.below(TELLING.len())];
        }
    }
    if random.below(4) == 0 {
        termios.control[Control::Min as usize] = random.next().to_le_bytes()[0] % 4;
    }
    termios
}

/// Random bits, each set with a probability of a quarter.
fn sparse(random: &mut Random) -> u32 {
    random.bits() & random.bits()
}
