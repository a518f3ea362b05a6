// SPDX-License-Identifier: GPL-2.0
//! SYNs, and the half-open connections that they make.
//!
//! A SYN makes a small object, which stands in the look-up table beside the connections and has a timer
//! of its own. The ACK that ends the handshake makes the connection's socket in its place
//! ([`super::tcp_check_req`]); the small object then goes on as the socket's place in the listener's accept
//! queue. All of that happens without the listener's lock.
//!
//! Locks, outer first: a half-open connection; a chain of the look-up table.
//!
//! Mirrors [`tcp_minisocks.c`](srctree/net/ipv4/tcp_minisocks.c), [`inet_connection_sock.c`](srctree/net/ipv4/inet_connection_sock.c)

use super::{
    inet_sock,
    net::State,
    route::Route,
    tcp::Tcp,
    tcp_ipv4::{
        self,
        Sender, //
    },
    tcp_listen::Listener,
};
use crate::{
    abstractions::{
        inet::{
            random_u32,
            JIFFY_NS, //
        },
        memory::{
            Arc,
            Array, //
        },
        minisock::{
            Mini,
            MiniCache,
            MiniKind,
            MiniRef, //
        },
        proto::{
            self,
            Protocol as _, //
        },
        request,
        skbuff::Skb,
        sock::{
            Sock,
            SockRef, //
        },
    },
    bindings,
    platform::Sysctl,
    stack::{
        counters::Counter,
        drop_reason::DropReason,
        ip::Header,
        socket::{
            secure_seq,
            FourTuple, //
        },
        tcp::{
            self,
            cookie,
            listen::{
                self,
                ListenConfig,
                Request,
                Retry, //
            },
            SeqNum, //
        },
        time::{
            Duration,
            Instant, //
        },
    },
};
use core::sync::atomic::Ordering;
use kernel::prelude::*;

/// Nanoseconds of a millisecond.
pub(super) const NANOS_PER_MILLI: u64 = 1_000_000;

/// A connection whose SYN was answered, then its place in the accept queue.
pub(crate) struct HalfOpen {
    pub(super) listener: SockRef<Tcp>,
    pub(super) stage: Stage,
    /// The headers of its SYN (TCP_SAVE_SYN).
    pub(super) saved_syn: Option<Arc<Array<u8>>>,
}

/// Small things are small: the limit for what stands for a connection that is not yet one.
/// A kernel that checks its locks keeps notes in each of them, in C as here.
const _: () =
    assert!(cfg!(CONFIG_DEBUG_LOCK_ALLOC) || core::mem::size_of::<Mini<HalfOpen>>() <= 256);

/// How far it has come.
pub(super) enum Stage {
    /// The peer's ACK is still to come.
    Waiting(Request),
    /// The handshake is over; the connection is somebody else's by now, or nobody's.
    Over,
    /// Waiting to be accepted, before `next`.
    Queued {
        child: SockRef<Tcp>,
        next: Option<MiniRef<HalfOpen>>,
    },
}

static CACHE: MiniCache<HalfOpen> = MiniCache::new();

impl MiniKind for HalfOpen {
    const NAME: &'static CStr = c"rustnet_request";
    const STATE: u8 = bindings::TCP_NEW_SYN_RECV as u8;

    fn cache() -> &'static MiniCache<Self> {
        &CACHE
    }

    /// No ACK came: the SYN-ACK is sent again, or the connection given up.
    ///
    /// Mirrors [`reqsk_timer_handler`](srctree/net/ipv4/inet_connection_sock.c)
    fn on_timer(mini: &MiniRef<Self>) {
        let now = inet_sock::now();
        let (listener, again) = {
            let mut half = mini.lock();
            let listener = half.listener.hold();
            let again = match &mut half.stage {
                Stage::Waiting(req) if is_listening(&listener) => {
                    match req.on_timeout(listener.net().sysctl()) {
                        Retry::Wait(after) => Some((after, req.id, None)),
                        Retry::Resend(after) => Some((after, req.id, listen::synack(req, now))),
                        Retry::GiveUp => None,
                    }
                }
                _ => None,
            };
            (listener, again)
        };
        let Some((after, id, synack)) = again else {
            give_up(mini, &listener);
            return;
        };
        if !mini.hashed() {
            return;
        }
        mini.mod_timer_hashed(jiffies(after));
        if let (Some(skb), Some(state)) = (synack, State::of(listener.net())) {
            state.counts.event(Counter::TcpSynRetrans);
            state.counts.event(Counter::RetransSegs);
            tcp_ipv4::send(state, &Sender::of(&listener), &id, skb);
        }
    }
}

