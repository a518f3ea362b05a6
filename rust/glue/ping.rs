// SPDX-License-Identifier: GPL-2.0
//! Ping sockets: echo requests for everybody whose group `net.ipv4.ping_group_range` has.
//!
//! The identifier of the requests is the socket's port. Answers come the way of raw sockets' copies
//! ([`raw_input::deliver`](super::raw_input::deliver)): the host's ping sockets may have the same identifier.
//!
//! Mirrors [`ping.c`](srctree/net/ipv4/ping.c)

use super::{
    datagram,
    igmp,
    inet_sock::{
        self,
        error,
        Inet, //
    },
    net::State,
    ports::{
        Binding,
        PortTable, //
    },
    route::Route,
    sockopt::{
        self,
        Ipcm, //
    },
    tx, //
};
use crate::{
    abstractions::{
        ehash::Table,
        host_port::HostPort,
        iov::{
            OptIn,
            OptOut, //
        },
        minisock::Never,
        module_cell::ModuleCell,
        netns::Net,
        proto::{
            Proto,
            Protocol, //
        },
        skbuff::{
            SkBuff,
            Skb, //
        },
        sock::{
            flag,
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
    bindings,
    stack::{
        errno::Errno,
        icmp::{
            self,
            input::{
                Quoted,
                Redirect, //
            }, //
        },
        ip::{
            route::Kind,
            Header, //
        },
        socket::FourTuple,
        udp::lookup::{
            compute_score,
            Receiver, //
        },
        wire::{
            icmp::{
                Type,
                HEADER_LEN, //
            },
            ipv4::{
                self,
                Addr, //
            },
        },
    },
};
use core::mem::MaybeUninit;
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int,
    prelude::*, //
};

/// ICMP echo over IPv4.
pub(crate) struct Ping;

static PROTO: Proto<Ping> = Proto::new();
static TABLE: Table<Ping> = Table::new();
/// Who has which identifier.
pub(super) static IDENTS: ModuleCell<PortTable> = ModuleCell::new();

/// What the lock protects.
pub(crate) struct Private {
    binding: Option<Binding>,
    /// Never there: the host's ping sockets have identifiers of their own.
    reserved: Option<HostPort>,
}

impl Protocol for Ping {
    const NAME: &'static CStr = c"RUSTNET-PING";
    const TYPE: u16 = bindings::sock_type_SOCK_DGRAM as u16;
    const PROTOCOL: u16 = bindings::IPPROTO_ICMP as u16;

    /// Groups that it has joined in `replace`.
    type Shared = igmp::Groups;
    type Private = Private;
    type HalfOpen = Never;
    type TimeWait = Never;

    fn proto() -> &'static Proto<Self> {
        &PROTO
    }

    fn table() -> &'static Table<Self> {
        &TABLE
    }

    fn init_private<'a>(slot: &'a mut MaybeUninit<Private>, _net: &Net) -> &'a mut Private {
        slot.write(Private {
            binding: None,
            reserved: None,
        })
    }

    fn init(sk: &Sock<Self>) {
        // INET_PROTOSW_REUSE.
        sk.set_reuse(true);
        inet_sock::init_pmtudisc(sk);
        sk.assign_inet_flag(bindings::INET_FLAGS_MC_LOOP, true);
        sk.assign_inet_flag(bindings::INET_FLAGS_MC_ALL, true);
    }

    fn destruct(sk: &mut Locked<'_, Self>) {
        inet_sock::put_port(sk);
    }
}

impl Inet for Ping {
    fn ports() -> Option<&'static PortTable> {
        IDENTS.get()
    }

    fn binding(p: &mut Private) -> &mut Option<Binding> {
        &mut p.binding
    }

    fn reserved(p: &mut Private) -> &mut Option<HostPort> {
        &mut p.reserved
    }
}

/// Takes an identifier, any if it is 0, and makes the socket known.
///
/// Mirrors [`ping_get_port`](srctree/net/ipv4/ping.c)
fn get_port(lock: &mut UserLock<'_, Ping>, ident: u16) -> Result {
    inet_sock::get_port(lock, ident)?;
    datagram::hash(lock.sock());
    Ok(())
}

/// The socket whose identifier is `ident`, as seen from here.
///
/// Mirrors [`ping_lookup`](srctree/net/ipv4/ping.c)
fn lookup(
    state: &State,
    ident: u16,
    saddr: Addr,
    daddr: Addr,
    ifindex: u32,
) -> Option<SockRef<Ping>> {
    let hash = inet_sock::bound_hash(state.net, ident);
    let id = FourTuple {
        saddr,
        daddr,
        sport: ident,
        dport: 0,
    };
    TABLE.lookup_bound(hash, 0, |sk| {
        if sk.net_ptr() != state.net.as_ptr() {
            return None;
        }
        let sk = Receiver {
            rcv_saddr: Addr::from_u32(sk.rcv_saddr()),
            num: sk.num(),
            daddr: Addr::from_u32(sk.daddr()),
            dport: 0,
            bound_dev_if: sk.bound_dev_if(),
        };
        compute_score(&sk, id, ifindex as i32)
    })
}

