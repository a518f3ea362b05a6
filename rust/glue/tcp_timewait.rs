// SPDX-License-Identifier: GPL-2.0
//! What is left of a connection: TIME_WAIT, and FIN_WAIT_2 without a user.
//!
//! A small object stands in the look-up table in the connection's place, holds its port, and goes when its
//! timer fires.
//!
//! Mirrors [`inet_timewait_sock.c`](srctree/net/ipv4/inet_timewait_sock.c)

use super::{
    inet_sock::{
        self,
        Inet, //
    },
    net::State,
    ports::Binding,
    tcp::Tcp,
    tcp_ipv4::{
        self,
        Sender, //
    },
    tcp_request::jiffies,
};
use crate::{
    abstractions::{
        ehash::Found,
        memory::Arc,
        minisock::{
            Mini,
            MiniCache,
            MiniKind,
            MiniRef, //
        },
        netns::Net,
        proto::{
            self,
            Protocol as _, //
        },
        sock::Sock, //
    },
    bindings,
    stack::{
        counters::Counter,
        drop_reason::DropReason,
        socket::FourTuple,
        tcp::{
            self,
            SeqNum,
            Surroundings,
            TwAction,
            TIMEWAIT_LEN, //
        },
        time::{
            Duration,
            Instant, //
        },
        wire::ipv4::Addr, //
    },
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::prelude::*;

/// The value of a TIME_WAIT object.
pub(crate) struct TimeWait {
    tw: tcp::TimeWait,
    /// How many the namespace has: this one is counted as long as it lives.
    count: Arc<AtomicU32>,
    /// The port of the connection: not free before this goes.
    binding: Option<Binding>,
}

/// Small things are small: the limit for what stands for a connection that is no more.
/// A kernel that checks its locks keeps notes in each of them, in C as here.
const _: () =
    assert!(cfg!(CONFIG_DEBUG_LOCK_ALLOC) || core::mem::size_of::<Mini<TimeWait>>() <= 256);

impl Drop for TimeWait {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let (Some(b), Some(ports)) = (self.binding.take(), Tcp::ports()) {
            ports.release(b);
        }
    }
}

static CACHE: MiniCache<TimeWait> = MiniCache::new();

impl MiniKind for TimeWait {
    const NAME: &'static CStr = c"rustnet_timewait";
    const STATE: u8 = bindings::TCP_TIME_WAIT as u8;

    fn cache() -> &'static MiniCache<Self> {
        &CACHE
    }

    fn on_timer(mini: &MiniRef<Self>) {
        if let Some(state) = State::of(mini.net()) {
            remove(state, mini);
        }
    }
}

/// Leaves `tw` in the table in the place of the socket, with the port that was picked for that. Without
/// memory, or when there are too many already, the socket just goes.
///
/// Mirrors [`tcp_time_wait`](srctree/net/ipv4/tcp_minisocks.c)
pub(super) fn leave(
    so: &Sock<Tcp>,
    id: &FourTuple,
    tw: tcp::TimeWait,
    timeout: Duration,
    port: &mut Option<Binding>,
) {
    let net = so.net();
    let Some(state) = State::of(net) else {
        return;
    };
    if state.time_waits.load(Ordering::Relaxed) >= net.sysctl().tcp_max_tw_buckets() {
        state.counts.event(Counter::TcpTimeWaitOverflow);
        return;
    }
    let mut bound = inet_sock::bound_of(so, false);
    bound.time_wait = true;
    let binding = Tcp::ports().and_then(|ports| match inet_sock::port_is_users(so) {
        // He may want it again.
        true => ports.inherit(port.as_ref()?, bound).ok(),
        false => ports.exchange(port.take()?, bound).ok(),
    });
    let name = inet_sock::name(net, id);
    let family = proto::family() as u16;
    let count = state.time_waits.clone();
    count.fetch_add(1, Ordering::Relaxed);
    let value = TimeWait { tw, count, binding };
    let Some(mini) = MiniRef::new(&name, family, so.bound_dev_if(), value) else {
        state.counts.event(Counter::TcpTimeWaitOverflow);
        return;
    };
    if Tcp::table().replace_by_time_wait(so, &mini, &name) {
        // One user of the namespace in the place of another.
        state.counts.event(Counter::TimeWaited);
        mini.mod_timer_hashed(jiffies(timeout));
    }
}

