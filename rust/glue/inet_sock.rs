// SPDX-License-Identifier: GPL-2.0
//! What the transports' sockets have in common: names, ports, addresses, the way of their packets.
//!
//! Mirrors [`af_inet.c`](srctree/net/ipv4/af_inet.c), [`inet_hashtables.c`](srctree/net/ipv4/inet_hashtables.c)

use super::{
    net::{
        Mode,
        State, //
    },
    ports::{
        Binding,
        PortTable, //
    },
    route::Route,
};
use crate::{
    abstractions::{
        ehash::Key,
        host_port::HostPort,
        inet::{
            now_ns,
            AddrType, //
        },
        module_cell::{
            Guard,
            ModuleCell, //
        },
        netns::Net,
        proto::{
            self,
            Protocol, //
        },
        sock::{
            flag,
            Sk, //
        },
        sock_lock::{
            Locked,
            UserLock, //
        },
        socket::RawAddr, //
    },
    bindings,
    stack::{
        errno::Errno,
        ip::{
            output::Xmit,
            route::{
                Flow,
                Scope,
                LOOPBACK_IFINDEX, //
            },
        },
        socket::{
            key::jhash_3words,
            ports::{
                Bound,
                PortRange, //
            },
            secure_seq::PortSelector,
            siphash,
            FourTuple, //
        },
        tcp::cookie,
        time::Instant,
        wire::ipv4::{
            self,
            Addr, //
        },
    },
};
use kernel::{
    error::{
        code::*,
        Error,
        Result, //
    },
    ffi::c_int, //
};

/// Secrets that the module draws when it is loaded.
pub(super) struct Secrets {
    /// For the chains of the look-up tables.
    pub(super) hash: u32,
    /// For initial sequence numbers.
    pub(super) isn: siphash::Key,
    /// SYN cookies.
    pub(super) cookie: cookie::Secret,
    /// For the ports of active opens.
    pub(super) ports: PortSelector,
}

static SECRETS: ModuleCell<Secrets> = ModuleCell::new();

/// Draws the secrets. From the module's init.
pub(super) fn draw_secrets() -> Result<Guard<Secrets>> {
    let word = || {
        let (a, b) = (
            crate::abstractions::inet::random_u32(),
            crate::abstractions::inet::random_u32(),
        );
        u64::from(a) << 32 | u64::from(b)
    };
    SECRETS.set(Secrets {
        hash: crate::abstractions::inet::random_u32(),
        isn: siphash::Key([word(), word()]),
        cookie: cookie::Secret([
            siphash::Key([word(), word()]),
            siphash::Key([word(), word()]),
        ]),
        // Linux's INET_TABLE_PERTURB_ORDER on machines like ours: 2^16 counters are enough that nobody
        // learns one destination's from another's.
        ports: PortSelector::try_new(16, siphash::Key([word(), word()])).map_err(|_| ENOMEM)?,
    })
}

/// The secrets; sockets exist only while there are some.
#[inline]
pub(super) fn secrets() -> Option<&'static Secrets> {
    SECRETS.get()
}

/// The name of a flow in the look-up tables.
#[inline]
pub(super) fn name(net: &Net, id: &FourTuple) -> Key {
    let secret = SECRETS.get().map_or(0, |s| s.hash);
    Key::new(
        net.as_ptr(),
        id.saddr.to_u32(),
        id.daddr.to_u32(),
        id.sport,
        id.dport,
        id.hash(net.hash_mix(), secret),
    )
}

/// The chain of the sockets that have the local port `port`.
#[inline]
pub(super) fn bound_hash(net: &Net, port: u16) -> u32 {
    jhash_3words(net.hash_mix(), u32::from(port), 0, 0)
}

/// The time, once for each entry into the stack.
#[inline]
pub(super) fn now() -> Instant {
    Instant::from_nanos(now_ns())
}

/// Errors of the stack as the kernel's.
#[inline]
pub(super) fn error(e: Errno) -> Error {
    Error::from_errno(-e.get())
}

/// A protocol whose sockets bind to ports.
pub(super) trait Inet: Protocol {
    /// The protocol's ports.
    fn ports() -> Option<&'static PortTable>;

    /// Where a socket keeps its port.
    fn binding(p: &mut Self::Private) -> &mut Option<Binding>;

    /// Where a socket keeps the host's port, if its user chose one: given back in process context, when the
    /// socket is closed.
    fn reserved(p: &mut Self::Private) -> &mut Option<HostPort>;
}

/// Whether an address family is one that we take: AF_INET, as programs write it without thinking, or our own.
pub(super) fn is_inet(family: u16) -> bool {
    u32::from(family) == bindings::AF_INET || c_int::from(family) == proto::family()
}

