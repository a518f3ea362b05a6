// SPDX-License-Identifier: GPL-2.0
//! Running one script, in this process and in a namespace of its own.
//!
//! [`Run`] goes through the events in order; every kind has its file:
//!
//! * [`packets`] injects and expects packets;
//! * [`calls`] makes system calls, blocking ones in a second thread;
//! * here are commands, code blocks and the times of all;
//! * [`exchange`] remembers what happened, for the message of a failure.

mod calls;
mod exchange;
mod packets;

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlab::Family;
use uapi::c;

use self::calls::Blocked;
use self::exchange::Exchange;
use crate::clock;
use crate::code;
use crate::code::info;
use crate::connection::Connection;
use crate::net::Net;
use crate::packet::wire::Seen;
use crate::script::Event;
use crate::script::Script;
use crate::script::Time;
use crate::script::Usec;
use crate::script::What;
use crate::settings::Settings;
use crate::sys;
use crate::sys::Arg;

/// How long the machine may settle before time 0.
const WARM_UP: Usec = 100_000;
/// Time 0 lies this long after a whole multiple of [`TICK`] since the machine was started, where the
/// kernel has its timer ticks: half of a tick of 4 ms. What the kernel counts in ticks then comes out the
/// same as long as nothing is later than that.
const AFTER_TICK: Usec = 2_000;
/// A multiple of every usual length of the kernel's tick.
const TICK: Usec = 20_000;
/// The first port of the host that is played, which [RFC 6335] leaves to anybody.
///
/// [RFC 6335]: https://www.rfc-editor.org/rfc/rfc6335#section-6
const FIRST_REMOTE_PORT: u16 = 49152;

/// A script under way.
pub struct Run<'a> {
    script: &'a Script,
    settings: &'a Settings,
    family: Family,
    /// Where commands are run.
    dir: &'a Path,
    net: Net,
    local: SocketAddrV4,
    remote: SocketAddrV4,
    next_port: u16,
    /// The clock at time 0.
    start: Usec,
    /// When the event before was done, and when an injected packet was due.
    last: Usec,
    last_injection: Option<Usec>,
    connections: Vec<Connection>,
    /// The socket under test: the latest one made, or the latest to which a SYN was injected.
    current: Option<usize>,
    fds: HashMap<i32, i32>,
    /// Packets that were captured and not yet looked at.
    captured: VecDeque<(Usec, Seen)>,
    blocked: Option<Blocked>,
    /// Buffers that the stack may still refer to.
    kept: Vec<Vec<Arg>>,
    /// What code blocks have assigned.
    names: info::Names,
    exchange: Exchange,
}

/// When an event is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// The earliest and the latest time, by the clock; `None` if it does not matter.
    window: Option<(Usec, Usec)>,
    /// What relative times count from.
    base: Usec,
    /// By how much the window may be missed.
    tolerance: Usec,
}

/// Runs a script.
///
/// # Errors
///
/// What went wrong, with the line, and the exchange so far.
pub fn run(script: &Script, settings: &Settings, family: Family, dir: &Path) -> Result<()> {
    let addresses = settings.addresses()?;
    let net = Net::new(&addresses, settings.mtu, family)?;
    let local = SocketAddrV4::new(addresses.local, settings.bind_port.unwrap_or(8080));
    let remote = SocketAddrV4::new(addresses.remote, settings.connect_port.unwrap_or(8080));
    let mut run = Run {
        script,
        settings,
        family,
        dir,
        net,
        local,
        remote,
        next_port: FIRST_REMOTE_PORT,
        start: 0,
        last: 0,
        last_injection: None,
        connections: Vec::new(),
        current: None,
        fds: HashMap::new(),
        captured: VecDeque::new(),
        blocked: None,
        kept: Vec::new(),
        names: info::Names::new(),
        exchange: Exchange::default(),
    };
    let result = run.whole();
    let end = run.end();
    result.and(end)
}

