//! The clock, the alarm, and what ends a halt.

use crate::Say;
use core::time::Duration;
use framework::{cpu, time};

pub(crate) fn run(say: &mut Say<'_>) {
    let mut last = time::now();
    let mut backwards = 0;
    for _ in 0..10_000 {
        let now = time::now();
        backwards += u32::from(now < last);
        last = now;
    }
    say(format_args!("the clock went back {backwards} times"));
    say(format_args!(
        "the wall clock is past 2001: {}",
        time::boot_wall_clock().as_secs() > 978_307_200
    ));

    let due = time::now().saturating_add(Duration::from_millis(3));
    time::set_alarm(Some(due));
    // Other things may end a halt; the alarm is what must.
    while time::now() < due {
        cpu::halt_unless(|| time::now() >= due);
    }
    say(format_args!("an alarm ended a halt: {}", time::now() >= due));

    cpu::halt_unless(|| true);
    say(format_args!("a halt that is not wanted is none"));
}
