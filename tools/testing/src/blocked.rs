// SPDX-License-Identifier: GPL-2.0
//! Knowing that another thread has gone to sleep in a system call.
//!
//! The kernel tells it in /proc; a test that wants to wake a sleeper waits until there is one, instead
//! of sleeping for what seems long enough.

use anyhow::Result;
use netlab::wait;

/// The calling thread's id, to be handed to [`until_blocked`].
pub fn gettid() -> i32 {
    uapi::gettid()
}

/// Waits until the thread sleeps in one of these system calls.
pub fn until_blocked(tid: i32, calls: &[i64]) -> Result<()> {
    wait::until("a thread asleep in its system call", || {
        let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).ok()?;
        let number: i64 = text.split(' ').next()?.trim().parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat")).ok()?;
        let state = stat.rsplit(')').next()?.trim().chars().next()?;
        (calls.contains(&number) && state == 'S').then_some(())
    })
}