/// Takes a TIME_WAIT out of the table and lets its timer go.
///
/// Mirrors [`inet_twsk_deschedule_put`](srctree/net/ipv4/inet_timewait_sock.c)
pub(super) fn remove(state: &State, mini: &MiniRef<TimeWait>) {
    if Tcp::table().remove_time_wait(mini) {
        state.remove_user(mini.num());
    }
    mini.del_timer();
}

/// Whether a new connection of ours between the same ends may take the TIME_WAIT's place, and where its
/// numbers must then begin.
///
/// Mirrors [`tcp_twsk_unique`](srctree/net/ipv4/tcp_ipv4.c)
pub(super) fn reusable(mini: &Mini<TimeWait>, id: &FourTuple, now: Instant) -> Option<SeqNum> {
    let local = id.saddr.is_loopback() || id.daddr.is_loopback() || id.saddr == id.daddr;
    mini.lock().tw.reusable(mini.net().sysctl(), local, now)
}

/// What a segment for a TIME_WAIT calls for.
pub(super) enum Verdict {
    /// Drop it.
    Drop(DropReason),
    /// It has been answered.
    Done,
    /// It opens a new connection, whose numbers of ours must begin there.
    Syn(SeqNum),
}

/// A segment for a TIME_WAIT.
///
/// Mirrors [`tcp_timewait_state_process`](srctree/net/ipv4/tcp_minisocks.c)
pub(super) fn rcv(state: &State, mini: &MiniRef<TimeWait>, seg: &tcp::Segment) -> Verdict {
    let id = ends(mini);
    let mut around = Surroundings {
        sysctl: state.net.sysctl(),
        now: inet_sock::now(),
        count: &mut |c| state.counts.event(c),
    };
    let verdict = mini.lock().tw.rcv(&mut around, seg, id);
    if verdict.restart {
        mini.mod_timer_hashed(jiffies(TIMEWAIT_LEN));
    }
    let sender = Sender::none();
    match verdict.action {
        TwAction::Drop(reason) => return Verdict::Drop(reason),
        TwAction::Ack(skb) => tcp_ipv4::send(state, &sender, &id, skb),
        TwAction::Syn(floor) => return Verdict::Syn(floor),
        TwAction::Reset(skb) => {
            remove(state, mini);
            if let Some(skb) = skb {
                state.counts.event(Counter::OutRsts);
                tcp_ipv4::send(state, &sender, &id, skb);
            }
        }
        TwAction::Kill => remove(state, mini),
    }
    Verdict::Done
}

/// Removes every TIME_WAIT of a namespace, or of all: it goes away, or the module does. Process context;
/// nothing makes new ones.
///
/// Mirrors [`inet_twsk_purge`](srctree/net/ipv4/inet_timewait_sock.c)
pub(crate) fn purge(net: Option<&Net>) {
    let table = Tcp::table();
    let (connected, bound) = table.len();
    for chain in bound..bound.saturating_add(connected) {
        let mut n = 0;
        while let Some(found) = table.nth(chain, n) {
            match found {
                Found::TimeWait(mini) if net.is_none_or(|n| n.eq(mini.net())) => {
                    if table.remove_time_wait(&mini) {
                        if let Some(state) = State::of(mini.net()) {
                            state.remove_user(mini.num());
                        }
                    }
                    mini.del_timer_sync();
                }
                _ => n += 1,
            }
        }
    }
}

/// Both ends of the connection that it is left of.
fn ends(mini: &Mini<TimeWait>) -> FourTuple {
    let (saddr, daddr, sport, dport) = mini.ends();
    FourTuple {
        saddr: Addr::from_u32(saddr),
        daddr: Addr::from_u32(daddr),
        sport,
        dport,
    }
}

/// Tells `f` of a TIME_WAIT: its ends, and the state that it stands for.
pub(super) fn show(
    mini: &MiniRef<TimeWait>,
    f: impl FnOnce(&FourTuple, u8) -> core::fmt::Result,
) -> core::fmt::Result {
    let substate = mini.lock().tw.substate;
    f(&ends(mini), substate as u8)
}