/// The address to connect or send to.
///
/// # Errors
///
/// EINVAL when it is too short, EAFNOSUPPORT when it is of another family.
pub(super) fn peer(addr: &RawAddr<'_>) -> Result<(Addr, u16)> {
    let (a, port) = addr.inet()?;
    if !is_inet(addr.family()?) {
        return Err(EAFNOSUPPORT);
    }
    Ok((Addr::from_u32(a), port))
}

/// What others who want the socket's port must know of it.
pub(super) fn bound_of(sk: &Sk, listening: bool) -> Bound {
    Bound {
        rcv_saddr: Addr::from_u32(sk.rcv_saddr()),
        bound_dev_if: sk.bound_dev_if(),
        reuse: sk.reuse(),
        reuseport: sk.reuseport(),
        // Only a group asks whose its members are.
        uid: if sk.reuseport() { sk.uid_val() } else { 0 },
        listening,
        time_wait: false,
    }
}

/// The ports that may be picked for the socket: in `coexist` our own, unless the user of the socket asked
/// for some.
pub(super) fn port_range(sk: &Sk) -> PortRange {
    let own = State::of(sk.net()).filter(|s| s.mode() == Mode::Coexist);
    if let Some(state) = own.filter(|_| sk.own_port_range() == 0) {
        return state.port_range();
    }
    let (low, high) = sk.local_port_range();
    PortRange { low, high }
}

/// Takes `port` for the socket, or a free one if it is 0.
///
/// # Errors
///
/// EADDRINUSE, ENOMEM.
pub(super) fn get_port<P: Inet>(l: &mut Locked<'_, P>, port: u16) -> Result {
    let so = l.sock();
    let net = so.net();
    let ports = P::ports().ok_or(ENOMEM)?;
    let bound = bound_of(so, false);
    let coexists = State::of(net).is_some_and(|s| s.mode() == Mode::Coexist);
    // What is picked is not held in the host, so the host is asked whether it has it.
    let free = |port| {
        let taken = || net.host_takes(P::PROTOCOL, so.rcv_saddr(), port, so.bound_dev_if());
        !net.is_reserved_port(port) && !(coexists && taken())
    };
    let binding = ports
        .bind(net, port, bound, port_range(so), free)
        .map_err(error)?;
    so.set_num(binding.port());
    *P::binding(l.private()) = Some(binding);
    Ok(())
}

/// Gives the socket's port back.
pub(super) fn put_port<P: Inet>(l: &mut Locked<'_, P>) {
    let binding = P::binding(l.private()).take();
    if let (Some(b), Some(ports)) = (binding, P::ports()) {
        ports.release(b);
    }
    l.forget_num();
}