/// A span in jiffies, rounded up.
pub(super) fn jiffies(d: Duration) -> usize {
    d.as_nanos().div_ceil(JIFFY_NS).max(1) as usize
}

/// Whether the socket takes connections.
pub(super) fn is_listening(so: &Sock<Tcp>) -> bool {
    so.state() == bindings::TCP_LISTEN as u8
}

/// Forgets a half-open connection.
///
/// Mirrors [`inet_csk_reqsk_queue_drop`](srctree/net/ipv4/inet_connection_sock.c)
pub(super) fn give_up(mini: &MiniRef<HalfOpen>, listener: &Sock<Tcp>) {
    if Tcp::table().remove_half_open(mini) {
        mini.del_timer();
        left(listener);
        if let Some(state) = State::of(listener.net()) {
            state.remove_user(mini.num());
        }
    }
}

/// One half-open connection less.
pub(super) fn left(listener: &Sock<Tcp>) {
    if let Some(l) = listener.shared().listener.as_ref() {
        l.qlen.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A segment without a connection, for a listener. `floor`: where our sequence numbers must begin, if
/// the same ends had a connection that is hardly over.
///
/// Mirrors [`tcp_rcv_state_process`, `tcp_conn_request`](srctree/net/ipv4/tcp_input.c)
pub(super) fn conn_request(
    state: &State,
    header: &Header,
    skb: &Skb,
    seg: &tcp::Segment,
    so: &SockRef<Tcp>,
    floor: Option<SeqNum>,
) -> Result<(), DropReason> {
    use tcp::Flags;
    let id = FourTuple {
        saddr: header.daddr,
        daddr: header.saddr,
        sport: seg.dest,
        dport: seg.source,
    };
    if !is_listening(so) {
        return Err(DropReason::TcpClose);
    }
    if seg.flags.has(Flags::RST) {
        return Err(DropReason::TcpReset);
    }
    if seg.flags.has(Flags::ACK) {
        // 3.10.7.2: "Any acknowledgment is bad if it arrives on a connection still in the LISTEN state."
        if let Some(rst) = tcp::send_reset(seg, id) {
            state.counts.event(Counter::OutRsts);
            tcp_ipv4::send(state, &Sender::of(so), &id, rst);
        }
        return Err(DropReason::TcpFlags);
    }
    if !seg.flags.has(Flags::SYN) || seg.flags.has(Flags::FIN) {
        return Err(DropReason::TcpFlags);
    }
    let listener = so.shared().listener.as_ref().ok_or(DropReason::NoSocket)?;
    let sysctl = state.net.sysctl();
    let qlen = listener.qlen.load(Ordering::Relaxed);
    // The backlog's meaning: that many may be half-open, and one more; and as many may wait to be accepted.
    // Who follows a TIME_WAIT is known, and let in.
    let full = qlen > so.max_ack_backlog();
    let want_cookie = floor.is_none() && (full || sysctl.tcp_syncookies() == 2);
    let refused = if want_cookie && sysctl.tcp_syncookies() == 0 {
        Some(Counter::TcpReqQFullDrop)
    } else if so.ack_backlog() > so.max_ack_backlog() {
        Some(Counter::ListenOverflows)
    } else if floor.is_none() && sysctl.tcp_syncookies() == 0 && last_quarter(sysctl, qlen) {
        Some(Counter::TcpReqQFullDrop)
    } else {
        None
    };
    if let Some(counter) = refused {
        state.counts.event(counter);
        state.counts.event(Counter::ListenDrops);
        return Err(DropReason::TcpListenOverflow);
    }
    if !request::security_conn_request(so, skb) {
        return Err(DropReason::SecurityHook);
    }
    let sender = Sender::of(so);
    let route = Route::output(state, &sender.flow(&id)).map_err(|_| DropReason::IpOutNoRoutes)?;
    let now = inet_sock::now();
    let (isn, ts_offset) = seq_and_ts_off(id, now);
    let cfg = config(state, so, listener, &route);
    if want_cookie {
        let secrets = inet_sock::secrets().ok_or(DropReason::NoSocket)?;
        let (mut req, at) = cookie::conn_request(&cfg, &secrets.cookie, seg, id, ts_offset, now);
        state.counts.event(Counter::TcpReqQFullDoCookies);
        state.counts.event(Counter::SyncookiesSent);
        let ms = now.as_nanos() / NANOS_PER_MILLI;
        listener.overflow_at.store(ms, Ordering::Relaxed);
        if let Some(skb) = listen::synack(&mut req, at) {
            tcp_ipv4::send_by(state, &sender, &route, &id, skb);
        }
        return Ok(());
    }
    let isn = floor.map_or(isn, SeqNum::get);
    let mut req = listen::conn_request(&cfg, seg, id, isn, ts_offset, now);
    let synack = listen::synack(&mut req, now);
    insert(state, so, listener, req, Some((skb, seg)))?;
    if let Some(skb) = synack {
        tcp_ipv4::send_by(state, &sender, &route, &id, skb);
    }
    Ok(())
}

/// Whether only the quarter is left that is kept for peers that are known to exist. RustNet knows none:
/// the host's metrics of destinations cannot be read.
fn last_quarter(sysctl: &Sysctl, qlen: u32) -> bool {
    let max = sysctl.tcp_max_syn_backlog();
    max.saturating_sub(qlen) < max >> 2
}

/// The first sequence number and the timestamp offset of a connection.
pub(super) fn seq_and_ts_off(id: FourTuple, now: Instant) -> (u32, u32) {
    match inet_sock::secrets() {
        Some(s) => secure_seq::seq_and_ts_off(id, &s.isn, now),
        None => (random_u32(), random_u32()),
    }
}

/// What `so`'s connections by `route` start from.
pub(super) fn config<'a>(
    state: &'a State,
    so: &Sock<Tcp>,
    listener: &Listener,
    route: &Route,
) -> ListenConfig<'a> {
    let (user_mss, window_clamp, defer_accept) = {
        let template = listener.template.lock();
        let tp = &template.tp;
        (tp.user_mss(), tp.window_clamp(), tp.defer_accept())
    };
    let metrics = route.metrics();
    ListenConfig {
        sysctl: state.net.sysctl(),
        rcvbuf: so.rcvbuf(),
        rcvbuf_locked: so.rcvbuf_locked(),
        window_clamp: match window_clamp {
            0 => metrics.window,
            n => n,
        },
        init_rwnd: metrics.initrwnd,
        mtu: route.adv_mtu(),
        user_mss,
        defer_accept,
    }
}

