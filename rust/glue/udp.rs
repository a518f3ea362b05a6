// SPDX-License-Identifier: GPL-2.0
//! UDP sockets: from the socket layer to the packet and back.
//!
//! A datagram is made of the user's bytes without the socket's lock, which is then taken for the look-up
//! of its way. A received one goes into the socket's queue without any lock but the queue's.
//!
//! Mirrors [`udp.c`](srctree/net/ipv4/udp.c)

use super::{
    datagram,
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
    sockopt,
    tx, //
};
use crate::{
    abstractions::{
        dgram,
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
            Cookie,
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
        counters::Counter,
        ip::route::Kind,
        socket::FourTuple,
        udp,
        wire::{
            ipv4::{
                self,
                Addr, //
            },
            udp::HEADER_LEN, //
        },
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

/// UDP over IPv4.
pub(crate) struct Udp;

static PROTO: Proto<Udp> = Proto::new();
static TABLE: Table<Udp> = Table::new();
/// Who has which UDP port.
pub(super) static PORTS: ModuleCell<PortTable> = ModuleCell::new();

/// What the lock protects.
pub(crate) struct Private {
    binding: Option<Binding>,
    /// The host's port of the same number.
    reserved: Option<HostPort>,
    /// The way of the last datagram, and to whom it was sent.
    route: Option<Route>,
    daddr: Addr,
}

impl Protocol for Udp {
    const NAME: &'static CStr = c"RUSTNET-UDP";
    const TYPE: u16 = bindings::sock_type_SOCK_DGRAM as u16;
    const PROTOCOL: u16 = bindings::IPPROTO_UDP as u16;

    type Shared = ();
    type Private = Private;
    type HalfOpen = Never;
    type TimeWait = Never;

    fn proto() -> &'static Proto<Self> {
        &PROTO
    }

    fn table() -> &'static Table<Self> {
        &TABLE
    }

    fn new_private(_net: &Net) -> Private {
        Private {
            binding: None,
            reserved: None,
            route: None,
            daddr: Addr::ANY,
        }
    }

    fn init(sk: &Sock<Self>) {
        inet_sock::init_pmtudisc(sk);
        sk.assign_inet_flag(bindings::INET_FLAGS_MC_LOOP, true);
        sk.assign_inet_flag(bindings::INET_FLAGS_MC_ALL, true);
    }

    fn backlog_rcv(_sk: &mut Locked<'_, Self>, skb: Skb) {
        // Nothing is put there: datagrams go straight into the receive queue.
        drop(skb);
    }

    fn release_cb(_sk: &mut Locked<'_, Self>) {}

    fn on_timer(_sk: &mut Locked<'_, Self>) {}

    fn defer_timer(_sk: &Sock<Self>) {}

    fn write_space(_sk: &Sock<Self>) {}

    fn keepalive(_sk: &mut Locked<'_, Self>, _on: bool) {}

    fn destruct(sk: &mut Locked<'_, Self>) {
        inet_sock::put_port(sk);
    }
}

impl Inet for Udp {
    fn ports() -> Option<&'static PortTable> {
        PORTS.get()
    }

    fn binding(p: &mut Private) -> &mut Option<Binding> {
        &mut p.binding
    }

    fn reserved(p: &mut Private) -> &mut Option<HostPort> {
        &mut p.reserved
    }
}

/// Puts the socket where packets find it: by both ends if it is connected, by its own if not.
///
/// Mirrors [`udp_lib_rehash`](srctree/net/ipv4/udp.c)
fn hash(so: &Sock<Udp>) {
    let net = so.net();
    let done = if so.state() == bindings::TCP_ESTABLISHED as u8 {
        TABLE.insert(so, &inet_sock::name(net, &id(so)))
    } else {
        TABLE.insert_bound(so, inet_sock::bound_hash(net, so.num()))
    };
    if done {
        if let Some(state) = State::of(net) {
            state.add_user(so.num());
        }
    }
}

/// Takes it out again.
fn unhash(so: &Sock<Udp>) {
    if TABLE.remove(so) {
        if let Some(state) = State::of(so.net()) {
            state.remove_user(so.num());
        }
    }
}

/// Both ends of a connected socket.
#[inline]
pub(super) fn id(so: &Sock<Udp>) -> FourTuple {
    FourTuple {
        saddr: Addr::from_u32(so.rcv_saddr()),
        daddr: Addr::from_u32(so.daddr()),
        sport: so.num(),
        dport: so.dport(),
    }
}

/// Takes a port and makes the socket known.
fn get_port(lock: &mut UserLock<'_, Udp>, port: u16) -> Result {
    inet_sock::get_port(lock, port)?;
    hash(lock);
    Ok(())
}

/// A port for a socket that sends or connects without having asked for one.
///
/// Mirrors [`inet_autobind`](srctree/net/ipv4/af_inet.c)
fn autobind(lock: &mut UserLock<'_, Udp>) -> Result {
    if lock.num() == 0 {
        get_port(lock, 0).map_err(|_| EAGAIN)?;
    }
    Ok(())
}

/// Mirrors [`__udp_disconnect`](srctree/net/ipv4/udp.c)
fn disconnect(lock: &mut UserLock<'_, Udp>) {
    let so = lock.sock();
    unhash(so);
    so.set_state(bindings::TCP_CLOSE as u8);
    so.set_daddr(0);
    so.set_dport(0);
    if !inet_sock::addr_is_users(so) {
        so.set_rcv_saddr(0);
        so.set_saddr(0);
    }
    lock.private().route = None;
    if inet_sock::port_is_users(so) {
        hash(so);
    } else {
        inet_sock::put_port(lock);
    }
}

/// The way of a datagram to `daddr`: the last one's if it went there too.
fn route<'r>(state: &State, so: &Sock<Udp>, p: &'r mut Private, daddr: Addr) -> Result<&'r Route> {
    if p.daddr != daddr {
        p.route = None;
        p.daddr = daddr;
    }
    let found = inet_sock::route(state, &mut p.route, || {
        let mut flow = inet_sock::flow(so, daddr);
        // The address bound to may be one that nothing is sent from.
        flow.saddr = Addr::from_u32(so.saddr());
        flow
    });
    found.map_err(|e| {
        state.counts.event(Counter::IpOutNoRoutes);
        error(e)
    })
}

