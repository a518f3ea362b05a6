// SPDX-License-Identifier: GPL-2.0
//! Raw sockets: packets of one IP protocol, header and all.
//!
//! A raw socket gets a copy of what is for others, too. In `coexist` it is made where packets are claimed,
//! in `replace` where they are delivered. [`ping`] sockets get theirs on the way.
//!
//! Mirrors [`raw.c`](srctree/net/ipv4/raw.c)

use super::{
    cork::Gathered,
    datagram,
    igmp,
    inet_sock::{
        self,
        error, //
    },
    mroute,
    net::State,
    ping,
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
            self,
            output::Xmit,
            route::Kind,
            Header, //
        },
        socket::FourTuple,
        wire::{
            self,
            ipv4::{
                self,
                Addr, //
            },
        },
    },
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

/// Sockets that are looked for at a time.
const BATCH: usize = 16;

/// Raw IPv4.
pub(crate) struct Raw;

static PROTO: Proto<Raw> = Proto::new();
static TABLE: Table<Raw> = Table::new();

/// What may be read without the lock.
#[derive(Default)]
pub(crate) struct Shared {
    /// Types of ICMP that the user does not want, a bit for each.
    filter: AtomicU32,
    /// Whether there is a [`Cork`].
    pending: AtomicBool,
    /// Groups that it has joined in `replace`.
    groups: igmp::Groups,
}

/// Where a message goes, and as what.
struct Head {
    route: Route,
    daddr: Addr,
    ipc: Ipcm,
    mark: u32,
    priority: u32,
}

/// Messages that will be one packet, which goes where the first of them was to go.
pub(crate) struct Cork {
    bytes: Gathered,
    head: Head,
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

/// Gives a copy of a packet, whose data begin with the IP header, to every raw socket that wants it. Says
/// whether there was one. Softirq.
///
/// Mirrors [`raw_v4_input`](srctree/net/ipv4/raw.c)
pub(super) fn deliver(state: &State, header: &Header, skb: &Skb, ifindex: u32) -> bool {
    let protocol = u16::from(header.protocol.0);
    let hash = inet_sock::bound_hash(state.net, protocol);
    let (saddr, daddr) = (header.saddr.to_u32(), header.daddr.to_u32());
    let wants = |sk: &Sock<Raw>| {
        sk.net_ptr() == state.net.as_ptr()
            && sk.num() == protocol
            && (sk.daddr() == 0 || sk.daddr() == saddr)
            && (sk.rcv_saddr() == 0 || sk.rcv_saddr() == daddr)
            && (sk.bound_dev_if() == 0 || sk.bound_dev_if() == ifindex as i32)
            && igmp::sf_allow(sk, header.daddr, header.saddr, ifindex)
    };
    let mut heard = 0usize;
    loop {
        let mut some = [const { None }; BATCH];
        let n = TABLE.some_bound(hash, heard, &mut some, wants);
        for so in some.iter().flatten() {
            if header.protocol == ipv4::Protocol::ICMP && is_filtered(so, header, skb) {
                continue;
            }
            match skb.dup() {
                Some(copy) => datagram::queue_rcv(state, header, copy, so, ifindex, 1),
                None => so.count_drop(),
            }
        }
        heard = heard.wrapping_add(n);
        if n < BATCH {
            break;
        }
    }
    if header.protocol == ipv4::Protocol::ICMP {
        icmp_rcv(state, header, skb, ifindex);
    }
    heard != 0
}

/// An ICMP message, whose data begin with the IP header, may be an answer for a ping socket, or about a packet
/// of one or of a raw socket.
///
/// Mirrors [`raw_icmp_error`](srctree/net/ipv4/raw.c)
fn icmp_rcv(state: &State, header: &Header, skb: &Skb, ifindex: u32) {
    let Some(mut message) = skb.dup() else {
        return;
    };
    ip::input::deliver_finish(&mut message, header);
    let to_many = state.addr_type(header.daddr) != Kind::Local;
    // Whoever it is for in the end counts it.
    let found = icmp::input::rcv(&mut message, state.net.sysctl(), to_many, |_| ());
    if let Ok(icmp::input::Message::EchoReply) = found {
        return ping::rcv(state, header, message, ifindex);
    }
    if let Ok(icmp::input::Message::Redirect(r)) = found {
        redirect(state, &r, header.saddr, ifindex);
    }
    if let Ok(icmp::input::Message::Error(quoted)) = found {
        let protocol = u16::from(quoted.protocol.0);
        let hash = inet_sock::bound_hash(state.net, protocol);
        let wants = sender(state, protocol, &quoted.id, ifindex);
        let mut told = 0usize;
        if quoted.protocol == ipv4::Protocol::ICMP {
            ping::err(state, &quoted, &mut message, ifindex);
        }
        loop {
            let mut some = [const { None }; BATCH];
            let n = TABLE.some_bound(hash, told, &mut some, &wants);
            for so in some.iter().flatten() {
                err(state, &quoted, so, &mut message);
            }
            told = told.wrapping_add(n);
            if n < BATCH {
                break;
            }
        }
    }
    message.consume();
}

/// Whether a socket may have sent a packet of this flow that an ICMP message quotes.
fn sender<'a>(
    state: &'a State,
    protocol: u16,
    id: &FourTuple,
    ifindex: u32,
) -> impl Fn(&Sock<Raw>) -> bool + 'a {
    let (saddr, daddr) = (id.saddr.to_u32(), id.daddr.to_u32());
    move |sk| {
        sk.net_ptr() == state.net.as_ptr()
            && sk.num() == protocol
            && (sk.daddr() == 0 || sk.daddr() == daddr)
            && (sk.rcv_saddr() == 0 || sk.rcv_saddr() == saddr)
            && (sk.bound_dev_if() == 0 || sk.bound_dev_if() == ifindex as i32)
    }
}

