// SPDX-License-Identifier: GPL-2.0
//! TCP sockets: what the socket core calls a protocol, around the stack's connection.
//!
//! The connection ([`tcp::Sock`]) is the private part of the socket: it belongs to whoever holds the
//! lock, and every entry that may change it goes through [`enter`], which afterwards does what the stack
//! only asked for: publishes what lock-free readers want to know, wakes sleepers, and arms the timers.
//!
//! | file | holds |
//! |---|---|
//! | `tcp` | the protocol, entries into the stack, the timer |
//! | `tcp_env` | what the stack asks for |
//! | `tcp_ops` | system calls |
//! | `tcp_connect` | connect(2), disconnecting, closing |
//! | `tcp_ipv4` | segments |
//! | `tcp_request` | SYNs, half-open connections |
//! | `tcp_check_req` | the segments that make them connections |
//! | `tcp_listen` | listeners, accept(2) |
//! | `tcp_timewait` | what is left of a connection |
//! | `tcp_small_queue` | waiting for packets to leave this host |
//! | `tcp_sockopt` | options |

use super::{
    inet_sock::{
        self,
        Inet, //
    },
    net::State,
    ports::{
        Binding,
        PortTable, //
    },
    route::Route,
    tcp_env::TcpEnv,
    tcp_listen::ListenerCell,
    tcp_request::HalfOpen,
    tcp_small_queue::SmallQueue,
    tcp_timewait::TimeWait, //
};
use crate::{
    abstractions::{
        ehash::Table,
        host_port::HostPort,
        inet::JIFFY_NS,
        memory::{
            Arc,
            Array, //
        },
        module_cell::ModuleCell,
        netns::Net,
        proto::{
            Proto,
            Protocol, //
        },
        skbuff::Skb,
        sock::Sock,
        sock_lock::Locked,
        sock_soft::{
            Event,
            Soft, //
        },
    },
    bindings,
    stack::{
        counters::Counter,
        drop_reason::DropReason,
        socket::FourTuple,
        tcp,
        time::Instant,
        wire::ipv4::Addr, //
    },
};
use core::{
    mem::MaybeUninit,
    sync::atomic::{
        AtomicBool,
        AtomicU32,
        AtomicU64,
        Ordering, //
    },
};
use kernel::prelude::*;

/// TCP over IPv4.
pub(crate) struct Tcp;

static PROTO: Proto<Tcp> = Proto::new();
static TABLE: Table<Tcp> = Table::new();
/// Who has which TCP port.
pub(super) static PORTS: ModuleCell<PortTable> = ModuleCell::new();

/// Connections that their users have closed and that are not over yet.
static ORPHANS: AtomicU32 = AtomicU32::new(0);

/// Counts a connection that nobody holds any more. `false` if there are too many of them: each costs
/// memory, and nobody waits for what it still has to say.
///
/// Mirrors [`tcp_too_many_orphans`](srctree/net/ipv4/tcp.c)
pub(super) fn count_orphan(so: &Sock<Tcp>) -> bool {
    so.shared().orphan.store(true, Ordering::Relaxed);
    let n = ORPHANS.fetch_add(1, Ordering::Relaxed);
    // As `tcp_max_orphans` is by default: as many as the table has chains.
    (n as usize) < TABLE.len().0
}

/// What the lock protects.
pub(crate) struct Private {
    /// The connection.
    pub(super) tp: tcp::Sock,
    /// When the timer fires at the latest; `None` if it is not armed.
    pub(super) armed: Option<Instant>,
    /// The same of the fine timer.
    pub(super) fine_armed: Option<Instant>,
    /// The way to the peer.
    pub(super) route: Option<Route>,
    /// The socket's port.
    pub(super) binding: Option<Binding>,
    /// The host's port of the same number.
    pub(super) reserved: Option<HostPort>,
    /// The headers of the SYN that began the connection (TCP_SAVED_SYN).
    pub(super) saved_syn: Option<Arc<Array<u8>>>,
}