impl SocketOps for Udp {
    /// Mirrors [`udp_lib_close`](srctree/include/net/udp.h)
    fn release(so: SockRef<Self>) {
        {
            let mut lock = UserLock::new(&so);
            unhash(&so);
            inet_sock::put_port(&mut lock);
            let p = lock.private();
            p.route = None;
            p.reserved = None;
        }
        crate::abstractions::sock_lock::orphan(&so);
    }

    fn bind(so: &Sock<Self>, addr: RawAddr<'_>) -> Result {
        let mut lock = UserLock::new(so);
        inet_sock::bind(&mut lock, &addr, get_port)?;
        lock.private().route = None;
        Ok(())
    }

    /// Mirrors [`__ip4_datagram_connect`](srctree/net/ipv4/datagram.c)
    fn connect(sock: &Socket<'_, Self>, addr: RawAddr<'_>, _nonblock: bool) -> Result {
        let so = sock.sk();
        let mut lock = UserLock::new(so);
        if u32::from(addr.family()?) == bindings::AF_UNSPEC {
            disconnect(&mut lock);
            return Ok(());
        }
        autobind(&mut lock)?;
        let (daddr, dport) = inet_sock::peer(&addr)?;
        let state = State::of(so.net()).ok_or(ENETUNREACH)?;
        lock.private().route = None;
        let way = route(state, so, lock.private(), daddr)?;
        if way.kind() == Kind::Broadcast && !so.flag(flag::BROADCAST) {
            return Err(EACCES);
        }
        let saddr = way.saddr().to_u32();
        // Nowhere is here: the loopback address.
        let daddr = if daddr.is_any() { way.saddr() } else { daddr };
        unhash(so);
        if so.saddr() == 0 {
            so.set_saddr(saddr);
        }
        if so.rcv_saddr() == 0 {
            so.set_rcv_saddr(saddr);
        }
        so.set_daddr(daddr.to_u32());
        so.set_dport(dport);
        so.set_state(bindings::TCP_ESTABLISHED as u8);
        hash(so);
        Ok(())
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
            bindings::SOL_IP => {
                sockopt::set_ip(so, name, &val)?;
                let mut lock = UserLock::new(so);
                lock.private().route = None;
                Ok(())
            }
            _ => Err(ENOPROTOOPT),
        }
    }

    fn getsockopt(so: &Sock<Self>, level: c_int, name: c_int, out: &mut OptOut<'_>) -> Result {
        match level as u32 {
            bindings::SOL_IP => {
                let mtu = || {
                    let mut lock = UserLock::new(so);
                    let state = State::of(so.net())?;
                    if so.state() != bindings::TCP_ESTABLISHED as u8 {
                        return None;
                    }
                    // Anew if something was learned since the last datagram.
                    let daddr = Addr::from_u32(so.daddr());
                    route(state, so, lock.private(), daddr).ok().map(Route::mtu)
                };
                sockopt::get_ip(so, name, out, mtu)
            }
            // As the host: reading is not supported, writing has no such option.
            _ => Err(EOPNOTSUPP),
        }
    }

    /// Mirrors [`udp_sendmsg`](srctree/net/ipv4/udp.c)
    fn sendmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize) -> Result<usize> {
        if len > 0xffff {
            return Err(EMSGSIZE);
        }
        let flags = msg.flags();
        if flags & (bindings::MSG_OOB | bindings::MSG_MORE) != 0 {
            return Err(EOPNOTSUPP);
        }
        let to = datagram::destination(so, msg)?;
        if to.is_some_and(|(_, port)| port == 0) {
            return Err(EINVAL);
        }
        if len > udp::output::MAX_DATA {
            return Err(EMSGSIZE);
        }
        let mut cookie = Cookie {
            mark: so.mark(),
            priority: so.priority(),
            transmit_time: 0,
            tsflags: 0,
        };
        let mut tos_ttl = (None, None);
        if msg.has_control() {
            cookie = msg.socket_control(so)?;
            tos_ttl = sockopt::control(msg)?;
        }
        let noblock = flags & bindings::MSG_DONTWAIT != 0;
        let mut skb = so.make_skb(&mut msg.iter(), len, noblock)?;
        let state = State::of(so.net()).ok_or(ENETUNREACH)?;
        let mut lock = UserLock::new(so);
        autobind(&mut lock)?;
        let (daddr, dport) = to.unwrap_or((Addr::from_u32(so.daddr()), so.dport()));
        let way = route(state, so, lock.private(), daddr)?;
        if way.kind() == Kind::Broadcast && !so.flag(flag::BROADCAST) {
            return Err(EACCES);
        }
        let saddr = match so.saddr() {
            0 => way.saddr(),
            a => Addr::from_u32(a),
        };
        let id = FourTuple {
            saddr,
            daddr: if daddr.is_any() { saddr } else { daddr },
            sport: so.num(),
            dport,
        };
        let mut x = inet_sock::xmit(so, &id, ipv4::Protocol::UDP, way);
        let mode = u32::from(so.pmtudisc());
        let mtu = way.sock_mtu(so.pmtudisc());
        if len as u32 > mtu.saturating_sub(28) {
            if !inet_sock::ignores_df(mode) {
                return Err(EMSGSIZE);
            }
            x.dont_fragment = false;
        }
        // Probes have it whatever is known of the path.
        x.dont_fragment |= mode == bindings::IP_PMTUDISC_PROBE;
        udp::output::send_skb(&mut skb, id, true).map_err(error)?;
        skb.set_mark(cookie.mark);
        skb.set_priority(cookie.priority);
        if cookie.transmit_time != 0 {
            dgram::set_delivery_time(so, &mut skb, cookie.transmit_time);
        }
        if id.daddr.is_multicast() {
            x.ttl = so.mc_ttl();
        }
        x.tos = tos_ttl.0.unwrap_or(x.tos);
        x.ttl = tos_ttl.1.unwrap_or(x.ttl);
        x.id = if x.dont_fragment { 0 } else { so.next_ip_id(1) };
        let sent = tx::queue_xmit(state, way, skb, &x, mtu, so.as_ptr(), inet_sock::now());
        match sent {
            Ok(()) => state.counts.event(Counter::UdpOutDatagrams),
            // Without IP_RECVERR a full queue is the network's way of losing packets.
            Err(crate::stack::errno::Errno::ENOBUFS) => {
                state.counts.event(Counter::UdpSndbufErrors);
            }
            Err(e) => return Err(error(e)),
        }
        Ok(len)
    }

    /// Mirrors [`udp_recvmsg`](srctree/net/ipv4/udp.c)
    fn recvmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize> {
        if flags & bindings::MSG_ERRQUEUE != 0 {
            // Nothing is ever put there.
            return Err(EAGAIN);
        }
        let got = so.recv_datagram(flags, |skb, off| {
            let ulen = skb.len();
            let copied = ulen.saturating_sub(off).min(len);
            if copied < ulen {
                msg.add_flags(bindings::MSG_TRUNC);
            }
            msg.iter().copy_datagram(skb, off, copied)?;
            let (addr, port) = source(skb).unwrap_or_default();
            msg.set_name(addr.to_u32(), port);
            msg.recv_control(so, skb, HEADER_LEN);
            so.move_peek_off(flags, copied);
            Ok(if flags & bindings::MSG_TRUNC != 0 {
                ulen
            } else {
                copied
            })
        })?;
        if got.is_some() && flags & bindings::MSG_PEEK == 0 {
            if let Some(state) = State::of(so.net()) {
                state.counts.event(Counter::UdpInDatagrams);
            }
        }
        Ok(got.unwrap_or(0))
    }

    fn splice_eof(_so: &Sock<Self>) {}
}

/// Who sent a received datagram: its headers still lie in front of the data.
#[inline]
fn source(skb: &SkBuff) -> Option<(Addr, u16)> {
    let saddr = skb.network_header().get(12..16)?.first_chunk::<4>()?;
    let port = skb.transport_header().first_chunk::<2>()?;
    Some((Addr::from_octets(*saddr), u16::from_be_bytes(*port)))
}
