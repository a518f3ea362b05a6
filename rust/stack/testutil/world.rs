// SPDX-License-Identifier: GPL-2.0
//! The surroundings of one connection, made of plain numbers.

use crate::platform::{
    Fault,
    MsgIter,
    SkBuff, //
    Skb,
    Sysctl,
};
use crate::stack::counters::Counter;
use crate::stack::env::{
    Append,
    Env,
    Path,
    Shutdown, //
};
use crate::stack::errno::Errno;
use crate::stack::tcp::{
    Pacing,
    Sock,
    State,
    TimeWait, //
};
use crate::stack::time::{
    Duration,
    Instant, //
};
use std::cell::Cell;
use std::collections::{
    HashMap,
    VecDeque, //
};
use std::rc::Rc;

/// The surroundings of one socket.
#[derive(Debug)]
pub struct World {
    /// The time.
    pub now: Instant,
    /// The namespace's settings.
    pub sysctl: Sysctl,
    /// The path MTU, in bytes.
    pub mtu: u32,
    /// The device's MTU, where the path's is smaller, in bytes.
    pub dev_mtu: u32,
    /// The largest GSO packet of the path, in bytes.
    pub gso_max_size: u32,
    /// `SO_SNDBUF`.
    pub sndbuf: u32,
    /// `SO_RCVBUF`.
    pub rcvbuf: u32,
    /// The user fixed it.
    pub rcvbuf_locked: bool,
    /// `SO_RCVLOWAT`.
    pub rcvlowat: u32,
    /// `SO_OOBINLINE`.
    pub urg_inline: bool,
    /// A user owns the socket: what is delivered has waited for him.
    pub owned: bool,
    /// How often `SIGURG` was sent.
    pub sigurg: u32,
    /// Time stamps of acknowledged data: what they were asked as.
    pub ack_stamps: Vec<u32>,
    /// Charged to the send queue, in bytes.
    pub wmem: usize,
    /// The protocol is short of memory.
    pub pressure: bool,
    /// Somebody waits for room in the send buffer, however full it is by now (`SOCK_NOSPACE`).
    pub nospace: bool,
    /// Charged to the receive queue, in bytes.
    pub rmem: Rc<Cell<usize>>,
    /// Segments handed to IP and not taken yet.
    pub out: VecDeque<Skb>,
    /// The state as look-ups see it.
    pub state: State,
    /// The user has closed the socket.
    pub dead: bool,
    /// What is shut.
    pub shut: Shutdown,
    /// The pending error.
    pub error: Option<Errno>,
    /// `IP_RECVERR`.
    pub recverr: bool,
    /// The soft error.
    pub soft: Option<Errno>,
    /// How often readers were woken.
    pub readable: u32,
    /// How often writers were woken.
    pub writable: u32,
    /// Who paces.
    pub pacing: Pacing,
    /// The pacing rate, in bytes per second.
    pub pacing_rate: u64,
    /// `SO_MAX_PACING_RATE`, in bytes per second.
    pub max_pacing_rate: u64,
    /// Bytes that lie in the queues of this host.
    pub below: u32,
    /// The connection wants to know when some have left.
    pub throttled: bool,
    /// The TIME_WAIT that was left behind.
    pub tw: Option<(TimeWait, Duration)>,
    /// The connection is over and nobody holds it.
    pub done: bool,
    /// What was counted.
    pub counts: HashMap<Counter, u32>,
}

impl World {
    /// The surroundings of a fresh socket, one second after the origin of time.
    pub fn new() -> World {
        World {
            now: Instant::from_nanos(1_000_000_000),
            sysctl: Sysctl::default(),
            mtu: 1500,
            dev_mtu: 0,
            gso_max_size: 65_000,
            sndbuf: 87_040,
            rcvbuf: 131_072,
            rcvbuf_locked: false,
            rcvlowat: 1,
            urg_inline: false,
            owned: false,
            sigurg: 0,
            ack_stamps: Vec::new(),
            wmem: 0,
            pressure: false,
            nospace: false,
            rmem: Rc::new(Cell::new(0)),
            out: VecDeque::new(),
            state: State::Close,
            dead: false,
            shut: Shutdown::NONE,
            error: None,
            recverr: false,
            soft: None,
            readable: 0,
            writable: 0,
            pacing: Pacing::None,
            pacing_rate: u64::MAX,
            max_pacing_rate: u64::MAX,
            below: 0,
            throttled: false,
            tw: None,
            done: false,
            counts: HashMap::new(),
        }
    }

    /// How often `c` was counted.
    pub fn counted(&self, c: Counter) -> u32 {
        self.counts.get(&c).copied().unwrap_or(0)
    }

    /// Nothing of the socket's memory is charged any more.
    pub fn assert_clean(&self) {
        assert_eq!(self.wmem, 0, "send memory left");
        assert_eq!(self.rmem.get(), 0, "receive memory left");
    }
}