/// What may be read without the lock.
#[derive(Default)]
pub(crate) struct Shared {
    /// Bytes that can be read, for poll(2), as far as [`INQ`] can say; the other bits besides.
    inq: AtomicU32,
    /// What happened while a user owned the socket: bits of [`Event`].
    deferred: AtomicU32,
    /// What those who free packets are asked for.
    pub(super) small_queue: SmallQueue,
    soft: Soft<Tcp>,
    /// A message about the path's MTU came while a user owned the socket: see [`defer_mtu`].
    mtu_info: AtomicU64,
    /// Closed by its user, counted in [`ORPHANS`].
    pub(super) orphan: AtomicBool,
    /// What listen(2) made; it stays when listening ends.
    pub(super) listener: ListenerCell,
}

/// The urgent byte can be read.
const URG_VALID: u32 = 1 << 31;
/// More is written and not sent than TCP_NOTSENT_LOWAT allows.
const NOTSENT_FULL: u32 = 1 << 30;
/// More than half of that is.
const NOTSENT_HALF: u32 = 1 << 29;
/// Bytes that can be read.
const INQ: u32 = NOTSENT_HALF - 1;

impl Shared {
    /// Tells lock-free readers how many bytes can be read and whether the urgent byte can.
    #[inline]
    fn publish(&self, inq: u32, urg: bool, notsent: (bool, bool)) {
        let bit = |on, bit| if on { bit } else { 0 };
        let word = inq.min(INQ)
            | bit(urg, URG_VALID)
            | bit(notsent.0, NOTSENT_FULL)
            | bit(notsent.1, NOTSENT_HALF);
        self.inq.store(word, Ordering::Release);
    }

    /// What [`Shared::publish`] told last.
    #[inline]
    pub(super) fn readable(&self) -> (u32, bool) {
        let n = self.inq.load(Ordering::Acquire);
        (n & INQ, n & URG_VALID != 0)
    }
}

/// The object must not be larger than Linux's `struct tcp_sock`: an idle socket costs no more.
/// A kernel that checks its locks keeps notes in each of them, in C as here.
const _: () = assert!(cfg!(CONFIG_DEBUG_LOCK_ALLOC) || core::mem::size_of::<Sock<Tcp>>() <= 2432);

impl Protocol for Tcp {
    const NAME: &'static CStr = c"RUSTNET-TCP";
    const TYPE: u16 = bindings::sock_type_SOCK_STREAM as u16;
    const PROTOCOL: u16 = bindings::IPPROTO_TCP as u16;

    type Shared = Shared;
    type Private = Private;
    type HalfOpen = HalfOpen;
    type TimeWait = TimeWait;