/// The identifier in an echo request or its answer.
fn ident(bytes: &[u8]) -> Option<u16> {
    bytes
        .get(4..6)?
        .first_chunk()
        .map(|b| u16::from_be_bytes(*b))
}

/// An answer, whose data begin with the ICMP header. Softirq.
///
/// Mirrors [`ping_rcv`](srctree/net/ipv4/ping.c)
pub(super) fn rcv(state: &State, header: &Header, skb: Skb, ifindex: u32) {
    let found = ident(skb.linear())
        .and_then(|ident| lookup(state, ident, header.daddr, header.saddr, ifindex));
    let Some(so) = found else {
        return skb.consume();
    };
    datagram::queue_rcv(state, header, skb, &so, ifindex, HEADER_LEN as u32);
}

/// The router `old` knows a better gateway for an echo request of ours. Softirq.
pub(super) fn redirect(state: &State, r: &Redirect, old: Addr, ifindex: u32) {
    let ident = (r.seq >> 16) as u16;
    if let Some(so) = lookup(state, ident, r.id.saddr, r.id.daddr, ifindex) {
        datagram::redirect(state, r, old, &so);
    }
}

/// An ICMP message about an echo request of ours. Softirq.
///
/// Mirrors [`ping_err`](srctree/net/ipv4/ping.c)
pub(super) fn err(state: &State, quoted: &Quoted, message: &mut SkBuff, ifindex: u32) {
    // What would be ports are the request's type, code and checksum; then come identifier and number.
    let [kind, _] = quoted.id.sport.to_be_bytes();
    if Type(kind) != Type::ECHO {
        return;
    }
    let ident = (quoted.seq >> 16) as u16;
    let Some(so) = lookup(state, ident, quoted.id.saddr, quoted.id.daddr, ifindex) else {
        return;
    };
    let (mut errno, mut fatal) = (quoted.error.errno, quoted.error.fatal);
    if quoted.is_frag_needed() {
        datagram::update_pmtu(state, quoted, &so);
        if u32::from(so.pmtudisc()) == bindings::IP_PMTUDISC_DONT {
            return;
        }
        (errno, fatal) = (Errno::EMSGSIZE, true);
    }
    if so.inet_flag(bindings::INET_FLAGS_RECVERR) {
        let payload = HEADER_LEN.wrapping_add(usize::from(quoted.header_len));
        so.icmp_error(message, errno.get(), 0, quoted.mtu.into(), payload);
    } else if !fatal || so.state() != bindings::TCP_ESTABLISHED as u8 {
        return;
    }
    so.set_err(errno.get());
    so.error_report();
}

/// Completes the request that the user wrote: identifier and checksum.
///
/// # Errors
///
/// EINVAL for anything but an echo request; ENOBUFS.
///
/// Mirrors [`ping_common_sendmsg`](srctree/net/ipv4/ping.c)
fn complete(skb: &mut Skb, ident: u16) -> Result {
    let len = skb.len();
    let bytes = skb.writable(len).ok_or(ENOBUFS)?;
    match icmp::output::complete_echo(bytes, ident) {
        true => Ok(()),
        false => Err(EINVAL),
    }
}

impl igmp::Member for Ping {
    fn groups(shared: &igmp::Groups) -> &igmp::Groups {
        shared
    }
}

impl SocketOps for Ping {
    /// Mirrors [`ping_close`](srctree/net/ipv4/ping.c)
    fn release(so: SockRef<Self>) {
        {
            igmp::drop_socket(&so);
            let mut lock = UserLock::new(&so);
            datagram::unhash(&so);
            inet_sock::put_port(&mut lock);
        }
        crate::abstractions::sock_lock::orphan(&so);
    }

    /// Mirrors [`ping_bind`](srctree/net/ipv4/ping.c)
    fn bind(so: &Sock<Self>, addr: RawAddr<'_>) -> Result {
        let mut lock = UserLock::new(so);
        let (a, ident) = addr.inet()?;
        let family = addr.family()?;
        if !inet_sock::is_inet(family) && (u32::from(family) != bindings::AF_UNSPEC || a != 0) {
            return Err(EAFNOSUPPORT);
        }
        if so.num() != 0 {
            return Err(EINVAL);
        }
        let (heard, from) = datagram::bindable(so, a)?;
        so.set_rcv_saddr(heard);
        so.set_saddr(from);
        if let Err(e) = get_port(&mut lock, ident) {
            so.set_rcv_saddr(0);
            so.set_saddr(0);
            return Err(e);
        }
        let mut locks = so.userlocks();
        if a != 0 {
            locks |= bindings::SOCK_BINDADDR_LOCK as u8;
        }
        if ident != 0 {
            locks |= bindings::SOCK_BINDPORT_LOCK as u8;
        }
        so.set_userlocks(locks);
        Ok(())
    }