/// The router `old` knows a better gateway for a packet that a raw or a ping socket may have sent.
#[cold]
fn redirect(state: &State, r: &Redirect, old: Addr, ifindex: u32) {
    if r.protocol == ipv4::Protocol::ICMP {
        ping::redirect(state, r, old, ifindex);
    }
    let protocol = u16::from(r.protocol.0);
    let hash = inet_sock::bound_hash(state.net, protocol);
    let mut some = [const { None }; BATCH];
    TABLE.some_bound(hash, 0, &mut some, sender(state, protocol, &r.id, ifindex));
    // What is learned of a way holds for all who take it: those of the first batch speak for the others.
    for so in some.iter().flatten() {
        datagram::redirect(state, r, old, so);
    }
}

/// An ICMP message about a packet of the socket's.
///
/// Mirrors [`raw_err`](srctree/net/ipv4/raw.c)
fn err(state: &State, quoted: &Quoted, so: &Sock<Raw>, message: &mut SkBuff) {
    let (mut errno, mut fatal) = (quoted.error.errno, quoted.error.fatal);
    if quoted.is_frag_needed() {
        datagram::update_pmtu(state, quoted, so);
        fatal = u32::from(so.pmtudisc()) != bindings::IP_PMTUDISC_DONT;
        errno = Errno::EMSGSIZE;
    }
    let recverr = so.inet_flag(bindings::INET_FLAGS_RECVERR);
    if !recverr && (!fatal || so.state() != bindings::TCP_ESTABLISHED as u8) {
        return;
    }
    if recverr {
        // Who writes the IP header reads it, too.
        let own = so.inet_flag(bindings::INET_FLAGS_HDRINCL);
        let header_len = if own {
            0
        } else {
            usize::from(quoted.header_len)
        };
        let payload = wire::icmp::HEADER_LEN.wrapping_add(header_len);
        so.icmp_error(message, errno.get(), 0, quoted.mtu.into(), payload);
    }
    so.set_err(errno.get());
    so.error_report();
}

/// Mirrors [`icmp_filter`](srctree/net/ipv4/raw.c)
fn is_filtered(so: &Sock<Raw>, header: &Header, skb: &Skb) -> bool {
    match skb.linear().get(usize::from(header.header_len)) {
        Some(t @ 0..=31) => so.shared().filter.load(Ordering::Relaxed) & 1 << t != 0,
        Some(_) => false,
        None => true,
    }
}

/// Sends a packet whose header the user wrote.
///
/// Mirrors [`raw_send_hdrinc`](srctree/net/ipv4/raw.c)
fn send_hdrinc(
    state: &State,
    so: &Sock<Raw>,
    route: &Route,
    daddr: Addr,
    msg: &mut Msg<'_>,
    len: usize,
) -> Result<Skb> {
    let most = route.sock_mtu(bindings::IP_PMTUDISC_INTERFACE as u8);
    if len > most as usize {
        so.local_error(Errno::EMSGSIZE.get(), daddr.to_u32(), so.dport(), most);
        return Err(EMSGSIZE);
    }
    let noblock = msg.flags() & bindings::MSG_DONTWAIT != 0;
    let mut skb = so.make_skb(&mut msg.iter(), len, noblock)?;
    let x = Xmit {
        saddr: route.saddr(),
        daddr: Addr::ANY,
        protocol: ipv4::Protocol(so.protocol() as u8),
        tos: 0,
        ttl: 0,
        dont_fragment: false,
        id: 0,
    };
    let id = state.idents.select(&x, 1);
    ip::output::complete(&mut skb, route.saddr(), id).map_err(|_| EINVAL)?;
    Ok(skb)
}

impl Head {
    /// What filters and queueing disciplines see of the packet.
    fn mark(&self, mut skb: Skb) -> Skb {
        skb.set_mark(self.mark);
        skb.set_priority(self.priority);
        skb
    }
}

