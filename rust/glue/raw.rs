// SPDX-License-Identifier: GPL-2.0
//! Raw sockets: packets of one IP protocol, header and all. They come by `raw_input` and go by `raw_send`.
//!
//! Mirrors [`raw.c`](srctree/net/ipv4/raw.c)

use super::{
    datagram,
    igmp,
    mroute,
    raw_send::{
        self,
        Cork, //
    },
    sockopt, //
};
use crate::{
    abstractions::{
        ehash::Table,
        iov::{
            OptIn,
            OptOut, //
        },
        minisock::Never,
        netns::Net,
        proto::{
            Proto,
            Protocol, //
        },
        sock::{
            Sock,
            SockRef, //
        },
        sock_lock::{
            Locked,
            UserLock, //
        },
        socket::{
            End,
            IoctlArg,
            Msg,
            RawAddr,
            Socket,
            SocketOps, //
        },
    },
    bindings, //
};
use core::{
    mem::MaybeUninit,
    sync::atomic::{
        AtomicBool,
        AtomicU32,
        Ordering, //
    },
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int,
    prelude::*, //
};

/// Option level of raw sockets, and its one option (`<linux/icmp.h>`).
const SOL_RAW: u32 = 255;
const ICMP_FILTER: u32 = 1;

/// Raw IPv4.
pub(crate) struct Raw;

static PROTO: Proto<Raw> = Proto::new();
static TABLE: Table<Raw> = Table::new();

/// What may be read without the lock.
#[derive(Default)]
pub(crate) struct Shared {
    /// Types of ICMP that the user does not want, a bit for each.
    pub(super) filter: AtomicU32,
    /// Whether there is a [`Cork`].
    pub(super) pending: AtomicBool,
    /// Groups that it has joined in `replace`.
    groups: igmp::Groups,
}

impl Protocol for Raw {
    const NAME: &'static CStr = c"RUSTNET-RAW";
    const TYPE: u16 = bindings::sock_type_SOCK_RAW as u16;
    const PROTOCOL: u16 = bindings::IPPROTO_RAW as u16;

    type Shared = Shared;
    /// Messages that wait for more.
    type Private = Option<KBox<Cork>>;
    type HalfOpen = Never;
    type TimeWait = Never;

    fn proto() -> &'static Proto<Self> {
        &PROTO
    }

    fn table() -> &'static Table<Self> {
        &TABLE
    }

    fn init_private<'a>(
        slot: &'a mut MaybeUninit<Self::Private>,
        _net: &Net,
    ) -> &'a mut Self::Private {
        slot.write(None)
    }

    fn init(sk: &Sock<Self>) {
        sk.set_pmtudisc(bindings::IP_PMTUDISC_WANT as u8);
        sk.assign_inet_flag(bindings::INET_FLAGS_MC_LOOP, true);
        sk.assign_inet_flag(bindings::INET_FLAGS_MC_ALL, true);
    }

    fn destruct(_sk: &mut Locked<'_, Self>) {}
}

/// A new socket for packets of `protocol`: from now on they are heard.
///
/// Mirrors the end of [`inet_create`](srctree/net/ipv4/af_inet.c), [`raw_hash_sk`](srctree/net/ipv4/raw.c)
pub(super) fn start(so: &Sock<Raw>, protocol: u16) {
    so.set_num(protocol);
    if u32::from(protocol) == bindings::IPPROTO_RAW {
        so.assign_inet_flag(bindings::INET_FLAGS_HDRINCL, true);
    }
    datagram::hash(so);
}

impl igmp::Member for Raw {
    fn groups(shared: &Shared) -> &igmp::Groups {
        &shared.groups
    }
}

impl SocketOps for Raw {
    fn release(so: SockRef<Self>) {
        mroute::ctl::release(&so);
        igmp::drop_socket(&so);
        datagram::unhash(&so);
        let waiting = UserLock::new(&so).private().take();
        drop(waiting);
        crate::abstractions::sock_lock::orphan(&so);
    }

