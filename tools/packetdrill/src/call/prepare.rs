// SPDX-License-Identifier: GPL-2.0
//! From the script's call to the kernel's.

use std::net::SocketAddrV4;

use anyhow::bail;
use anyhow::Context as _;
use anyhow::Result;
use uapi::c;

use super::values::buffer;
use super::values::bytes;
use super::values::int;
use super::values::is_null;
use super::values::sockaddr;
use super::values::SOCKADDR_IN;
use super::Check;
use super::Context;
use super::NoSuchFd;
use super::Prepared;
use crate::script::Call;
use crate::script::Expr;
use crate::sys;
use crate::sys::Arg;
use crate::sys::Message;

/// Room for control messages; no script gets more than a few.
const CONTROL: usize = 512;
/// Room for an address, more than any needs.
const ADDRESS: usize = 128;
/// Bytes of a `struct epoll_event`, which is packed.
pub(super) const EPOLL_EVENT: usize = 12;
/// Bytes of a `struct pollfd`.
pub(super) const POLLFD: usize = 8;

/// Arguments of a call by index.
struct Args<'a>(&'a Call, &'a Context<'a>);

impl<'a> Args<'a> {
    fn get(&self, at: usize) -> Result<&'a Expr> {
        let args = &self.0.args;
        args.get(at)
            .with_context(|| format!("{}() has no argument {}", self.0.name, at + 1))
    }

    fn int(&self, at: usize) -> Result<i64> {
        int(self.get(at)?)
    }

    fn by_value(&self, at: usize) -> Result<Arg> {
        Ok(Arg::Int(self.int(at)?))
    }

    /// A descriptor of the script, made a live one; those that never were stay as they are.
    fn fd(&self, at: usize) -> Result<Arg> {
        let script = self.int(at)? as i32;
        match self.1.fds.get(&script) {
            Some(live) => Ok(Arg::Int((*live).into())),
            None if script < 0 => Ok(Arg::Int(script.into())),
            None => Err(NoSuchFd(script).into()),
        }
    }

    fn buffer(&self, at: usize, len: usize) -> Result<Arg> {
        buffer(self.get(at)?, self.int(len)?)
    }

    /// An address and its length.
    fn address(&self, at: usize, right: SocketAddrV4) -> Result<[Arg; 2]> {
        Ok(match self.get(at)? {
            Expr::Ellipsis => [Arg::Bytes(sockaddr(right)), Arg::Int(SOCKADDR_IN as i64)],
            Expr::Word(w) if w == "AF_UNSPEC" => [
                Arg::Bytes(vec![0; SOCKADDR_IN]),
                Arg::Int(SOCKADDR_IN as i64),
            ],
            null if is_null(null) => [Arg::Null, Arg::Int(0)],
            other => bail!("an address expected instead of {other:?}"),
        })
    }

    /// Room for an address, and its length.
    fn address_out(&self, at: usize) -> Result<[Arg; 2]> {
        Ok(match self.get(at)? {
            null if is_null(null) => [Arg::Null, Arg::Null],
            _ => [
                Arg::Bytes(vec![0; ADDRESS]),
                Arg::Bytes((ADDRESS as i32).to_ne_bytes().to_vec()),
            ],
        })
    }
}