    fn proto() -> &'static Proto<Self> {
        &PROTO
    }

    fn table() -> &'static Table<Self> {
        &TABLE
    }

    fn init_private<'a>(slot: &'a mut MaybeUninit<Private>, net: &Net) -> &'a mut Private {
        let p = slot.write(Private {
            tp: tcp::Sock::new(),
            armed: None,
            fine_armed: None,
            route: None,
            binding: None,
            reserved: None,
            saved_syn: None,
        });
        p.tp.init(net.sysctl());
        p
    }

    /// Mirrors [`tcp_init_sock`](srctree/net/ipv4/tcp.c)
    fn init(sk: &Sock<Self>) {
        let sysctl = sk.net().sysctl();
        let ([_, sndbuf, _], [_, rcvbuf, _]) = (sysctl.tcp_wmem(), sysctl.tcp_rmem());
        sk.set_sndbuf(sndbuf);
        sk.set_rcvbuf(rcvbuf);
        inet_sock::init_pmtudisc(sk);
    }

    /// Mirrors [`tcp_v4_do_rcv`](srctree/net/ipv4/tcp_ipv4.c)
    fn backlog_rcv(sk: &mut Locked<'_, Self>, mut skb: Skb) {
        if let Ok(seg) = &tcp::Segment::parse(&mut skb) {
            do_rcv(sk, skb, seg);
        }
    }

    /// Mirrors [`tcp_release_cb`](srctree/net/ipv4/tcp_output.c)
    fn release_cb(sk: &mut Locked<'_, Self>) {
        let deferred = &sk.sock().shared().deferred;
        if deferred.load(Ordering::Relaxed) != 0 {
            let events = deferred.swap(0, Ordering::Acquire);
            if events & (Event::Timer.bit() | Event::FineTimer.bit()) != 0 {
                enter(sk, |tp, env| tp.timer_was_locked(env));
            }
            for event in Event::ALL {
                if events & event.bit() != 0 {
                    Self::on_event(sk, event);
                }
            }
        }
        let mtu_info = &sk.sock().shared().mtu_info;
        if mtu_info.load(Ordering::Relaxed) != 0 {
            mtu_reduced(sk, mtu_info.swap(0, Ordering::Acquire));
        }
        if sk.private().tp.ack_deferred() {
            enter(sk, |tp, env| tp.release_cb(env));
        }
    }

    #[inline]
    fn soft(shared: &Shared) -> Option<&Soft<Self>> {
        Some(&shared.soft)
    }

    fn on_event(sk: &mut Locked<'_, Self>, event: Event) {
        match event {
            Event::Timer => on_timer(sk),
            Event::FineTimer => {
                sk.private().fine_armed = None;
                enter(sk, |tp, env| tp.on_timer(env));
            }
            Event::Kick => {
                sk.shared().small_queue.kicked();
                enter(sk, |tp, env| tp.tsq_handler(env));
            }
        }
    }

    fn defer(sk: &Sock<Self>, event: Event) {
        let s = sk.shared();
        if event == Event::Kick {
            s.small_queue.kicked();
        }
        s.deferred.fetch_or(event.bit(), Ordering::Release);
    }

    /// Mirrors [`tcp_wfree`](srctree/net/ipv4/tcp_output.c)
    #[inline]
    fn sent(sk: &Sock<Self>) {
        if sk.shared().small_queue.sent() {
            sk.kick();
        }
    }

    /// Mirrors [`tcp_stream_memory_free`](srctree/net/ipv4/tcp.c)
    #[inline]
    fn memory_free(sk: &Sock<Self>, wake: bool) -> bool {
        let bit = if wake { NOTSENT_HALF } else { NOTSENT_FULL };
        sk.shared().inq.load(Ordering::Relaxed) & bit == 0
    }

    fn memory_pressure(sk: &Sock<Self>, ended_after_ms: Option<u32>) {
        if let Some(state) = State::of(sk.net()) {
            match ended_after_ms {
                None => state.counts.event(Counter::TcpMemoryPressures),
                Some(ms) => state
                    .counts
                    .events(Counter::TcpMemoryPressuresChrono, ms.into()),
            }
        }
    }

    fn keepalive(sk: &mut Locked<'_, Self>, on: bool) {
        let now = inet_sock::now();
        enter_at(sk, now, |tp, env| tp.set_keepalive(env, on));
    }

    fn destruct(sk: &mut Locked<'_, Self>) {
        let (p, owned) = sk.split();
        // No `enter`: a timer armed here would hold what is being freed.
        let mut env = TcpEnv::new(owned, &mut p.route, &mut p.binding, Instant::ZERO);
        p.tp.drop_queues(&mut env);
        inet_sock::put_port(sk);
        if sk.shared().orphan.load(Ordering::Relaxed) {
            ORPHANS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Inet for Tcp {
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

/// Mirrors [`tcp_write_timer`](srctree/net/ipv4/tcp_timer.c)
fn on_timer(l: &mut Locked<'_, Tcp>) {
    let now = inet_sock::now();
    // Jiffies are coarse: what is due within the present one is due now, or the timer would only be armed
    // again for the rest of it.
    let until = match l.private().armed.take() {
        Some(at) if at > now && at.since(now).as_nanos() < JIFFY_NS => at,
        _ => now,
    };
    enter_at(l, now, |tp, env| tp.on_timer_until(env, until));
}

/// Enters the stack, and does afterwards what it asked for.
#[inline]
pub(super) fn enter<R>(
    l: &mut Locked<'_, Tcp>,
    f: impl FnOnce(&mut tcp::Sock, &mut TcpEnv<'_>) -> R,
) -> R {
    enter_at(l, inet_sock::now(), f)
}

/// Looks at the connection: nothing is changed, so there is nothing to do afterwards, and no time is asked for.
#[inline]
pub(super) fn look<R>(l: &mut Locked<'_, Tcp>, f: impl FnOnce(&tcp::Sock, &TcpEnv<'_>) -> R) -> R {
    let (p, sk) = l.split();
    let env = TcpEnv::new(sk, &mut p.route, &mut p.binding, Instant::ZERO);
    f(&p.tp, &env)
}

/// The same as [`enter`] at a time that is known.
#[inline]
pub(super) fn enter_at<R>(
    l: &mut Locked<'_, Tcp>,
    now: Instant,
    f: impl FnOnce(&mut tcp::Sock, &mut TcpEnv<'_>) -> R,
) -> R {
    let so = l.sock();
    let (p, sk) = l.split();
    let Private {
        tp,
        armed,
        fine_armed,
        route,
        binding,
        ..
    } = p;
    let mut env = TcpEnv::new(sk, route, binding, now);
    let r = f(tp, &mut env);
    so.shared()
        .publish(tp.poll_in(&env), tp.urg_valid(), tp.notsent_full(&env));
    let sk = env.finish();
    match tp.next_expiry() {
        // Armed for an earlier time the timer arms itself again: most deadlines only ever move away.
        Some(at) => match *armed {
            Some(have) if have <= at => {}
            _ => {
                let wait = at.since(now).as_nanos().div_ceil(JIFFY_NS);
                sk.reset_timer(wait.max(1) as usize);
                *armed = Some(at);
            }
        },
        None if armed.is_some() && tp.state == tcp::State::Close => {
            *armed = None;
            sk.stop_timer();
        }
        None => {}
    }
    if let Some((at, slack)) = tp.next_fine_expiry(so.net().sysctl()) {
        if !fine_armed.is_some_and(|have| have <= at) {
            sk.reset_fine_timer(at, slack);
            *fine_armed = Some(at);
        }
    } else if tp.state == tcp::State::Close && fine_armed.take().is_some() {
        sk.stop_fine_timer();
    }
    r
}

/// [`Shared::mtu_info`] holds a message.
const MTU_INFO: u64 = 1 << 63;

/// "Fragmentation needed" about the segment that began at `seq`, for a socket that a user owns: it is
/// heeded when he lets go. Of several messages the last one stays; the others come again.
pub(super) fn defer_mtu(so: &Sock<Tcp>, seq: tcp::SeqNum, mtu: u16) {
    let info = MTU_INFO | u64::from(mtu) << 32 | u64::from(seq.get());
    so.shared().mtu_info.store(info, Ordering::Release);
}

/// Heeds it.
#[cold]
fn mtu_reduced(l: &mut Locked<'_, Tcp>, info: u64) {
    let (seq, mtu) = (tcp::SeqNum::new(info as u32), (info >> 32) as u32 & 0xffff);
    if let Err(reason) = enter(l, |tp, env| tp.mtu_reduced(env, seq, mtu)) {
        dropped(l, reason);
    }
}

/// A checked segment for a connection whose lock is held.
#[inline]
pub(super) fn do_rcv(l: &mut Locked<'_, Tcp>, skb: Skb, seg: &tcp::Segment) {
    if let Err(reason) = enter(l, |tp, env| tp.v4_do_rcv(env, skb, seg)) {
        dropped(l, reason);
    }
}

#[cold]
fn dropped(l: &Locked<'_, Tcp>, reason: DropReason) {
    l.count_drop();
    if let Some(state) = State::of(l.net()) {
        state.counts.dropped(reason);
    }
}

/// Both ends of the socket's connection, as the socket core knows them.
#[inline]
pub(super) fn id(so: &Sock<Tcp>) -> FourTuple {
    FourTuple {
        saddr: Addr::from_u32(so.rcv_saddr()),
        daddr: Addr::from_u32(so.daddr()),
        sport: so.num(),
        dport: so.dport(),
    }
}

/// Takes the socket out of the look-up tables.
pub(super) fn unhash(so: &Sock<Tcp>) {
    if TABLE.remove(so) {
        if let Some(state) = State::of(so.net()) {
            state.remove_user(so.num());
        }
    }
}
