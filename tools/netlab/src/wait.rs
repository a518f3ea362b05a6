// SPDX-License-Identifier: GPL-2.0
//! Waiting with a bound.
//!
//! Tests never sleep in the hope that something has happened by then. They wait for the event itself
//! (poll on a descriptor), or, where the kernel offers no event, look at its state until it is as
//! wanted or the deadline has passed.

use std::os::fd::AsRawFd;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::Result;
use uapi::c;

/// How long a single event may take before the test calls it missing. Generous, because an emulated
/// CPU shares its host with others.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a clock of clock_gettime(2) says, for those that std does not name.
pub fn clock(id: c::clockid_t) -> Duration {
    let mut t: c::timespec = uapi::pod_zeroed();
    // Only a clock that the kernel does not have fails.
    uapi::clock_gettime(id, &mut t).expect("a clock of this kernel");
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// Polls one descriptor for `events` and returns what is ready: 0 when `timeout` passed.
pub fn poll_fd(fd: &impl AsRawFd, events: i16, timeout: Duration) -> Result<i16, uapi::Errno> {
    let end = Instant::now() + timeout;
    loop {
        let mut set = [c::pollfd {
            fd: fd.as_raw_fd(),
            events,
            revents: 0,
        }];
        let left = end.saturating_duration_since(Instant::now());
        let ms = left.as_millis().min(i32::MAX as u128) as i32;
        // Round up: poll(0) just before the deadline would spin.
        let ms = if left.is_zero() { 0 } else { ms + 1 };
        match uapi::poll(&mut set, ms) {
            Ok(_) => return Ok(set[0].revents),
            Err(uapi::Errno(c::EINTR)) => continue,
            Err(e) => return Err(e),
        }
    }
}

/// Looks at some state until `look` returns a value, for at most [`PATIENCE`].
///
/// The pause between two looks grows from 200 µs to 10 ms, so that a quick event is seen quickly and
/// a slow one costs no CPU that the kernel under test could use.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> Result<T> {
    until_for(PATIENCE, what, look)
}

/// [`until`] with a limit of its own.
pub fn until_for<T>(limit: Duration, what: &str, look: impl FnMut() -> Option<T>) -> Result<T> {
    look_again(limit, Duration::from_millis(10), what, look)
}

/// [`until`] for what takes seconds and is dear to look at: the pause grows to 100 ms.
pub fn until_at_last<T>(what: &str, look: impl FnMut() -> Option<T>) -> Result<T> {
    look_again(PATIENCE, Duration::from_millis(100), what, look)
}

fn look_again<T>(
    limit: Duration,
    longest: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(v) = look() {
            return Ok(v);
        }
        if Instant::now() >= end {
            bail!("not seen within {limit:?}: {what}");
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
}
