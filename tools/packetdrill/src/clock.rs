// SPDX-License-Identifier: GPL-2.0
//! The clock by which a script is judged: CLOCK_REALTIME, which also stamps captured packets.

use netlab::wait;
use uapi::c;

use crate::script::Usec;

/// Now, in microseconds.
pub fn now() -> Usec {
    read(c::CLOCK_REALTIME)
}

/// Microseconds since the machine was started, of the clock by which the kernel's timer ticks go.
pub fn uptime() -> Usec {
    read(c::CLOCK_MONOTONIC)
}

fn read(clock: c::clockid_t) -> Usec {
    wait::clock(clock).as_micros() as Usec
}

/// Sleeps until `time`.
pub fn sleep_until(time: Usec) {
    let deadline = c::timespec {
        tv_sec: time.div_euclid(1_000_000),
        tv_nsec: time.rem_euclid(1_000_000) * 1000,
    };
    while now() < time {
        let _ = uapi::clock_nanosleep(c::CLOCK_REALTIME, c::TIMER_ABSTIME, &deadline, None);
    }
}

/// Microseconds as the script writes them.
pub fn seconds(t: Usec) -> String {
    let sign = if t < 0 { "-" } else { "" };
    let t = t.unsigned_abs();
    format!("{sign}{}.{:06}", t / 1_000_000, t % 1_000_000)
}
