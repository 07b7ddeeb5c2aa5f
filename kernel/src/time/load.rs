//! The load average: tasks that run or wait for a CPU, over one, five and fifteen minutes.

use framework::Instant;
use spin::Mutex;

/// Bits behind the point of the averages sysinfo(2) returns.
const SYSINFO_SHIFT: u32 = 16;
/// Bits behind the point in here.
const SHIFT: u32 = 11;
const ONE: u64 = 1 << SHIFT;
/// Seconds between two samples.
const PERIOD_NS: u64 = 5_000_000_000;
/// What stays of the old average after a period: 1/exp(5s/1min), /5min, /15min.
const DECAY: [u64; 3] = [1884, 2014, 2037];
/// After this many periods nothing of the old average is left.
const MOST_PERIODS: u64 = 2000;

/// The averages; [`Load::run`] keeps them up to date.
#[derive(Debug)]
pub struct Load(Mutex<State>);

#[derive(Debug)]
struct State {
    averages: [u64; 3],
}

impl State {
    /// Goes on by so many periods with `running` tasks ready.
    fn advance(&mut self, periods: u64, running: u64) {
        for _ in 0..periods.min(MOST_PERIODS) {
            for (average, decay) in self.averages.iter_mut().zip(DECAY) {
                let active = running << SHIFT;
                // Rounded up while it rises, so that it arrives.
                let round = if active >= *average { ONE - 1 } else { 0 };
                *average = (*average * decay + active * (ONE - decay) + round) >> SHIFT;
            }
        }
    }
}

impl Load {
    /// No load yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State { averages: [0; 3] }))
    }

    /// Samples for ever: a task of the kernel.
    pub async fn run(&self) {
        let mut sampled_at_ns = framework::time::now().as_nanos();
        loop {
            executor::sleep_until(Instant::from_nanos(sampled_at_ns + PERIOD_NS)).await;
            let passed = framework::time::now().as_nanos().saturating_sub(sampled_at_ns);
            let periods = passed / PERIOD_NS;
            sampled_at_ns += periods * PERIOD_NS;
            // This task itself runs, but would not otherwise.
            let running = executor::runnable().saturating_sub(1) as u64;
            self.0.lock().advance(periods, running);
        }
    }

    /// The averages as sysinfo(2) returns them, in units of 1/65536.
    pub fn averages(&self) -> [u64; 3] {
        self.0.lock().averages.map(|average| average << (SYSINFO_SHIFT - SHIFT))
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{ONE, State};

    #[test]
    fn averages_follow_the_load() {
        let mut state = State { averages: [0; 3] };
        state.advance(12, 1);
        // 1 - 1/e after a minute.
        assert!((1280..1310).contains(&state.averages[0]), "{:?}", state.averages);
        assert!(state.averages[2] < state.averages[1] && state.averages[1] < state.averages[0]);
        state.advance(2000, 2);
        assert_eq!(state.averages, [2 * ONE; 3]);
    }
}