/// When something is due, by the coarse clock or the fine one.
pub fn next_deadline(sock: &Sock, world: &World) -> Option<Instant> {
    let fine = sock.next_fine_expiry(&world.sysctl).map(|(at, _)| at);
    [sock.next_expiry(), fine].into_iter().flatten().min()
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl Env for World {
    fn now(&self) -> Instant {
        self.now
    }

    fn sysctl(&self) -> &Sysctl {
        &self.sysctl
    }

    fn queue_xmit(&mut self, skb: Skb) -> Result<(), Errno> {
        self.out.push_back(skb);
        Ok(())
    }

    fn path(&mut self) -> Option<Path> {
        Some(Path {
            mtu: self.mtu,
            gso_max_size: self.gso_max_size,
            gso_max_segs: 64,
        })
    }

    fn adv_mtu(&mut self) -> Option<u32> {
        Some(self.dev_mtu.max(self.mtu))
    }

    fn pacing(&self) -> Pacing {
        self.pacing
    }

    fn pacing_rate(&self) -> u64 {
        self.pacing_rate
    }

    fn max_pacing_rate(&self) -> u64 {
        self.max_pacing_rate
    }

    fn pacing_shift(&self) -> u32 {
        10
    }

    fn set_pacing_rate(&mut self, rate: u64) {
        self.pacing_rate = rate.min(self.max_pacing_rate);
    }

    fn update_pmtu(&mut self, mtu: u32) -> Option<(u32, bool)> {
        self.dev_mtu = self.dev_mtu.max(self.mtu);
        self.mtu = self.mtu.min(mtu.max(552));
        Some((self.mtu, false))
    }

    fn confirm_neigh(&mut self) {}

    fn negative_advice(&mut self) {}

    fn alloc_stream(&mut self) -> Option<Skb> {
        Skb::alloc_stream()
    }

    fn append(&mut self, skb: &mut SkBuff, msg: &mut MsgIter<'_>, max: usize) -> Append {
        let before = skb.truesize();
        let n = max.min(msg.remaining()).min(32_768);
        let bytes = msg.take(n).to_vec();
        if bytes.is_empty() {
            return Append::Full;
        }
        skb.append_frag(&bytes);
        self.wmem += skb.truesize() - before;
        Append::Bytes(bytes.len())
    }

    fn tx_timestamp(&mut self, skb: &mut SkBuff, tsflags: u32, key: u32) -> bool {
        skb.set_tx_timestamp(tsflags, key);
        tsflags != 0
    }

    fn ack_timestamp(&mut self, _skb: &mut SkBuff, key: u32) {
        self.ack_stamps.push(key);
    }

    fn copy_out(
        &mut self,
        skb: &SkBuff,
        offset: usize,
        msg: &mut MsgIter<'_>,
        len: usize,
    ) -> Result<(), Fault> {
        msg.give(&skb.bytes()[offset..offset + len]);
        Ok(())
    }

    fn sndbuf(&self) -> u32 {
        self.sndbuf
    }

    fn set_sndbuf(&mut self, bytes: u32) {
        self.sndbuf = bytes.min(4 << 20);
    }

    fn rcvbuf(&self) -> u32 {
        self.rcvbuf
    }

    fn set_rcvbuf(&mut self, bytes: u32) {
        let [_, _, max] = self.sysctl.tcp_rmem();
        if !self.rcvbuf_locked {
            self.rcvbuf = bytes.min(max).max(self.rcvbuf);
        }
    }

    fn rcvbuf_locked(&self) -> bool {
        self.rcvbuf_locked
    }

    fn rcvlowat(&self) -> u32 {
        self.rcvlowat
    }

    fn backlog_len(&self) -> u32 {
        0
    }

    fn rmem_alloc(&self) -> u32 {
        self.rmem.get() as u32
    }

    fn wmem_queued(&self) -> u32 {
        self.wmem as u32
    }

    fn queued_below(&self) -> u32 {
        self.below
    }

    fn throttle(&mut self, limit: u32) -> bool {
        self.throttled = true;
        self.below > limit
    }

    fn is_throttled(&self) -> bool {
        self.throttled
    }

    fn wmem_charge(&mut self, bytes: usize) {
        self.wmem += bytes;
    }

    fn wmem_uncharge(&mut self, bytes: usize) {
        self.wmem = self
            .wmem
            .checked_sub(bytes)
            .expect("more uncharged than charged");
    }

    fn rmem_charge(&mut self, skb: &mut SkBuff, force: bool) -> bool {
        if !force && self.rmem.get() > self.rcvbuf as usize {
            return false;
        }
        skb.set_owner_r(&self.rmem);
        true
    }

    fn rmem_grow(&mut self, bytes: usize) {
        self.rmem.set(self.rmem.get() + bytes);
    }

    fn under_memory_pressure(&self) -> bool {
        self.pressure
    }

    fn buffers_may_grow(&self) -> bool {
        !self.pressure
    }

    fn set_state(&mut self, state: State) {
        self.state = state;
    }

    fn is_dead(&self) -> bool {
        self.dead
    }

    fn is_held(&self) -> bool {
        !self.dead
    }

    fn owned_by_user(&self) -> bool {
        self.owned
    }

    fn urg_inline(&self) -> bool {
        self.urg_inline
    }

    fn send_sigurg(&mut self) {
        self.sigurg += 1;
    }

    fn shutdown(&self) -> Shutdown {
        self.shut
    }

    fn add_shutdown(&mut self, bits: Shutdown) {
        self.shut = self.shut.and(bits);
    }

    fn report_error(&mut self, error: Errno) {
        self.error = Some(error);
    }

    fn wants_errors(&self) -> bool {
        self.recverr
    }

    fn set_soft_error(&mut self, error: Errno) {
        self.soft = Some(error);
    }

    fn soft_error(&self) -> Option<Errno> {
        self.soft
    }

    fn data_ready(&mut self) {
        self.readable += 1;
    }

    fn writer_waits(&self) -> bool {
        self.nospace || self.wmem >= self.sndbuf as usize
    }

    fn write_space(&mut self) {
        self.writable += 1;
    }

    fn state_change(&mut self) {}

    fn time_wait(&mut self, tw: TimeWait, timeout: Duration) {
        self.tw = Some((tw, timeout));
    }

    fn done(&mut self) {
        assert!(!self.done, "done twice");
        self.done = true;
    }

    fn random(&mut self) -> u32 {
        4
    }

    fn count_n(&mut self, event: Counter, n: u32) {
        *self.counts.entry(event).or_insert(0) += n;
    }
}
