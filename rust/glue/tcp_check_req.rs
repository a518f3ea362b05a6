// SPDX-License-Identifier: GPL-2.0
//! The segments that end a handshake: from a half-open connection, or a SYN cookie, to a socket.
//!
//! Locks, outer first: a child's socket; the listener's queue or a half-open connection; a chain of
//! the look-up table.
//!
//! Mirrors [`tcp_minisocks.c`](srctree/net/ipv4/tcp_minisocks.c), [`syncookies.c`](srctree/net/ipv4/syncookies.c)

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
    tcp_request::{
        config,
        give_up,
        insert,
        is_listening,
        left,
        seq_and_ts_off,
        HalfOpen,
        Stage,
        NANOS_PER_MILLI, //
    },
};
use crate::{
    abstractions::{
        ehash::Key,
        inet::random_u32,
        minisock::MiniRef,
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
    stack::{
        counters::Counter,
        drop_reason::DropReason,
        ip::Header,
        socket::FourTuple,
        tcp::{
            self,
            cookie,
            listen::{
                self,
                CheckReq, //
            },
            Surroundings, //
        },
        time::Instant,
        wire::ipv4::Addr, //
    },
};
use core::sync::atomic::Ordering;

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
