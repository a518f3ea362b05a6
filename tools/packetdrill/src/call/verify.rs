// SPDX-License-Identifier: GPL-2.0
//! What a call has returned, compared with what the script says.

use anyhow::bail;
use anyhow::Result;
use netlab::ktap::errno_name;

use super::cmsg;
use super::prepare::epoll_data;
use super::prepare::EPOLL_EVENT;
use super::prepare::POLLFD;
use super::values::address;
use super::values::bytes;
use super::values::int;
use super::Check;
use super::Effects;
use super::Outcome;
use crate::script::Call;
use crate::script::Expr;
use crate::script::Usec;
use crate::symbols;
use crate::sys::Arg;

impl Outcome {
    /// Compares, and says what has changed. `start` is the clock at script time 0.
    pub fn verify(
        &self,
        call: &Call,
        check: &Check,
        makes_fd: bool,
        start: Usec,
        tolerance: Usec,
    ) -> Result<Effects> {
        let mut effects = Effects::default();
        let live = self.result.unwrap_or(-1);
        let wanted = call.result.as_ref().map(int).transpose()?;
        let Some(wanted) = wanted else {
            return Ok(effects);
        };
        let same = match makes_fd && wanted >= 0 {
            true => live >= 0,
            false => live == wanted,
        };
        let shown = match self.result {
            Ok(value) => value.to_string(),
            Err(e) => format!("-1 {}", errno_name(e.0)),
        };
        if !same {
            bail!(
                "{}() returned {shown} instead of {}",
                call.name,
                expected(call, wanted)
            );
        }
        if let (Err(e), Some(name)) = (self.result, &call.errno) {
            let Some(number) = symbols::errno(name) else {
                bail!("`{name}` is no known errno");
            };
            if e.0 != number {
                bail!(
                    "{}() returned {shown} instead of {}",
                    call.name,
                    expected(call, wanted)
                );
            }
        }
        if live < 0 {
            return Ok(effects);
        }
        if makes_fd {
            effects.fds.push((wanted as i32, live as i32));
        }
        self.look(check, live, start, tolerance, &mut effects)?;
        Ok(effects)
    }

    fn look(
        &self,
        check: &Check,
        live: i64,
        start: Usec,
        tolerance: Usec,
        effects: &mut Effects,
    ) -> Result<()> {
        match check {
            Check::Nothing => {}
            Check::Accept => {
                if let (Arg::Bytes(peer), Arg::Bytes(_)) = (&self.args[1], &self.args[2]) {
                    effects.peer = Some(address(peer)?);
                }
            }
            Check::Sockopt(value, len) => {
                let (got, got_len) = (self.args[3].bytes(), self.args[4].int());
                let wanted_len = int(len)?;
                if i64::from(got_len) != wanted_len {
                    bail!("getsockopt() gave {got_len} bytes instead of {wanted_len}");
                }
                let mut wanted = bytes(value)?;
                wanted.truncate(got.len());
                if !matches!(value, Expr::Ellipsis) && got.get(..wanted.len()) != Some(&wanted[..])
                {
                    match (self.args[3].int(), int(value)) {
                        (got, Ok(wanted)) => bail!("getsockopt() gave {got} instead of {wanted}"),
                        _ => bail!("getsockopt() gave {got:?} instead of {wanted:?}"),
                    }
                }
            }
            Check::Int(at, value) => {
                let (got, wanted) = (self.args[*at].int(), int(value)?);
                if i64::from(got) != wanted {
                    bail!("it gave {got} instead of {wanted}");
                }
            }
            Check::Message(expr) => {
                let Arg::Message(message) = &self.args[1] else {
                    return Ok(());
                };
                if let Some(flags) = expr.field("msg_flags") {
                    let wanted = int(flags)?;
                    if i64::from(message.flags) != wanted {
                        bail!("msg_flags is {:#x} instead of {wanted:#x}", message.flags);
                    }
                }
                if let Some(Expr::List(wanted)) = expr.field("msg_control") {
                    cmsg::compare(wanted, &message.control, start, tolerance)?;
                }
            }
            Check::Epoll(expr) if live > 0 => {
                let got = &self.args[1].bytes()[..EPOLL_EVENT];
                let events = u32::from_ne_bytes([got[0], got[1], got[2], got[3]]);
                let data = i64::from_ne_bytes(got[4..12].try_into()?);
                let wanted = expr.field("events").map(int).transpose()?.unwrap_or(0);
                if i64::from(events) != wanted || data != epoll_data(expr)? {
                    bail!("epoll_wait() gave events {events:#x} and data {data} instead of {wanted:#x} and {}", epoll_data(expr)?);
                }
            }
            Check::Epoll(_) => {}
            Check::Poll(expr) => {
                let items = match expr {
                    Expr::List(items) => &items[..],
                    one => std::slice::from_ref(one),
                };
                for (item, got) in items.iter().zip(self.args[0].bytes().chunks(POLLFD)) {
                    let got = i64::from(u16::from_ne_bytes([got[6], got[7]]));
                    let wanted = item.field("revents").map(int).transpose()?.unwrap_or(0);
                    if got != wanted {
                        bail!("poll() gave revents {got:#x} instead of {wanted:#x}");
                    }
                }
            }
            Check::Pipe(expr) => {
                let Expr::List(ends) = expr else {
                    bail!("pipe() gives two descriptors");
                };
                for (end, live) in ends.iter().zip(self.args[0].bytes().chunks(4)) {
                    let live = i32::from_ne_bytes(live.try_into()?);
                    effects.fds.push((int(end)? as i32, live));
                }
            }
        }
        Ok(())
    }
}

fn expected(call: &Call, wanted: i64) -> String {
    match &call.errno {
        Some(name) => format!("{wanted} {name}"),
        None => wanted.to_string(),
    }
}
