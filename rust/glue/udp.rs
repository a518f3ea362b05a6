// SPDX-License-Identifier: GPL-2.0
//! UDP sockets: from the socket layer to the packet and back.
//!
//! A received datagram goes into the socket's queue without any lock but the queue's. [`udp_send`] tells how
//! one is sent.
//!
//! Mirrors [`udp.c`](srctree/net/ipv4/udp.c)

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
    udp_send, //
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
        skbuff::SkBuff,
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
        counters::Counter,
        ip::route::Kind,
        socket::FourTuple,
        wire::{
            ipv4::Addr,
            udp::HEADER_LEN, //
        },
    },
};
use core::{
    mem::MaybeUninit,
    sync::atomic::{
        AtomicBool,
        AtomicU16,
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
    /// Messages that wait for more.
    pub(super) cork: Option<KBox<udp_send::Cork>>,
}

/// What may be read without the lock.
#[derive(Default)]
pub(crate) struct Shared {
    /// UDP_CORK.
    pub(super) corks: AtomicBool,
    /// Whether there is a [`udp_send::Cork`].
    pub(super) pending: AtomicBool,
    /// UDP_SEGMENT: bytes of each of the datagrams that a message is cut into; 0 for one.
    pub(super) gso_size: AtomicU16,
    /// UDP_GRO: datagrams that came as one packet are received as one message.
    pub(super) gro: AtomicBool,
    /// Groups that it has joined in `replace`.
    groups: igmp::Groups,
}

impl Protocol for Udp {
    const NAME: &'static CStr = c"RUSTNET-UDP";
    const TYPE: u16 = bindings::sock_type_SOCK_DGRAM as u16;
    const PROTOCOL: u16 = bindings::IPPROTO_UDP as u16;

    type Shared = Shared;
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
            route: None,
            daddr: Addr::ANY,
            cork: None,
        })
    }

    fn init(sk: &Sock<Self>) {
        inet_sock::init_pmtudisc(sk);
        sk.assign_inet_flag(bindings::INET_FLAGS_MC_LOOP, true);
        sk.assign_inet_flag(bindings::INET_FLAGS_MC_ALL, true);
    }

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
pub(super) fn autobind(lock: &mut UserLock<'_, Udp>) -> Result {
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
        so.set_num(0);
    }
}

/// The way of a datagram to `daddr`: the last one's if it went there too.
pub(super) fn route<'r>(
    state: &State,
    so: &Sock<Udp>,
    p: &'r mut Private,
    daddr: Addr,
) -> Result<&'r Route> {
    if p.daddr != daddr {
        p.route = None;
        p.daddr = daddr;
    }
    let found = inet_sock::route(state, &mut p.route, || {
        datagram::flow(state, so, daddr, &Ipcm::default())
    });
    found.map_err(|e| {
        state.counts.event(Counter::IpOutNoRoutes);
        error(e)
    })
}

impl igmp::Member for Udp {
    fn groups(shared: &Shared) -> &igmp::Groups {
        &shared.groups
    }
}

impl SocketOps for Udp {
    /// Mirrors [`udp_lib_close`](srctree/include/net/udp.h)
    fn release(so: SockRef<Self>) {
        {
            igmp::drop_socket(&so);
            let mut lock = UserLock::new(&so);
            udp_send::flush_pending(&mut lock);
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

    /// Mirrors [`udp_setsockopt`](srctree/net/ipv4/udp.c)
    fn setsockopt(so: &Sock<Self>, level: c_int, name: c_int, val: OptIn<'_>) -> Result {
        match level as u32 {
            bindings::SOL_IP => {
                sockopt::set_ip_datagram(so, name, &val)?;
                let mut lock = UserLock::new(so);
                lock.private().route = None;
                Ok(())
            }
            bindings::SOL_UDP => set_udp(so, name as u32, &val),
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
                sockopt::get_ip_datagram(so, name, out, mtu)
            }
            bindings::SOL_UDP => get_udp(so, name as u32, out),
            // As the host: reading is not supported, writing has no such option.
            _ => Err(EOPNOTSUPP),
        }
    }

    fn sendmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize) -> Result<usize> {
        udp_send::sendmsg(so, msg, len)
    }

    /// Mirrors [`udp_recvmsg`](srctree/net/ipv4/udp.c)
    fn recvmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize> {
        if flags & bindings::MSG_ERRQUEUE != 0 {
            return msg.recv_error(so, len);
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
            if skb.is_gso_udp_l4() && so.shared().gro.load(Ordering::Relaxed) {
                let size = c_int::from(skb.gso_size()).to_ne_bytes();
                msg.put_cmsg(bindings::SOL_UDP, bindings::UDP_GRO, &size);
            }
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

    /// Mirrors [`udp_splice_eof`](srctree/net/ipv4/udp.c)
    fn splice_eof(so: &Sock<Self>) {
        let shared = so.shared();
        if shared.pending.load(Ordering::Relaxed) && !shared.corks.load(Ordering::Relaxed) {
            // Nobody is there to hear of an error.
            let _ = udp_send::push_pending(&mut UserLock::new(so));
        }
    }
}

/// setsockopt(2) of level SOL_UDP.
///
/// # Errors
///
/// EINVAL, EFAULT; ENOPROTOOPT for what RustNet does not do; those of sending when UDP_CORK is taken back.
///
/// Mirrors [`udp_lib_setsockopt`](srctree/net/ipv4/udp.c)
fn set_udp(so: &Sock<Udp>, name: u32, val: &OptIn<'_>) -> Result {
    let value = val.get::<c_int>()?;
    let shared = so.shared();
    match name {
        bindings::UDP_CORK => {
            shared.corks.store(value != 0, Ordering::Relaxed);
            if value == 0 {
                // As on AF_INET nobody hears of an error.
                let _ = udp_send::push_pending(&mut UserLock::new(so));
            }
        }
        bindings::UDP_SEGMENT => {
            let size = u16::try_from(value).map_err(|_| EINVAL)?;
            shared.gso_size.store(size, Ordering::Relaxed);
        }
        bindings::UDP_GRO => shared.gro.store(value != 0, Ordering::Relaxed),
        _ => return Err(ENOPROTOOPT),
    }
    Ok(())
}

/// getsockopt(2) of level SOL_UDP.
///
/// # Errors
///
/// ENOPROTOOPT; EINVAL, EFAULT.
///
/// Mirrors [`udp_lib_getsockopt`](srctree/net/ipv4/udp.c)
fn get_udp(so: &Sock<Udp>, name: u32, out: &mut OptOut<'_>) -> Result {
    let shared = so.shared();
    out.put_int(match name {
        bindings::UDP_CORK => shared.corks.load(Ordering::Relaxed).into(),
        bindings::UDP_SEGMENT => shared.gso_size.load(Ordering::Relaxed).into(),
        bindings::UDP_GRO => shared.gro.load(Ordering::Relaxed).into(),
        _ => return Err(ENOPROTOOPT),
    })
}

/// Who sent a received datagram: its headers still lie in front of the data.
#[inline]
fn source(skb: &SkBuff) -> Option<(Addr, u16)> {
    let saddr = skb.network_header().get(12..16)?.first_chunk::<4>()?;
    let port = skb.transport_header().first_chunk::<2>()?;
    Some((Addr::from_octets(*saddr), u16::from_be_bytes(*port)))
}
