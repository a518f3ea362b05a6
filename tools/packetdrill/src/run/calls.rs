// SPDX-License-Identifier: GPL-2.0
//! System calls, and the thread for those that block.

use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use anyhow::Context as _;
use anyhow::Result;

use super::Due;
use super::Run;
use crate::call;
use crate::call::Check;
use crate::call::Context;
use crate::call::NoSuchFd;
use crate::call::Outcome;
use crate::call::Prepared;
use crate::clock;
use crate::connection::Connection;
use crate::connection::Role;
use crate::script::Call;
use crate::script::Event;
use crate::script::Expr;
use crate::script::Usec;
use crate::sys;

/// How much longer than expected a blocking call is waited for.
const PATIENCE: Usec = 2_000_000;
/// How long to sleep between two looks at whether a thread sleeps.
const GLANCE: Duration = Duration::from_micros(20);

/// A blocking call under way in another thread.
#[derive(Debug)]
pub(super) struct Blocked {
    call: Call,
    line: usize,
    check: Check,
    makes_fd: bool,
    /// When it must return, by the clock.
    end: Usec,
    outcome: mpsc::Receiver<Outcome>,
}

/// Makes a call.
fn make(mut prepared: Prepared) -> Outcome {
    let start = clock::now();
    let result = sys::call(prepared.nr, &mut prepared.args);
    Outcome {
        result,
        args: prepared.args,
        times: (start, clock::now()),
    }
}

/// The descriptor that a call is about.
fn first_fd(call: &Call) -> Option<i32> {
    match call.args.first() {
        Some(Expr::Int(fd)) => Some(*fd as i32),
        _ => None,
    }
}

/// Whether a thread of this process sleeps in the kernel.
fn sleeps(tid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may hold anything.
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('S' | 'D'))
}

