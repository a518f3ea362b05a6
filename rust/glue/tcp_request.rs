// SPDX-License-Identifier: GPL-2.0
//! SYNs, half-open connections, and what becomes of them.
//!
//! A SYN makes a small object, which stands in the look-up table beside the connections and has a timer
//! of its own. The ACK that ends the handshake makes the connection's socket in its place; the small
//! object then goes on as the socket's place in the listener's accept queue. All of that happens without
//! the listener's lock.
//!
//! Locks, outer first: a child's socket; the listener's queue or a half-open connection; a chain of
//! the look-up table.
//!
//! Mirrors [`tcp_minisocks.c`](srctree/net/ipv4/tcp_minisocks.c), [`inet_connection_sock.c`](srctree/net/ipv4/inet_connection_sock.c)

use super::{
    inet_sock::{
        self,
        Inet, //
    },
    net::State,
    route::Route,
    tcp::{
        self as glue_tcp,
        Tcp, //
    },
    tcp_ipv4::{
        self,
        Sender, //
    },
    tcp_listen::Listener,
};
use crate::{
    abstractions::{
        ehash::Key,
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
        rx_way::RxWay,
        skbuff::Skb,
        sock::{
            Sock,
            SockRef, //
        },
        sock_lock::{
            self,
            BhLock,
            Locked, //
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
                CheckReq,
                ListenConfig,
                Request,
                Retry, //
            },
            SeqNum,
            Surroundings, //
        },
        time::{
            Duration,
            Instant, //
        },
        wire::ipv4::Addr, //
    },
};
use core::sync::atomic::Ordering;
use kernel::prelude::*;

/// Nanoseconds of a millisecond.
const NANOS_PER_MILLI: u64 = 1_000_000;