    /// Mirrors [`raw_bind`](srctree/net/ipv4/raw.c)
    fn bind(so: &Sock<Self>, addr: RawAddr<'_>) -> Result {
        let _lock = UserLock::new(so);
        let (a, _) = addr.inet()?;
        if so.state() != bindings::TCP_CLOSE as u8 {
            return Err(EINVAL);
        }
        let (heard, from) = datagram::bindable(so, a)?;
        so.set_rcv_saddr(heard);
        so.set_saddr(from);
        Ok(())
    }

    /// Mirrors [`__ip4_datagram_connect`](srctree/net/ipv4/datagram.c)
    fn connect(sock: &Socket<'_, Self>, addr: RawAddr<'_>, _nonblock: bool) -> Result {
        let so = sock.sk();
        let _lock = UserLock::new(so);
        if u32::from(addr.family()?) == bindings::AF_UNSPEC {
            datagram::disconnect(so);
            return Ok(());
        }
        datagram::connect(so, &addr)
    }

    fn accept(_so: &Sock<Self>, _nonblock: bool) -> Result<(SockRef<Self>, bool)> {
        Err(EOPNOTSUPP)
    }

    fn getname(so: &Sock<Self>, end: End) -> Result<(u32, u16)> {
        sockopt::getname(so, end)
    }

    fn poll(so: &Sock<Self>) -> u32 {
        datagram::poll(so)
    }

    fn ioctl(so: &Sock<Self>, cmd: u32, arg: IoctlArg<'_>) -> Result<c_int> {
        match mroute::ctl::ioctl(so, cmd, &arg) {
            Some(done) => done,
            None => datagram::ioctl(so, cmd, arg),
        }
    }

    fn listen(_sock: &Socket<'_, Self>, _backlog: c_int) -> Result {
        Err(EOPNOTSUPP)
    }

    fn shutdown(sock: &Socket<'_, Self>, how: c_int) -> Result {
        datagram::shutdown(sock, how)
    }

    /// Mirrors [`raw_setsockopt`](srctree/net/ipv4/raw.c)
    fn setsockopt(so: &Sock<Self>, level: c_int, name: c_int, val: OptIn<'_>) -> Result {
        match level as u32 {
            bindings::SOL_IP if name as u32 == bindings::IP_HDRINCL => so.ip_setsockopt(name, &val),
            bindings::SOL_IP if mroute::ctl::is_option(name) => {
                mroute::ctl::setsockopt(so, name, &val)
            }
            bindings::SOL_IP => sockopt::set_ip_datagram(so, name, &val),
            SOL_RAW if name as u32 == ICMP_FILTER => {
                if u32::from(so.protocol()) != bindings::IPPROTO_ICMP {
                    return Err(EOPNOTSUPP);
                }
                so.shared()
                    .filter
                    .store(val.get::<c_int>()? as u32, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(ENOPROTOOPT),
        }
    }

    /// Mirrors [`raw_getsockopt`](srctree/net/ipv4/raw.c)
    fn getsockopt(so: &Sock<Self>, level: c_int, name: c_int, out: &mut OptOut<'_>) -> Result {
        match level as u32 {
            bindings::SOL_IP if name as u32 == bindings::IP_HDRINCL => {
                out.put_int(so.inet_flag(bindings::INET_FLAGS_HDRINCL).into())
            }
            bindings::SOL_IP if mroute::ctl::is_option(name) => {
                mroute::ctl::getsockopt(so, name, out)
            }
            bindings::SOL_IP => sockopt::get_ip_datagram(so, name, out, || datagram::mtu(so)),
            SOL_RAW if name as u32 == ICMP_FILTER => {
                if u32::from(so.protocol()) != bindings::IPPROTO_ICMP {
                    return Err(EOPNOTSUPP);
                }
                out.put_int(so.shared().filter.load(Ordering::Relaxed) as c_int)
            }
            _ => Err(ENOPROTOOPT),
        }
    }

    fn sendmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize) -> Result<usize> {
        raw_send::sendmsg(so, msg, len)
    }

    /// Mirrors [`raw_recvmsg`](srctree/net/ipv4/raw.c)
    fn recvmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize> {
        datagram::recvmsg(so, msg, len, flags)
    }

    fn splice_eof(_so: &Sock<Self>) {}
}