/// bind(2), up to taking the port, which `take` does.
///
/// # Errors
///
/// EINVAL, EAFNOSUPPORT, EADDRNOTAVAIL, EACCES, and what `take` returns.
///
/// Mirrors [`__inet_bind`](srctree/net/ipv4/af_inet.c)
pub(super) fn bind<P: Inet>(
    lock: &mut UserLock<'_, P>,
    addr: &RawAddr<'_>,
    take: impl FnOnce(&mut UserLock<'_, P>, u16) -> Result,
) -> Result {
    let so = lock.sock();
    let (a, port) = addr.inet()?;
    let family = addr.family()?;
    if !is_inet(family) && (u32::from(family) != bindings::AF_UNSPEC || a != 0) {
        return Err(EAFNOSUPPORT);
    }
    let net = so.net();
    let ty = net.addr_type(a, so.bound_dev_if());
    let anywhere = net.nonlocal_bind()
        || so.inet_flag(bindings::INET_FLAGS_FREEBIND)
        || so.inet_flag(bindings::INET_FLAGS_TRANSPARENT);
    if !anywhere && a != 0 && ty == AddrType::Other {
        return Err(EADDRNOTAVAIL);
    }
    if port != 0 && !net.may_bind(port) {
        return Err(EACCES);
    }
    if so.state() != bindings::TCP_CLOSE as u8 || so.num() != 0 {
        return Err(EINVAL);
    }
    so.set_rcv_saddr(a);
    so.set_saddr(match ty {
        // Not a source address: the device's is taken.
        AddrType::Multicast | AddrType::Broadcast => 0,
        _ => a,
    });
    // IP_BIND_ADDRESS_NO_PORT: the port comes with connect(2).
    if port != 0 || !so.inet_flag(bindings::INET_FLAGS_BIND_ADDRESS_NO_PORT) {
        let taken = reserve(so, a, port).and_then(|held| {
            take(lock, port)?;
            Ok(held)
        });
        match taken {
            Ok(held) => *P::reserved(lock.private()) = held,
            Err(e) => {
                so.set_saddr(0);
                so.set_rcv_saddr(0);
                return Err(e);
            }
        }
    }
    let mut locks = so.userlocks();
    if a != 0 {
        locks |= bindings::SOCK_BINDADDR_LOCK as u8;
    }
    if port != 0 {
        locks |= bindings::SOCK_BINDPORT_LOCK as u8;
    }
    so.set_userlocks(locks);
    so.set_daddr(0);
    so.set_dport(0);
    Ok(())
}

/// Holds a port that the user chose in the host, too, where both stacks have the same addresses.
///
/// # Errors
///
/// EADDRINUSE, ENOMEM.
fn reserve(so: &Sk, addr: u32, port: u16) -> Result<Option<HostPort>> {
    let coexists = State::of(so.net()).is_some_and(|s| s.mode() == Mode::Coexist);
    match port != 0 && coexists {
        true => HostPort::bind(so.net(), so, addr, port).map(Some),
        false => Ok(None),
    }
}

/// Whether the user chose the port, so that the socket keeps it when a connection ends.
pub(super) fn port_is_users(sk: &Sk) -> bool {
    u32::from(sk.userlocks()) & bindings::SOCK_BINDPORT_LOCK != 0
}

/// Whether the user chose the address.
pub(super) fn addr_is_users(sk: &Sk) -> bool {
    u32::from(sk.userlocks()) & bindings::SOCK_BINDADDR_LOCK != 0
}

/// The question to the routes for a packet of the socket to `daddr`.
#[inline]
pub(super) fn flow(sk: &Sk, daddr: Addr) -> Flow {
    Flow {
        saddr: Addr::from_u32(sk.saddr()),
        daddr,
        tos: sk.tos() & 0xfc,
        oif: sk.bound_dev_if(),
        iif: LOOPBACK_IFINDEX,
        mark: sk.mark(),
        scope: if sk.flag(flag::LOCALROUTE) {
            Scope::LINK
        } else {
            Scope::UNIVERSE
        },
        uid: sk.uid_val(),
        protocol: sk.protocol() as u8,
        sport: sk.num(),
        dport: sk.dport(),
    }
}

/// The route that a socket keeps, looked up anew if it is outdated.
#[inline]
pub(super) fn route<'r>(
    state: &State,
    kept: &'r mut Option<Route>,
    flow: impl FnOnce() -> Flow,
) -> Result<&'r Route, Errno> {
    if !kept.as_ref().is_some_and(|r| r.is_valid(state)) {
        *kept = None;
        *kept = Some(Route::output(state, &flow())?);
    }
    kept.as_ref().ok_or(Errno::EHOSTUNREACH)
}

/// The IP header of a connected socket's packets.
#[inline]
pub(super) fn xmit(sk: &Sk, id: &FourTuple, protocol: ipv4::Protocol, route: &Route) -> Xmit {
    Xmit {
        saddr: id.saddr,
        daddr: id.daddr,
        protocol,
        tos: sk.tos(),
        ttl: match sk.uc_ttl() {
            n if n < 0 => route.hoplimit(sk.net()),
            n => n as u8,
        },
        dont_fragment: dont_fragment(sk, route),
        id: 0,
    }
}

/// The TTL of the socket's unicast packets, unless their route has its own.
#[inline]
pub(super) fn ttl(sk: &Sk) -> u8 {
    match sk.uc_ttl() {
        n if n < 0 => sk.net().sysctl().ip_default_ttl(),
        n => n as u8,
    }
}

/// How a new socket finds its paths' MTU, until IP_MTU_DISCOVER says otherwise.
///
/// Mirrors [`inet_create`](srctree/net/ipv4/af_inet.c)
pub(super) fn init_pmtudisc(sk: &Sk) {
    let mode = match sk.net().sysctl().ip_no_pmtu_disc() {
        0 => bindings::IP_PMTUDISC_WANT,
        _ => bindings::IP_PMTUDISC_DONT,
    };
    sk.set_pmtudisc(mode as u8);
}

/// Whether a datagram that is too long is cut, rather than refused.
///
/// Mirrors [`ip_sk_ignore_df`](srctree/include/net/ip.h)
#[inline]
pub(super) fn ignores_df(pmtudisc: u32) -> bool {
    pmtudisc < bindings::IP_PMTUDISC_DO || pmtudisc == bindings::IP_PMTUDISC_OMIT
}

/// Whether routers are forbidden to fragment the packets that the socket sends this way.
///
/// Mirrors [`ip_dont_fragment`](srctree/include/net/ip.h)
#[inline]
pub(super) fn dont_fragment(sk: &Sk, route: &Route) -> bool {
    match u32::from(sk.pmtudisc()) {
        bindings::IP_PMTUDISC_DO => true,
        bindings::IP_PMTUDISC_WANT => !route.mtu_locked(),
        _ => false,
    }
}