/// A connection whose SYN was answered, then its place in the accept queue.
pub(crate) struct HalfOpen {
    listener: SockRef<Tcp>,
    pub(super) stage: Stage,
    /// The headers of its SYN (TCP_SAVE_SYN).
    saved_syn: Option<Arc<Array<u8>>>,
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
fn give_up(mini: &MiniRef<HalfOpen>, listener: &Sock<Tcp>) {
    if Tcp::table().remove_half_open(mini) {
        mini.del_timer();
        left(listener);
        if let Some(state) = State::of(listener.net()) {
            state.remove_user(mini.num());
        }
    }
}

/// One half-open connection less.
fn left(listener: &Sock<Tcp>) {
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
fn seq_and_ts_off(id: FourTuple, now: Instant) -> (u32, u32) {
    match inet_sock::secrets() {
        Some(s) => secure_seq::seq_and_ts_off(id, &s.isn, now),
        None => (random_u32(), random_u32()),
    }
}

/// What `so`'s connections by `route` start from.
fn config<'a>(
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
fn insert(
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

/// A segment for a listener that may be the answer to a SYN cookie. [`Checked::Again`] gives it back if
/// it is none.
///
/// Mirrors [`cookie_v4_check`](srctree/net/ipv4/syncookies.c)
pub(super) fn check_cookie(
    state: &State,
    header: &Header,
    skb: Skb,
    seg: &tcp::Segment,
    so: &SockRef<Tcp>,
) -> Checked {
    use tcp::Flags;
    let answer = seg.flags.has(Flags::ACK) && !seg.flags.has(Flags::SYN.and(Flags::RST));
    let Some(listener) = so.shared().listener.as_ref() else {
        return Checked::Again(skb);
    };
    let overflow_at = listener.overflow_at.load(Ordering::Relaxed);
    if !answer || overflow_at == 0 || !is_listening(so) || state.net.sysctl().tcp_syncookies() == 0
    {
        return Checked::Again(skb);
    }
    let now = inet_sock::now();
    let overflow_at = Instant::from_nanos(overflow_at.saturating_mul(NANOS_PER_MILLI));
    // Nobody's cookie if no flood was of late: forging one is then in vain.
    if now.since(overflow_at) > cookie::VALID {
        return Checked::Again(skb);
    }
    let id = FourTuple {
        saddr: header.daddr,
        daddr: header.saddr,
        sport: seg.dest,
        dport: seg.source,
    };
    let Ok(route) = Route::output(state, &Sender::of(so).flow(&id)) else {
        return Checked::Drop(skb, DropReason::IpOutNoRoutes);
    };
    let Some(secrets) = inet_sock::secrets() else {
        return Checked::Again(skb);
    };
    let (_, ts_offset) = seq_and_ts_off(id, now);
    let cfg = config(state, so, listener, &route);
    let Some(req) = cookie::check(&cfg, &secrets.cookie, seg, id, ts_offset, now) else {
        state.counts.event(Counter::SyncookiesFailed);
        return Checked::Again(skb);
    };
    state.counts.event(Counter::SyncookiesRecv);
    if !request::security_conn_request(so, &skb) {
        return Checked::Drop(skb, DropReason::SecurityHook);
    }
    let mini = match insert(state, so, listener, req, None) {
        Ok(mini) => mini,
        Err(reason) => return Checked::Drop(skb, reason),
    };
    let checked = establish(state, skb, seg, &mini, so, &id, RxWay::unasked(0));
    if !matches!(checked, Checked::Done) {
        // Nothing is kept of it: another segment will bring the cookie again.
        give_up(&mini, so);
    }
    match checked {
        Checked::Again(skb) => Checked::Drop(skb, DropReason::TcpOldSequence),
        other => other,
    }
}

/// What became of a segment for a half-open connection.
pub(super) enum Checked {
    /// It is taken care of.
    Done,
    /// Drop it.
    Drop(Skb, DropReason),
    /// Look it up again: the half-open connection is none any more.
    Again(Skb),
}

/// A segment for a half-open connection.
///
/// Mirrors [`tcp_check_req`](srctree/net/ipv4/tcp_minisocks.c), [`tcp_v4_rcv`](srctree/net/ipv4/tcp_ipv4.c)
pub(super) fn check_req(
    state: &State,
    mut skb: Skb,
    seg: &tcp::Segment,
    mini: &MiniRef<HalfOpen>,
    way: RxWay,
) -> Checked {
    let now = inet_sock::now();
    let listener = mini.lock().listener.hold();
    if !is_listening(&listener) {
        give_up(mini, &listener);
        return Checked::Again(skb);
    }
    if !listener.filter(&mut skb, u32::from(seg.doff)) {
        return Checked::Drop(skb, DropReason::SocketFilter);
    }
    let (id, verdict, again) = {
        let mut half = mini.lock();
        let Stage::Waiting(req) = &mut half.stage else {
            return Checked::Again(skb);
        };
        let mut around = Surroundings {
            sysctl: state.net.sysctl(),
            now,
            count: &mut |c| state.counts.event(c),
        };
        let verdict = listen::check_req(req, &mut around, seg);
        let again = match verdict {
            CheckReq::RetransmitSynAck => listen::synack(req, now),
            _ => None,
        };
        (req.id, verdict, again)
    };
    let reply = |skb: Option<Skb>| {
        if let Some(skb) = skb {
            tcp_ipv4::send(state, &Sender::of(&listener), &id, skb);
        }
    };
    match verdict {
        CheckReq::Drop(reason) => return Checked::Drop(skb, reason),
        CheckReq::Deferred => state.counts.event(Counter::TcpDeferAcceptDrop),
        CheckReq::RetransmitSynAck => {
            state.counts.event(Counter::TcpSynRetrans);
            reply(again);
        }
        CheckReq::Ack(ack) => reply(Some(ack)),
        CheckReq::Kill(rst, reason) => {
            state.counts.event(Counter::AttemptFails);
            state.counts.event(Counter::EmbryonicRsts);
            reply(rst);
            give_up(mini, &listener);
            return Checked::Drop(skb, reason);
        }
        CheckReq::Reset(rst) => {
            state.counts.event(Counter::OutRsts);
            reply(rst);
        }
        CheckReq::Establish => return establish(state, skb, seg, mini, &listener, &id, way),
    }
    skb.consume();
    Checked::Done
}

/// The handshake is over: makes the connection's socket and gives it the segment.
///
/// Mirrors [`tcp_v4_syn_recv_sock`](srctree/net/ipv4/tcp_ipv4.c), [`tcp_child_process`](srctree/net/ipv4/tcp_minisocks.c)
fn establish(
    state: &State,
    skb: Skb,
    seg: &tcp::Segment,
    mini: &MiniRef<HalfOpen>,
    so: &SockRef<Tcp>,
    id: &FourTuple,
    way: RxWay,
) -> Checked {
    let Some(listener) = so.shared().listener.as_ref() else {
        return Checked::Drop(skb, DropReason::NoSocket);
    };
    if so.ack_backlog() > so.max_ack_backlog() {
        // The peer believes that the connection stands; its data, or our SYN-ACK sent again, will bring
        // another ACK when there may be room.
        state.counts.event(Counter::ListenOverflows);
        state.counts.event(Counter::ListenDrops);
        if state.net.sysctl().tcp_abort_on_overflow() != 0 {
            if let Some(rst) = tcp::send_reset(seg, *id) {
                state.counts.event(Counter::OutRsts);
                tcp_ipv4::send(state, &Sender::of(so), id, rst);
            }
            state.counts.event(Counter::EmbryonicRsts);
            give_up(mini, so);
        }
        return Checked::Drop(skb, DropReason::TcpListenOverflow);
    }
    let Some(child) = new_child(so, listener, id) else {
        state.counts.event(Counter::ListenDrops);
        return Checked::Drop(skb, DropReason::Nomem);
    };
    child.set_way(way);
    let name: Key = inet_sock::name(state.net, id);
    let mut lock = BhLock::nested(&child);
    let Some(mut l) = lock.unowned() else {
        return Checked::Drop(skb, DropReason::Nomem);
    };
    {
        let half = mini.lock();
        if let Stage::Waiting(req) = &half.stage {
            glue_tcp::enter(&mut l, |tp, env| {
                tp.open_request(env, req, &listener.template.lock().tp);
            });
        }
    }
    if !Tcp::table().replace_half_open(mini, &child, &name) {
        // Another CPU was faster: the segment is for its child.
        discard(&mut l);
        return Checked::Again(skb);
    }
    mini.del_timer();
    left(so);
    let saved_syn = {
        let mut half = mini.lock();
        half.stage = Stage::Over;
        half.saved_syn.take()
    };
    l.private().saved_syn = saved_syn;
    state.counts.event(Counter::PassiveOpens);
    child.security_conn_established(&skb);
    if let Err(child) = listener.push(so, mini, child.hold()) {
        sock_lock::orphan(&child);
        glue_tcp::enter(&mut l, |tp, env| tp.abort(env));
        return Checked::Drop(skb, DropReason::TcpListenOverflow);
    }
    glue_tcp::do_rcv(&mut l, skb, seg);
    drop(l);
    drop(lock);
    so.data_ready();
    Checked::Done
}

/// The socket of a connection of `so`'s, between the ends `id`; in no table yet.
fn new_child(so: &Sock<Tcp>, listener: &Listener, id: &FourTuple) -> Option<SockRef<Tcp>> {
    let child = proto::clone(so)?;
    child.set_state(bindings::TCP_SYN_RECV as u8);
    child.set_rcv_saddr(id.saddr.to_u32());
    child.set_saddr(id.saddr.to_u32());
    child.set_daddr(id.daddr.to_u32());
    child.set_num(id.sport);
    child.set_dport(id.dport);
    child.set_ip_id(random_u32() as u16);
    child.set_max_ack_backlog(0);
    child.set_ack_backlog(0);
    let binding = listener.template.lock().binding;
    let binding = binding.and_then(|b| {
        let mut bound = inet_sock::bound_of(&child, false);
        bound.rcv_saddr = Addr::from_u32(id.saddr.to_u32());
        Tcp::ports()?.inherit(&b, bound).ok()
    });
    let mut lock = BhLock::nested(&child);
    let mut l = lock.unowned()?;
    l.private().binding = binding;
    if binding.is_none() {
        discard(&mut l);
        return None;
    }
    drop(l);
    drop(lock);
    Some(child)
}

/// A child that nobody will ever know.
fn discard(l: &mut Locked<'_, Tcp>) {
    glue_tcp::enter(l, |tp, env| tp.reset_for_reuse(env));
    l.set_state(bindings::TCP_CLOSE as u8);
    sock_lock::orphan(l);
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