    /// Mirrors [`__ip4_datagram_connect`](srctree/net/ipv4/datagram.c)
    fn connect(sock: &Socket<'_, Self>, addr: RawAddr<'_>, _nonblock: bool) -> Result {
        let so = sock.sk();
        let mut lock = UserLock::new(so);
        if u32::from(addr.family()?) == bindings::AF_UNSPEC {
            datagram::disconnect(so);
            return Ok(());
        }
        autobind(&mut lock)?;
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
        datagram::ioctl(so, cmd, arg)
    }

    fn listen(_sock: &Socket<'_, Self>, _backlog: c_int) -> Result {
        Err(EOPNOTSUPP)
    }

    fn shutdown(sock: &Socket<'_, Self>, how: c_int) -> Result {
        datagram::shutdown(sock, how)
    }

    fn setsockopt(so: &Sock<Self>, level: c_int, name: c_int, val: OptIn<'_>) -> Result {
        match level as u32 {
            bindings::SOL_IP => sockopt::set_ip_datagram(so, name, &val),
            _ => Err(ENOPROTOOPT),
        }
    }

    fn getsockopt(so: &Sock<Self>, level: c_int, name: c_int, out: &mut OptOut<'_>) -> Result {
        match level as u32 {
            bindings::SOL_IP => sockopt::get_ip_datagram(so, name, out, || datagram::mtu(so)),
            _ => Err(EOPNOTSUPP),
        }
    }

    /// Mirrors [`ping_v4_sendmsg`](srctree/net/ipv4/ping.c)
    fn sendmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize) -> Result<usize> {
        if len > 0xffff {
            return Err(EMSGSIZE);
        }
        if len < HEADER_LEN {
            return Err(EINVAL);
        }
        let flags = msg.flags();
        // Linux, too, waits for no more: MSG_MORE changes nothing.
        if flags & bindings::MSG_OOB != 0 {
            return Err(EOPNOTSUPP);
        }
        let daddr = match datagram::destination(so, msg)? {
            Some((addr, _)) => addr,
            None => Addr::from_u32(so.daddr()),
        };
        let (mut mark, mut priority, mut ipc) = (so.mark(), so.priority(), Ipcm::default());
        if msg.has_control() {
            let cookie = msg.socket_control(so)?;
            (mark, priority) = (cookie.mark, cookie.priority);
            ipc = sockopt::cmsg_send(msg)?;
        }
        autobind(&mut UserLock::new(so))?;
        let state = State::of(so.net()).ok_or(ENETUNREACH)?;
        let dont_route = flags & bindings::MSG_DONTROUTE != 0;
        let route: Route = datagram::route(state, so, daddr, &ipc, mark, dont_route)?;
        if route.kind() == Kind::Broadcast && !so.flag(flag::BROADCAST) {
            return Err(EACCES);
        }
        let noblock = flags & bindings::MSG_DONTWAIT != 0;
        let mut skb = so.make_skb(&mut msg.iter(), len, noblock)?;
        complete(&mut skb, so.num())?;
        skb.reset_transport_header();
        skb.set_mark(mark);
        skb.set_priority(priority);
        let saddr = match ipc.saddr.unwrap_or(Addr::from_u32(so.saddr())) {
            Addr::ANY => route.saddr(),
            a => a,
        };
        let id = FourTuple {
            saddr,
            daddr: if daddr.is_any() { saddr } else { daddr },
            sport: 0,
            dport: 0,
        };
        let x = datagram::xmit(state, so, &route, &id, ipv4::Protocol::ICMP, &ipc, len)?;
        let mtu = route.sock_mtu(so.pmtudisc());
        let sent = tx::queue_xmit(state, &route, skb, &x, mtu, so.as_ptr(), inet_sock::now());
        match sent {
            Ok(()) => Ok(len),
            // Without IP_RECVERR a full queue is the network's way of losing packets.
            Err(Errno::ENOBUFS) if !so.inet_flag(bindings::INET_FLAGS_RECVERR) => Ok(len),
            Err(e) => Err(error(e)),
        }
    }

    /// Mirrors [`ping_recvmsg`](srctree/net/ipv4/ping.c)
    fn recvmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize> {
        datagram::recvmsg(so, msg, len, flags)
    }

    fn splice_eof(_so: &Sock<Self>) {}
}

/// An identifier for a socket that sends or connects without having asked for one.
fn autobind(lock: &mut UserLock<'_, Ping>) -> Result {
    if lock.num() == 0 {
        get_port(lock, 0).map_err(|_| EAGAIN)?;
    }
    Ok(())
}