impl Run<'_> {
    fn whole(&mut self) -> Result<()> {
        if let Some(init) = &self.script.init {
            self.shell(init).context("the init command")?;
        }
        let settled = clock::uptime() + WARM_UP;
        let start = settled - settled.rem_euclid(TICK) + TICK + AFTER_TICK;
        self.start = clock::now() + (start - clock::uptime());
        self.last = self.start;
        clock::sleep_until(self.start);
        let script = self.script;
        for event in &script.events {
            self.event(event).map_err(|e| self.explain(event.line, e))?;
        }
        let last = script.events.last().map_or(0, |e| e.line);
        self.finish_blocked().map_err(|e| self.explain(last, e))
    }

    /// Adds the line, and the exchange so far, to an error.
    fn explain(&mut self, line: usize, e: anyhow::Error) -> anyhow::Error {
        let _ = self.capture();
        let rest = std::mem::take(&mut self.captured);
        let rest = rest.iter().map(|(time, seen)| (*time, self.show(seen)));
        let tail: Vec<_> = rest.collect();
        let exchange = self.exchange.show(self.start, &tail);
        anyhow::anyhow!("line {line}: {e:#}\n{exchange}")
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        self.net.tun.drain();
        self.reap(false)?;
        let due = self.due(event);
        if let (Some((time, _)), false) = (due.window, matches!(event.what, What::Expect(_))) {
            clock::sleep_until(time);
            self.net.tun.drain();
            self.reap(false)?;
            self.on_time(&due, clock::now())?;
        }
        self.last_injection = None;
        match &event.what {
            What::Inject(packet) => {
                self.inject(event, packet)?;
                self.last_injection = due.window.map(|(time, _)| time);
            }
            What::Expect(packet) => self.expect(event, packet, &due)?,
            What::Call(call) => self.call(event, call, &due)?,
            What::Command(text) => {
                self.exchange
                    .note(event.line, clock::now(), format!("`{}`", text.trim()));
                self.shell(text)?;
            }
            What::Code(text) => self.code(event, text)?,
        }
        self.last = clock::now();
        Ok(())
    }

    /// When an event is due, now that the one before is over.
    fn due(&self, event: &Event) -> Due {
        let is_injection = matches!(event.what, What::Inject(_));
        // Packets that follow each other come at the pace that the script says, however slow we are.
        let base = match self.last_injection {
            Some(scheduled) if is_injection => scheduled,
            _ => clock::now(),
        };
        let (base, window) = match event.time {
            Time::Relative(t) => (base, Some((base + t, base + t))),
            Time::RelativeRange(a, b) => (base, Some((base + a, base + b))),
            Time::Absolute(t) => (self.start, Some((self.start + t, self.start + t))),
            Time::AbsoluteRange(a, b) => (self.start, Some((self.start + a, self.start + b))),
            Time::Any => (base, None),
        };
        let since_last = window.map_or(0, |(time, _)| time - self.last.min(time));
        Due {
            window,
            base,
            tolerance: self.tolerance(since_last),
        }
    }

    /// The tolerance after an interval: an eighth of it, and at least what the settings say.
    fn tolerance(&self, interval: Usec) -> Usec {
        self.settings.tolerance().max(interval / 8)
    }

    /// Compares a time with when the event was due.
    fn on_time(&self, due: &Due, time: Usec) -> Result<()> {
        let Some((from, to)) = due.window else {
            return Ok(());
        };
        if time >= from - due.tolerance && time <= to + due.tolerance {
            return Ok(());
        }
        let at = |t: Usec| clock::seconds(t - self.start);
        let expected = match from == to {
            true => at(from),
            false => format!("{} to {}", at(from), at(to)),
        };
        bail!(
            "it happened at {} s instead of {expected} s, with a tolerance of {} s",
            at(time),
            clock::seconds(due.tolerance)
        );
    }

    /// Runs a shell command; this process is the shell's parent.
    fn shell(&self, text: &str) -> Result<()> {
        let status = Command::new("/bin/sh")
            .args(["-c", text])
            .current_dir(self.dir)
            .env("PACKETDRILL_PID", std::process::id().to_string())
            .stdin(Stdio::null())
            .status()
            .context("/bin/sh")?;
        if !status.success() {
            bail!("`{}`: {status}", text.trim());
        }
        Ok(())
    }

    /// Runs a code block about the socket under test.
    fn code(&mut self, event: &Event, text: &str) -> Result<()> {
        let fd = self.current_fd()?;
        let get = |level: i32, option: i32, room: usize| {
            let mut args = [
                Arg::Int(fd.into()),
                Arg::Int(level.into()),
                Arg::Int(option.into()),
                Arg::Bytes(vec![0; room]),
                Arg::Bytes((room as i32).to_ne_bytes().to_vec()),
            ];
            let result = sys::call(c::SYS_getsockopt, &mut args);
            let len = usize::try_from(args[4].int()).unwrap_or(0);
            result.map(|_| args[3].bytes()[..len.min(room)].to_vec())
        };
        let tcp_info = get(c::IPPROTO_TCP, c::TCP_INFO, 512).context("getsockopt(TCP_INFO)")?;
        let cc_info = get(c::IPPROTO_TCP, c::TCP_CC_INFO, 64).context("getsockopt(TCP_CC_INFO)")?;
        let meminfo = get(c::SOL_SOCKET, c::SO_MEMINFO, 64).context("getsockopt(SO_MEMINFO)")?;
        if tcp_info.len() < info::TCP_INFO_LEN {
            bail!(
                "TCP_INFO gave {} bytes, and at least {} are needed",
                tcp_info.len(),
                info::TCP_INFO_LEN
            );
        }
        self.exchange
            .note(event.line, clock::now(), format!("%{{ {text} }}%"));
        self.names
            .extend(info::names(&tcp_info, &cc_info, &meminfo));
        code::run(text, &mut self.names)
    }

    /// Ends what is left: the blocking call, connections, the cleanup command.
    fn end(&mut self) -> Result<()> {
        for connection in std::mem::take(&mut self.connections) {
            if let Some(reset) = connection.reset() {
                // Best effort: the namespace goes away anyhow.
                let _ = self.put(&reset, &connection);
            }
        }
        match &self.script.cleanup {
            Some(text) => self.shell(text).context("the cleanup command"),
            None => Ok(()),
        }
    }
}
