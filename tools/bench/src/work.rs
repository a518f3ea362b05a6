// SPDX-License-Identifier: GPL-2.0
//! The clock of the measurements: time in which somebody worked.
//!
//! Under ICOUNT a virtual nanosecond is an instruction, but time also passes while everybody waits for a
//! card that holds its interrupt back. An [`Absorber`] takes that time and says how much it was.

use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::Arc;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use anyhow::ensure;
use anyhow::Result;

/// Turns of all absorbers so far.
static TURNS: AtomicU64 = AtomicU64::new(0);
/// What a turn takes, in units of 2^-20 ns; 0 as long as nobody knows.
static TURN: AtomicU64 = AtomicU64::new(0);
static EPOCH: OnceLock<Instant> = OnceLock::new();

/// Time since some moment, less what absorbers took.
pub fn now() -> Duration {
    let elapsed = EPOCH.get_or_init(Instant::now).elapsed();
    let (turns, turn) = (TURNS.load(Ordering::Relaxed), TURN.load(Ordering::Relaxed));
    let idle = (u128::from(turns) * u128::from(turn)) >> 20;
    elapsed.saturating_sub(Duration::from_nanos(idle as u64))
}

/// A thread that runs when nothing else wants to, and counts its turns: all of the same instructions.
pub struct Absorber {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Absorber {
    /// Starts one; [`now`] means something from here on until it is dropped.
    pub fn start() -> Result<Absorber> {
        // Time must be counted before turns are.
        now();
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, tid) = mpsc::channel();
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                let _ = tell.send(uapi::gettid());
                while !stop.load(Ordering::Relaxed) {
                    TURNS.store(TURNS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
            }
        });
        let new = Absorber {
            stop,
            thread: Some(thread),
        };
        let how = format!(
            "import os; os.sched_setscheduler({}, os.SCHED_IDLE, os.sched_param(0))",
            tid.recv()?
        );
        let done = Command::new("python3").args(["-c", &how]).status()?;
        ensure!(done.success(), "SCHED_IDLE was refused");
        if TURN.load(Ordering::Relaxed) == 0 {
            // The kernel's ticks are in it, as they are in the time that is taken off.
            let (start, turns) = (Instant::now(), TURNS.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(400));
            let (took, turns) = (
                start.elapsed(),
                TURNS.load(Ordering::Relaxed).wrapping_sub(turns),
            );
            ensure!(turns > 0, "nothing was left for the absorber");
            let turn = (took.as_nanos() << 20) / u128::from(turns);
            TURN.store(turn as u64, Ordering::Relaxed);
        }
        Ok(new)
    }
}

impl Drop for Absorber {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