/// Sends the user's bytes behind an IP header of ours.
///
/// Mirrors [`ip_push_pending_frames`](srctree/net/ipv4/ip_output.c)
fn push(state: &State, so: &Sock<Raw>, head: &Head, skb: Skb) -> Result {
    let mut skb = head.mark(skb);
    skb.reset_transport_header();
    let (route, ipc) = (&head.route, &head.ipc);
    let saddr = match ipc.saddr.unwrap_or(Addr::from_u32(so.saddr())) {
        Addr::ANY => route.saddr(),
        a => a,
    };
    let id = FourTuple {
        saddr,
        daddr: match head.daddr {
            Addr::ANY => saddr,
            a => a,
        },
        sport: 0,
        dport: 0,
    };
    let protocol = ipv4::Protocol(so.protocol() as u8);
    let x = datagram::xmit(state, so, route, &id, protocol, ipc, skb.len())?;
    let (now, mtu) = (inet_sock::now(), route.sock_mtu(so.pmtudisc()));
    sent(
        so,
        tx::queue_xmit(state, route, skb, &x, mtu, so.as_ptr(), now),
    )
}

/// What the user hears of it: without IP_RECVERR a full queue is the network's way of losing packets.
fn sent(so: &Sock<Raw>, result: Result<(), Errno>) -> Result {
    match result {
        Err(Errno::ENOBUFS) if !so.inet_flag(bindings::INET_FLAGS_RECVERR) => Ok(()),
        other => other.map_err(error),
    }
}

/// Puts a message behind those that wait to be a packet, and sends them unless there is `more` to come. Where they
/// go was said with the first.
#[cold]
fn gather(
    state: &State,
    so: &Sock<Raw>,
    head: Head,
    msg: &mut Msg<'_>,
    len: usize,
    more: bool,
) -> Result<usize> {
    let mut lock = UserLock::new(so);
    let waiting = lock.private().take();
    so.shared().pending.store(false, Ordering::Relaxed);
    let mut cork = match waiting {
        Some(cork) => cork,
        None => KBox::new(
            Cork {
                bytes: Gathered::new(),
                head,
            },
            GFP_KERNEL,
        )?,
    };
    let mtu = cork.head.route.sock_mtu(so.pmtudisc());
    let most = match inet_sock::ignores_df(so.pmtudisc().into()) {
        true => ipv4::MAX_LEN,
        false => mtu as usize,
    };
    if cork.bytes.len().saturating_add(len) > most.saturating_sub(ipv4::HEADER_LEN) {
        let daddr = cork.head.daddr.to_u32();
        so.local_error(Errno::EMSGSIZE.get(), daddr, so.dport(), mtu);
        return Err(EMSGSIZE);
    }
    cork.bytes.append(so, msg, len)?;
    if more {
        *lock.private() = Some(cork);
        so.shared().pending.store(true, Ordering::Relaxed);
        return Ok(len);
    }
    let Cork { bytes, head } = KBox::into_inner(cork);
    if let Some(skb) = bytes.join(false)? {
        push(state, so, &head, skb)?;
    }
    Ok(len)
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

    /// Mirrors [`raw_sendmsg`](srctree/net/ipv4/raw.c)
    fn sendmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize) -> Result<usize> {
        if len > 0xffff {
            return Err(EMSGSIZE);
        }
        let flags = msg.flags();
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
        let state = State::of(so.net()).ok_or(ENETUNREACH)?;
        let dont_route = flags & bindings::MSG_DONTROUTE != 0;
        let route = datagram::route(state, so, daddr, &ipc, mark, dont_route)?;
        if route.kind() == Kind::Broadcast && !so.flag(flag::BROADCAST) {
            return Err(EACCES);
        }
        let head = Head {
            route,
            daddr,
            ipc,
            mark,
            priority,
        };
        if so.inet_flag(bindings::INET_FLAGS_HDRINCL) {
            let skb = send_hdrinc(state, so, &head.route, daddr, msg, len)?;
            let (now, mtu) = (inet_sock::now(), head.route.sock_mtu(so.pmtudisc()));
            let skb = head.mark(skb);
            sent(
                so,
                tx::local_out(state, &head.route, skb, mtu, so.as_ptr(), now),
            )?;
            return Ok(len);
        }
        let more = flags & bindings::MSG_MORE != 0;
        if more || so.shared().pending.load(Ordering::Relaxed) {
            return gather(state, so, head, msg, len, more);
        }
        let noblock = flags & bindings::MSG_DONTWAIT != 0;
        let skb = so.make_skb(&mut msg.iter(), len, noblock)?;
        push(state, so, &head, skb)?;
        Ok(len)
    }

    /// Mirrors [`raw_recvmsg`](srctree/net/ipv4/raw.c)
    fn recvmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize> {
        datagram::recvmsg(so, msg, len, flags)
    }

    fn splice_eof(_so: &Sock<Self>) {}
}