/// Puts a half-open connection where look-ups find it. `syn` is what it answers, unless that is long gone: then
/// the connection is made at once, and there is no timer.
///
/// Mirrors [`inet_csk_reqsk_queue_hash_add`](srctree/net/ipv4/inet_connection_sock.c)
pub(super) fn insert(
    state: &State,
    so: &SockRef<Tcp>,
    listener: &Listener,
    req: Request,
    syn: Option<(&Skb, &tcp::Segment)>,
) -> Result<MiniRef<HalfOpen>, DropReason> {
    let name = inet_sock::name(state.net, &req.id);
    let port = req.id.sport;
    let timeout = req.timeout();
    let half = HalfOpen {
        listener: so.hold(),
        stage: Stage::Waiting(req),
        saved_syn: syn.and_then(|(skb, seg)| record_syn(listener, skb, seg)),
    };
    let family = proto::family() as u16;
    let mini = MiniRef::new(&name, family, so.bound_dev_if(), half).ok_or(DropReason::Nomem)?;
    // Whoever finds it waits for its lock: an ACK on another CPU may end it at once, and then there must be a
    // place in the queue to be given back and a timer to be stopped.
    let half = mini.lock();
    if !Tcp::table().insert_half_open(&mini, &name) {
        // Another CPU took the same segment.
        return Err(DropReason::TcpOldSequence);
    }
    state.add_user(port);
    listener.qlen.fetch_add(1, Ordering::Relaxed);
    if syn.is_some() {
        mini.mod_timer(jiffies(timeout));
    }
    drop(half);
    Ok(mini)
}

/// The headers of a SYN, if the user wants them; `None` also when there is no memory.
///
/// Mirrors [`tcp_reqsk_record_syn`](srctree/net/ipv4/tcp_input.c)
fn record_syn(listener: &Listener, skb: &Skb, seg: &tcp::Segment) -> Option<Arc<Array<u8>>> {
    let from = match listener.template.lock().tp.save_syn() {
        0 => return None,
        1 => skb.network_header(),
        _ => skb.mac_header(),
    };
    let before = from.len().checked_sub(skb.transport_header().len())?;
    let len = before.checked_add(usize::from(seg.doff))?;
    Arc::try_new(Array::try_concat(&[from.get(..len)?]).ok()?).ok()
}

/// Tells `f` of a half-open connection: its ends, how often its SYN-ACK was sent again, whose it is.
pub(super) fn show(
    mini: &MiniRef<HalfOpen>,
    f: impl FnOnce(&FourTuple, u8, u32) -> core::fmt::Result,
) -> core::fmt::Result {
    let half = mini.lock();
    match &half.stage {
        Stage::Waiting(req) => f(&req.id, req.num_timeout, half.listener.uid_val()),
        _ => Err(core::fmt::Error),
    }
}
