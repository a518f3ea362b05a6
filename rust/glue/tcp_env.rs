// SPDX-License-Identifier: GPL-2.0
//! What a TCP connection asks of the world around it.
//!
//! Wake-ups are noted and done when the stack has returned ([`TcpEnv::finish`]): only then is published
//! what the woken will look at.

use super::{
    inet_sock::{
        self,
        Inet, //
    },
    mib,
    net::State as NetState,
    ports::Binding,
    route::Route,
    tcp::{
        self as glue_tcp,
        Tcp, //
    },
    tcp_timewait,
    tx, //
};
use crate::{
    abstractions::{
        inet::random_u32,
        iov::{
            Fault,
            MsgIter, //
        },
        proto::Protocol as _,
        rx_stamp::RxStamp,
        skbuff::{
            SkBuff,
            Skb, //
        },
        sock::{
            flag,
            Sock, //
        },
        sock_lock::Owned,
        sock_mem::AppendError, //
    },
    bindings,
    platform::Sysctl,
    stack::{
        counters::Counter,
        env::{
            Append,
            Env,
            Path,
            Shutdown, //
        },
        errno::Errno,
        ip::route::metrics::Metrics,
        tcp::{
            Pacing,
            State,
            TimeWait, //
        },
        time::{
            Duration,
            Instant, //
        },
        wire::ipv4, //
    },
};

/// The bits of the TOS byte that are ECN's (RFC 3168, 5): the connection's, not the user's.
const ECN_MASK: u8 = 3;

/// Something can be read.
const READY: u8 = 1;
/// There may be room to write.
const SPACE: u8 = 2;
/// The state changed.
const CHANGE: u8 = 4;
/// The pending error was set.
const ERROR: u8 = 8;

/// The surroundings of one connection during one entry into the stack.
pub(crate) struct TcpEnv<'a> {
    sk: Owned<'a, Tcp>,
    route: &'a mut Option<Route>,
    binding: &'a mut Option<Binding>,
    now: Instant,
    wake: u8,
    /// When the data were received that were last given to the user.
    rx_stamp: RxStamp,
}

impl<'a> TcpEnv<'a> {
    #[inline]
    pub(super) fn new(
        sk: Owned<'a, Tcp>,
        route: &'a mut Option<Route>,
        binding: &'a mut Option<Binding>,
        now: Instant,
    ) -> Self {
        TcpEnv {
            sk,
            route,
            binding,
            now,
            wake: 0,
            rx_stamp: RxStamp::default(),
        }
    }

    /// When the data were received that this entry gave to the user, if he wants to know.
    #[inline]
    pub(super) fn rx_stamp(&self) -> RxStamp {
        self.rx_stamp
    }

    /// The stack has returned: does the wake-ups that it asked for.
    #[inline]
    pub(super) fn finish(self) -> Owned<'a, Tcp> {
        self.sk.reclaim();
        if self.wake != 0 {
            Self::wake_up(self.sk.sock(), self.wake);
        }
        self.sk
    }

    fn wake_up(sk: &Sock<Tcp>, wake: u8) {
        if wake & ERROR != 0 {
            sk.error_report();
        }
        if wake & CHANGE != 0 {
            sk.state_change();
            // SIGIO: connected, half closed, or over.
            match u32::from(sk.shutdown()) {
                0 => sk.wake_async(bindings::SOCK_WAKE_IO, bindings::POLL_OUT),
                bindings::SHUTDOWN_MASK => {
                    sk.wake_async(bindings::SOCK_WAKE_WAITD, bindings::POLL_HUP);
                }
                _ => sk.wake_async(bindings::SOCK_WAKE_WAITD, bindings::POLL_IN),
            }
        }
        if wake & READY != 0 {
            sk.data_ready();
        }
        if wake & SPACE != 0 && sk.nospace() {
            sk.stream_write_space();
        }
    }

    #[inline]
    fn net(&self) -> Option<&'a NetState> {
        NetState::of(self.sk.sock().net())
    }

    /// The way to the peer, looked up anew if it is outdated.
    #[inline]
    fn route(&mut self) -> Result<(&'a NetState, &Route), Errno> {
        let state = self.net().ok_or(Errno::ENETUNREACH)?;
        let sk = self.sk.sock();
        let route = inet_sock::route(state, self.route, || flow(sk))?;
        Ok((state, route))
    }
}