/// Makes a call ready.
///
/// # Errors
///
/// [`NoSuchFd`] for a descriptor that the script has not got; arguments that make no sense, or a call
/// that is not known.
pub fn prepare(call: &Call, cx: &Context<'_>) -> Result<Prepared> {
    let a = Args(call, cx);
    let plain = |nr, args: Vec<Arg>| Prepared {
        nr,
        args,
        check: Check::Nothing,
        makes_fd: false,
    };
    let checked = |nr, args, check| Prepared {
        check,
        ..plain(nr, args)
    };
    let new_fd = |nr, args, check| Prepared {
        makes_fd: true,
        ..checked(nr, args, check)
    };
    Ok(match call.name.as_str() {
        "socket" => {
            let domain = match a.get(0)? {
                Expr::Ellipsis => cx.family.0,
                given => match int(given)? as i32 {
                    c::AF_INET => cx.family.0,
                    other => other,
                },
            };
            let args = vec![Arg::Int(domain.into()), a.by_value(1)?, a.by_value(2)?];
            new_fd(c::SYS_socket, args, Check::Nothing)
        }
        "bind" => {
            let [address, len] = a.address(1, cx.local)?;
            plain(c::SYS_bind, vec![a.fd(0)?, address, len])
        }
        "connect" => {
            let [address, len] = a.address(1, cx.remote)?;
            plain(c::SYS_connect, vec![a.fd(0)?, address, len])
        }
        "listen" => plain(c::SYS_listen, vec![a.fd(0)?, a.by_value(1)?]),
        "accept" => {
            let [address, len] = a.address_out(1)?;
            new_fd(c::SYS_accept, vec![a.fd(0)?, address, len], Check::Accept)
        }
        "close" => plain(c::SYS_close, vec![a.fd(0)?]),
        "shutdown" => plain(c::SYS_shutdown, vec![a.fd(0)?, a.by_value(1)?]),
        "read" => plain(c::SYS_read, vec![a.fd(0)?, a.buffer(1, 2)?, a.by_value(2)?]),
        "write" => plain(
            c::SYS_write,
            vec![a.fd(0)?, a.buffer(1, 2)?, a.by_value(2)?],
        ),
        "send" => {
            let args = vec![
                a.fd(0)?,
                a.buffer(1, 2)?,
                a.by_value(2)?,
                a.by_value(3)?,
                Arg::Null,
                Arg::Int(0),
            ];
            plain(c::SYS_sendto, args)
        }
        "sendto" => {
            let [address, len] = a.address(4, cx.remote)?;
            let data = [a.fd(0)?, a.buffer(1, 2)?, a.by_value(2)?, a.by_value(3)?];
            plain(
                c::SYS_sendto,
                data.into_iter().chain([address, len]).collect(),
            )
        }
        "recv" => {
            let args = vec![
                a.fd(0)?,
                a.buffer(1, 2)?,
                a.by_value(2)?,
                a.by_value(3)?,
                Arg::Null,
                Arg::Null,
            ];
            plain(c::SYS_recvfrom, args)
        }
        "recvfrom" => {
            let [address, len] = a.address_out(4)?;
            let data = [a.fd(0)?, a.buffer(1, 2)?, a.by_value(2)?, a.by_value(3)?];
            plain(
                c::SYS_recvfrom,
                data.into_iter().chain([address, len]).collect(),
            )
        }
        "sendmsg" => {
            let message = message(a.get(1)?, cx, false)?;
            plain(c::SYS_sendmsg, vec![a.fd(0)?, message, a.by_value(2)?])
        }
        "recvmsg" => {
            let expected = a.get(1)?;
            let message = message(expected, cx, true)?;
            let args = vec![a.fd(0)?, message, a.by_value(2)?];
            checked(c::SYS_recvmsg, args, Check::Message(expected.clone()))
        }
        "setsockopt" => {
            let value = a.buffer(3, 4)?;
            let args = vec![
                a.fd(0)?,
                a.by_value(1)?,
                a.by_value(2)?,
                value,
                a.by_value(4)?,
            ];
            plain(c::SYS_setsockopt, args)
        }
        "getsockopt" => {
            let len = a.int(4)? as i32;
            let room = vec![0; usize::try_from(len).unwrap_or(0)];
            let args = vec![
                a.fd(0)?,
                a.by_value(1)?,
                a.by_value(2)?,
                Arg::Bytes(room),
                Arg::Bytes(len.to_ne_bytes().to_vec()),
            ];
            let check = Check::Sockopt(a.get(3)?.clone(), a.get(4)?.clone());
            checked(c::SYS_getsockopt, args, check)
        }
        "fcntl" => {
            let value = match call.args.len() {
                2 => Arg::Int(0),
                _ => a.by_value(2)?,
            };
            plain(c::SYS_fcntl, vec![a.fd(0)?, a.by_value(1)?, value])
        }
        "ioctl" => {
            let value = a.get(2)?;
            let mut room = bytes(value)?;
            room.resize(room.len().max(sys::IFREQ), 0);
            let args = vec![a.fd(0)?, a.by_value(1)?, Arg::Bytes(room)];
            checked(c::SYS_ioctl, args, Check::Int(2, value.clone()))
        }
        "open" => {
            let mut path = bytes(a.get(0)?)?;
            path.push(0);
            let args = vec![
                Arg::Int(c::AT_FDCWD.into()),
                Arg::Bytes(path),
                a.by_value(1)?,
                Arg::Int(0o644),
            ];
            new_fd(c::SYS_openat, args, Check::Nothing)
        }
        "pipe" => {
            let args = vec![Arg::Bytes(vec![0; 8]), Arg::Int(0)];
            checked(c::SYS_pipe2, args, Check::Pipe(a.get(0)?.clone()))
        }
        "sendfile" => {
            let offset = offset(a.get(2)?)?;
            plain(
                c::SYS_sendfile,
                vec![a.fd(0)?, a.fd(1)?, offset, a.by_value(3)?],
            )
        }
        "splice" => {
            let args = vec![
                a.fd(0)?,
                offset(a.get(1)?)?,
                a.fd(2)?,
                offset(a.get(3)?)?,
                a.by_value(4)?,
                a.by_value(5)?,
            ];
            plain(c::SYS_splice, args)
        }
        "epoll_create" => new_fd(c::SYS_epoll_create1, vec![Arg::Int(0)], Check::Nothing),
        "epoll_ctl" => {
            let event = epoll_event(a.get(3)?)?;
            plain(
                c::SYS_epoll_ctl,
                vec![a.fd(0)?, a.by_value(1)?, a.fd(2)?, Arg::Bytes(event)],
            )
        }
        "epoll_wait" => {
            let room = usize::try_from(a.int(2)?)
                .unwrap_or(0)
                .saturating_mul(EPOLL_EVENT);
            let args = vec![
                a.fd(0)?,
                Arg::Bytes(vec![0; room]),
                a.by_value(2)?,
                a.by_value(3)?,
                Arg::Null,
                Arg::Int(0),
            ];
            checked(c::SYS_epoll_pwait, args, Check::Epoll(a.get(1)?.clone()))
        }
        "poll" => {
            let set = poll_set(a.get(0)?, cx)?;
            let timeout = match a.int(2)? {
                forever if forever < 0 => Arg::Null,
                ms => Arg::Bytes(
                    [ms / 1000, ms % 1000 * 1_000_000]
                        .map(i64::to_ne_bytes)
                        .concat(),
                ),
            };
            let args = vec![
                Arg::Bytes(set),
                a.by_value(1)?,
                timeout,
                Arg::Null,
                Arg::Int(0),
            ];
            checked(c::SYS_ppoll, args, Check::Poll(a.get(0)?.clone()))
        }
        other => bail!("{other}() is not known"),
    })
}