impl Run<'_> {
    /// Makes a call of the script.
    pub(super) fn call(&mut self, event: &Event, call: &Call, due: &Due) -> Result<()> {
        let remote = self.remote;
        if call.name == "connect" && !call::disconnects(call) {
            if let Some(connection) = self.of_fd(first_fd(call)).filter(|c| c.disconnected) {
                connection.reconnect(remote);
            }
        }
        let prepared = match self.prepare(call) {
            // The call under way may be the one that makes the descriptor.
            Err(e) if e.is::<NoSuchFd>() && self.blocked.is_some() => {
                self.reap(true)?;
                self.prepare(call)?
            }
            other => other?,
        };
        let Some(end) = call.end else {
            let (check, makes_fd) = (prepared.check.clone(), prepared.makes_fd);
            let outcome = make(prepared);
            return self.done(event.line, call, &check, makes_fd, outcome);
        };
        // There is one thread for these.
        self.reap(true)?;
        self.block(event, call, prepared, due.base + end)
    }

    fn prepare(&self, call: &Call) -> Result<Prepared> {
        let cx = Context {
            fds: &self.fds,
            family: self.family,
            local: self.local,
            remote: self
                .current
                .map_or(self.remote, |at| self.connections[at].remote),
        };
        call::prepare(call, &cx)
    }

    /// Starts a call in another thread and waits until that sleeps, or is done.
    fn block(&mut self, event: &Event, call: &Call, prepared: Prepared, end: Usec) -> Result<()> {
        let (check, makes_fd) = (prepared.check.clone(), prepared.makes_fd);
        let (done, outcome) = mpsc::channel();
        let tid = Arc::new(AtomicI32::new(0));
        let its_tid = Arc::clone(&tid);
        let shown = format!("{}() is called and blocks", call.name);
        self.exchange.note(event.line, clock::now(), shown);
        let thread = std::thread::Builder::new().spawn(move || {
            its_tid.store(uapi::gettid(), Ordering::Release);
            let outcome = make(prepared);
            its_tid.store(-1, Ordering::Release);
            // Nobody listens any more when the script has failed.
            let _ = done.send(outcome);
        });
        thread.context("starting a thread")?;
        loop {
            match tid.load(Ordering::Acquire) {
                0 => {}
                -1 => break,
                tid if sleeps(tid) => break,
                _ => {}
            }
            std::thread::sleep(GLANCE);
        }
        self.blocked = Some(Blocked {
            call: call.clone(),
            line: event.line,
            check,
            makes_fd,
            end,
            outcome,
        });
        self.reap(false)
    }

    /// Looks whether the blocking call has returned; with `wait`, waits for it.
    pub(super) fn reap(&mut self, wait: bool) -> Result<()> {
        let Some(blocked) = &self.blocked else {
            return Ok(());
        };
        let left = match wait {
            true => (blocked.end + PATIENCE - clock::now()).max(0),
            false => 0,
        };
        let outcome = match blocked.outcome.try_recv() {
            Ok(outcome) => outcome,
            Err(_) if !wait => return Ok(()),
            Err(_) => match blocked
                .outcome
                .recv_timeout(Duration::from_micros(left as u64))
            {
                Ok(outcome) => outcome,
                Err(_) => bail!(
                    "{}() of line {} has not returned",
                    blocked.call.name,
                    blocked.line
                ),
            },
        };
        let Some(blocked) = self.blocked.take() else {
            return Ok(());
        };
        let (start, end) = outcome.times;
        let tolerance = self.tolerance(blocked.end - start.min(blocked.end));
        self.done(
            blocked.line,
            &blocked.call,
            &blocked.check,
            blocked.makes_fd,
            outcome,
        )?;
        let due = Due {
            window: Some((blocked.end, blocked.end)),
            base: start,
            tolerance,
        };
        self.on_time(&due, end)
            .with_context(|| format!("{}() of line {} returned", blocked.call.name, blocked.line))
    }

    /// Waits for the blocking call at the end of the script.
    pub(super) fn finish_blocked(&mut self) -> Result<()> {
        self.reap(true)
    }

    /// Compares what a call has come to, and keeps what it has changed.
    fn done(
        &mut self,
        line: usize,
        call: &Call,
        check: &Check,
        makes_fd: bool,
        outcome: Outcome,
    ) -> Result<()> {
        let shown = match outcome.result {
            Ok(value) => format!("{}() = {value}", call.name),
            Err(e) => format!("{}() = -1 {}", call.name, netlab::ktap::errno_name(e.0)),
        };
        self.exchange.note(line, outcome.times.1, shown);
        let tolerance = self.settings.tolerance();
        let effects = outcome.verify(call, check, makes_fd, self.start, tolerance)?;
        for (script, live) in &effects.fds {
            self.fds.insert(*script, *live);
        }
        let made = effects.fds.first().map(|(script, _)| *script);
        let first = first_fd(call);
        match call.name.as_str() {
            "socket" => {
                let mut local = self.local;
                local.set_port(0);
                let mut connection = Connection::new(Role::Active, local, self.remote);
                connection.fd = made;
                self.add(connection);
            }
            "bind" if outcome.result.is_ok() => {
                let local = self.local;
                if let Some(connection) = self.of_fd(first) {
                    connection.local = local;
                }
            }
            "listen" if outcome.result.is_ok() => {
                let local = self.local;
                if let Some(connection) = self.of_fd(first) {
                    connection.role = Role::Listener;
                    connection.local = local;
                }
            }
            "connect" if outcome.result.is_ok() && call::disconnects(call) => {
                if let Some(connection) = self.of_fd(first) {
                    connection.disconnected = true;
                }
            }
            "accept" => {
                if let (Some(peer), Some(made)) = (effects.peer, made) {
                    self.accepted(peer, made)?;
                }
            }
            "close" if outcome.result.is_ok() => {
                if let Some(connection) = self.of_fd(first) {
                    connection.fd = None;
                }
                first.and_then(|fd| self.fds.remove(&fd));
            }
            _ => {}
        }
        if self.settings.send_omit_free {
            self.kept.push(outcome.args);
        }
        Ok(())
    }

    /// The connection of a descriptor.
    fn of_fd(&mut self, fd: Option<i32>) -> Option<&mut Connection> {
        let fd = fd?;
        self.connections.iter_mut().rev().find(|c| c.fd == Some(fd))
    }

    /// Gives an accepted connection its descriptor.
    fn accepted(&mut self, peer: std::net::SocketAddrV4, fd: i32) -> Result<()> {
        let found = self
            .connections
            .iter_mut()
            .rev()
            .find(|c| c.role == Role::Passive && c.remote == peer);
        match found {
            Some(connection) => {
                connection.fd = Some(fd);
                Ok(())
            }
            None => bail!("accept() gave {peer}, from where no SYN was injected"),
        }
    }

    /// The live descriptor of the socket under test.
    pub(super) fn current_fd(&mut self) -> Result<i32> {
        let look = |run: &Self| {
            let connection = &run.connections[run.current?];
            run.fds.get(&connection.fd?).copied()
        };
        if look(self).is_none() {
            self.reap(true)?;
        }
        look(self).context("the socket under test has no descriptor")
    }
}