/// The question to the routes for a connection's packets.
pub(super) fn flow(sk: &Sock<Tcp>) -> crate::stack::ip::route::Flow {
    inet_sock::flow(sk, ipv4::Addr::from_u32(sk.daddr()))
}

impl Env for TcpEnv<'_> {
    #[inline]
    fn now(&self) -> Instant {
        self.now
    }

    #[inline]
    fn sysctl(&self) -> &Sysctl {
        self.sk.sock().net().sysctl()
    }

    /// Mirrors [`__ip_queue_xmit`](srctree/net/ipv4/ip_output.c)
    #[inline]
    fn queue_xmit(&mut self, mut skb: Skb) -> Result<(), Errno> {
        let sk = self.sk.sock();
        let now = self.now;
        let cb = skb.tcp_cb();
        let pure_ack = cb.seq == cb.end_seq;
        let (state, route) = self.route()?;
        let mut x = inet_sock::xmit(sk, &glue_tcp::id(sk), ipv4::Protocol::TCP, route);
        // RFC 6864: the identification means nothing with DF. Linux counts it all the same, for header
        // compression (`ip_select_ident_segs`).
        x.tos = (x.tos & !ECN_MASK) | (skb.tcp_cb().dsfield & ECN_MASK);
        x.id = sk.next_ip_id(skb.gso_segs().max(1));
        skb.set_priority(sk.priority());
        skb.set_mark(sk.mark());
        sk.set_owner_w(&mut skb, pure_ack);
        let mtu = route.mtu();
        tx::queue_xmit(state, route, skb, &x, mtu, sk.as_ptr(), now)
    }

    fn adv_mtu(&mut self) -> Option<u32> {
        Some(self.route().ok()?.1.adv_mtu())
    }

    #[inline]
    fn metrics(&self) -> Metrics {
        self.route
            .as_ref()
            .map_or(Metrics::default(), Route::metrics)
    }

    #[inline]
    fn path(&mut self) -> Option<Path> {
        let (_, route) = self.route().ok()?;
        let (mtu, gso_max_size, gso_max_segs) = route.limits();
        Some(Path {
            mtu,
            // Whether the device can cut packets into segments or not: where it cannot, the device layer does
            // (`NETIF_F_GSO_SOFTWARE`).
            gso_max_size,
            gso_max_segs: gso_max_segs.max(1),
        })
    }

    /// Mirrors [`inet_csk_update_pmtu`](srctree/net/ipv4/inet_connection_sock.c)
    fn update_pmtu(&mut self, mtu: u32) -> Option<(u32, bool)> {
        let sk = self.sk.sock();
        let (state, route) = self.route().ok()?;
        route.update_pmtu(state, mtu);
        // What was learned is not in the route that the socket keeps.
        let (_, route) = self.route().ok()?;
        Some((route.mtu(), !inet_sock::dont_fragment(sk, route)))
    }

    #[inline]
    fn pacing(&self) -> Pacing {
        match self.sk.sock().pacing_status() {
            bindings::sk_pacing_SK_PACING_NONE => Pacing::None,
            bindings::sk_pacing_SK_PACING_FQ => Pacing::Fq,
            _ => Pacing::Needed,
        }
    }

    #[inline]
    fn pacing_rate(&self) -> u64 {
        self.sk.sock().pacing_rate()
    }

    #[inline]
    fn max_pacing_rate(&self) -> u64 {
        self.sk.sock().max_pacing_rate()
    }

    #[inline]
    fn pacing_shift(&self) -> u32 {
        self.sk.sock().pacing_shift()
    }

    #[inline]
    fn set_pacing_rate(&mut self, rate: u64) {
        let sk = self.sk.sock();
        sk.set_pacing_rate(rate.min(sk.max_pacing_rate()));
    }

    #[inline]
    fn confirm_neigh(&mut self) {
        if let Some(route) = self.route {
            route.confirm(self.now);
        }
    }

    fn negative_advice(&mut self) {
        *self.route = None;
    }

    #[inline]
    fn alloc_stream(&mut self) -> Option<Skb> {
        Skb::alloc_stream()
    }

    #[inline]
    fn append(&mut self, skb: &mut SkBuff, msg: &mut MsgIter<'_>, max: usize) -> Append {
        match self.sk.append(skb, msg, max) {
            Ok(n) => Append::Bytes(n),
            Err(AppendError::Full) => Append::Full,
            Err(AppendError::NoMemory) => Append::NoMemory,
            Err(AppendError::Fault) => Append::Fault,
        }
    }

    fn tx_timestamp(&mut self, skb: &mut SkBuff, tsflags: u32, key: u32) -> bool {
        skb.set_tx_timestamp(tsflags, key);
        tsflags & bindings::SOF_TIMESTAMPING_TX_ACK != 0
    }

    fn ack_timestamp(&mut self, skb: &mut SkBuff, key: u32) {
        // A copy without the links of the queue that the packet stood in.
        if let Some(mut clone) = skb.clone_for_xmit() {
            self.sk.tstamp_ack(&mut clone, key);
            clone.consume();
        }
    }

    #[inline]
    fn copy_out(
        &mut self,
        skb: &SkBuff,
        offset: usize,
        msg: &mut MsgIter<'_>,
        len: usize,
    ) -> Result<(), Fault> {
        if self.sk.wants_rx_stamp() {
            self.rx_stamp = skb.rx_stamp();
        }
        msg.copy_datagram(skb, offset, len)
    }

    #[inline]
    fn sndbuf(&self) -> u32 {
        self.sk.sndbuf()
    }

    fn set_sndbuf(&mut self, bytes: u32) {
        let sk = self.sk.sock();
        if u32::from(sk.userlocks()) & bindings::SOCK_SNDBUF_LOCK == 0 {
            let [_, _, max] = sk.net().sysctl().tcp_wmem();
            sk.set_sndbuf(bytes.min(max).max(sk.sndbuf()));
        }
    }

    #[inline]
    fn rcvbuf(&self) -> u32 {
        self.sk.rcvbuf()
    }

    fn set_rcvbuf(&mut self, bytes: u32) {
        let sk = self.sk.sock();
        if u32::from(sk.userlocks()) & bindings::SOCK_RCVBUF_LOCK == 0 {
            let [_, _, max] = sk.net().sysctl().tcp_rmem();
            sk.set_rcvbuf(bytes.min(max).max(sk.rcvbuf()));
        }
    }

    #[inline]
    fn rcvbuf_locked(&self) -> bool {
        self.sk.sock().rcvbuf_locked()
    }

    #[inline]
    fn rcvlowat(&self) -> u32 {
        self.sk.sock().rcvlowat().max(1) as u32
    }

    #[inline]
    fn backlog_len(&self) -> u32 {
        self.sk.backlog_len()
    }

    #[inline]
    fn rmem_alloc(&self) -> u32 {
        self.sk.rmem_alloc()
    }

    #[inline]
    fn wmem_queued(&self) -> u32 {
        self.sk.wmem_queued()
    }

    #[inline]
    fn queued_below(&self) -> u32 {
        // One is the socket's own.
        self.sk.wmem_alloc().saturating_sub(1)
    }

    /// Mirrors [`tcp_small_queue_check`](srctree/net/ipv4/tcp_output.c)
    fn throttle(&mut self, limit: u32) -> bool {
        self.sk.sock().shared().small_queue.throttle();
        // Packets may have left before anybody could see that they were waited for.
        self.queued_below() > limit
    }

    #[inline]
    fn is_throttled(&self) -> bool {
        self.sk.sock().shared().small_queue.is_throttled()
    }

    #[inline]
    fn wmem_charge(&mut self, bytes: usize) {
        self.sk.wmem_charge(bytes);
    }

    #[inline]
    fn wmem_uncharge(&mut self, bytes: usize) {
        self.sk.wmem_uncharge(bytes);
    }

    #[inline]
    fn rmem_charge(&mut self, skb: &mut SkBuff, force: bool) -> bool {
        self.sk.set_owner_r(skb, force)
    }

    #[inline]
    fn rmem_grow(&mut self, bytes: usize) {
        self.sk.rmem_grow(bytes);
    }

    #[inline]
    fn under_memory_pressure(&self) -> bool {
        Tcp::proto().under_pressure()
    }

    #[inline]
    fn buffers_may_grow(&self) -> bool {
        !Tcp::proto().under_pressure() && Tcp::proto().below_low_mark()
    }

    /// Mirrors [`tcp_set_state`](srctree/net/ipv4/tcp.c)
    fn set_state(&mut self, state: State) {
        let sk = self.sk.sock();
        let counted = |s: u8| s == State::Established as u8 || s == State::CloseWait as u8;
        match (counted(sk.state()), counted(state as u8)) {
            (false, true) => mib::events(sk.net(), Counter::CurrEstab, 1),
            (true, false) => {
                mib::events(sk.net(), Counter::CurrEstab, u64::MAX);
                if state == State::Close {
                    mib::events(sk.net(), Counter::EstabResets, 1);
                }
            }
            _ => {}
        }
        sk.set_state(state as u8);
        if state == State::Close {
            glue_tcp::unhash(sk);
            if !inet_sock::port_is_users(sk) {
                if let (Some(b), Some(ports)) = (self.binding.take(), Tcp::ports()) {
                    ports.release(b);
                }
                sk.forget_num();
            }
        }
    }

    #[inline]
    fn is_dead(&self) -> bool {
        self.sk.flag(flag::DEAD)
    }

    #[inline]
    fn is_held(&self) -> bool {
        self.sk.is_held()
    }

    #[inline]
    fn owned_by_user(&self) -> bool {
        self.sk.owned_by_user()
    }

    #[inline]
    fn urg_inline(&self) -> bool {
        self.sk.flag(flag::URGINLINE)
    }

    fn send_sigurg(&mut self) {
        self.sk.send_sigurg();
    }

    #[inline]
    fn shutdown(&self) -> Shutdown {
        Shutdown::from_bits(self.sk.sock().shutdown())
    }

    fn add_shutdown(&mut self, bits: Shutdown) {
        let sk = self.sk.sock();
        sk.set_shutdown(sk.shutdown() | bits.bits());
        if bits == Shutdown::RCV {
            // The peer's FIN: reads end here whatever else comes.
            sk.set_flag(flag::DONE);
        }
    }

    fn report_error(&mut self, error: Errno) {
        self.sk.set_err(error.get());
        self.wake |= ERROR;
    }

    fn wants_errors(&self) -> bool {
        self.sk.inet_flag(bindings::INET_FLAGS_RECVERR)
    }

    fn set_soft_error(&mut self, error: Errno) {
        self.sk.set_err_soft(error.get());
    }

    fn soft_error(&self) -> Option<Errno> {
        Errno::from_positive(self.sk.err_soft())
    }

    #[inline]
    fn data_ready(&mut self) {
        self.wake |= READY;
    }

    #[inline]
    fn writer_waits(&self) -> bool {
        self.sk.nospace()
    }

    #[inline]
    fn write_space(&mut self) {
        self.wake |= SPACE;
    }

    fn state_change(&mut self) {
        self.wake |= CHANGE;
    }

    /// Mirrors [`tcp_time_wait`](srctree/net/ipv4/tcp_minisocks.c)
    fn time_wait(&mut self, tw: TimeWait, timeout: Duration) {
        let sk = self.sk.sock();
        tcp_timewait::leave(sk, &glue_tcp::id(sk), tw, timeout, self.binding);
    }

    fn done(&mut self) {
        glue_tcp::unhash(self.sk.sock());
    }

    #[inline]
    fn random(&mut self) -> u32 {
        random_u32()
    }

    #[inline]
    fn count_n(&mut self, event: Counter, n: u32) {
        mib::events(self.sk.sock().net(), event, u64::from(n));
    }
}