/// A file offset: NULL, or a pointer to one.
fn offset(expr: &Expr) -> Result<Arg> {
    if is_null(expr) {
        return Ok(Arg::Null);
    }
    Ok(Arg::Bytes(int(expr)?.to_ne_bytes().to_vec()))
}

/// A `struct msghdr`: to be sent, or with room to receive.
fn message(expr: &Expr, cx: &Context<'_>, receive: bool) -> Result<Arg> {
    let mut message = Message::default();
    if expr.field("msg_name").is_some() {
        message.name = match receive {
            true => vec![0; ADDRESS],
            false => sockaddr(cx.remote),
        };
    }
    if let Some(Expr::List(parts)) = expr.field("msg_iov") {
        for part in parts {
            let Expr::Struct(part) = part else {
                bail!("msg_iov holds {part:?}");
            };
            let [base, len] = &part[..] else {
                bail!("a part of msg_iov is a pointer and a length");
            };
            match buffer(&base.value, int(&len.value)?)? {
                Arg::Bytes(bytes) => message.iov.push(bytes),
                other => bail!("msg_iov leads to {other:?}"),
            }
        }
    }
    match (receive, expr.field("msg_control")) {
        (true, _) => message.control = vec![0; CONTROL],
        (false, Some(Expr::List(items))) if !items.is_empty() => {
            bail!("control messages can only be received")
        }
        _ => {}
    }
    Ok(Arg::Message(message))
}

/// A `struct epoll_event`. What the script calls `fd` is its own number, which comes back as it is.
fn epoll_event(expr: &Expr) -> Result<Vec<u8>> {
    let events = expr.field("events").map(int).transpose()?.unwrap_or(0);
    let mut bytes = (events as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&epoll_data(expr)?.to_ne_bytes());
    Ok(bytes)
}

/// The data of a `struct epoll_event`.
pub(super) fn epoll_data(expr: &Expr) -> Result<i64> {
    let data = ["fd", "ptr", "u32", "u64"]
        .iter()
        .find_map(|name| expr.field(name));
    data.map_or(Ok(0), int)
}

/// An array of `struct pollfd`.
fn poll_set(expr: &Expr, cx: &Context<'_>) -> Result<Vec<u8>> {
    let items = match expr {
        Expr::List(items) => &items[..],
        one => std::slice::from_ref(one),
    };
    let mut set = Vec::with_capacity(items.len() * POLLFD);
    for item in items {
        let script = item.field("fd").map(int).transpose()?.unwrap_or(-1) as i32;
        let live = *cx.fds.get(&script).ok_or(NoSuchFd(script))?;
        let events = item.field("events").map(int).transpose()?.unwrap_or(0);
        set.extend_from_slice(&live.to_ne_bytes());
        set.extend_from_slice(&(events as i16).to_ne_bytes());
        set.extend_from_slice(&[0; 2]);
    }
    Ok(set)
}
