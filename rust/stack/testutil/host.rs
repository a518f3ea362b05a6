// SPDX-License-Identifier: GPL-2.0
//! A host for tests: the stack's layers put together as glue does it, in a page.
//!
//! Packets come in as bytes and go out as bytes, with IP headers and checksums that are right or
//! wrong; tables are maps; the user is the test.

mod input;

use super::net::Rng;
use super::world::{
    next_deadline,
    World, //
};
use crate::platform::{
    MsgIter,
    Skb,
    Sysctl, //
};
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::errno::Errno;
use crate::stack::ip;
use crate::stack::socket::FourTuple;
use crate::stack::tcp::listen::{
    synack,
    Request,
    Retry, //
};
use crate::stack::tcp::{
    Flags,
    Linger,
    RecvFlags,
    RecvState,
    RecvStep,
    SendFlags,
    SendStep,
    Sock,
    State,
    TimeWait, //
};
use crate::stack::time::Instant;
use crate::stack::wire::checksum;
use crate::stack::wire::ipv4::{
    Addr,
    Protocol, //
};
use std::collections::{
    BTreeMap,
    HashMap,
    VecDeque, //
};

/// A connection and its surroundings.
pub struct Conn {
    /// The protocol.
    pub sock: Sock,
    /// The rest.
    pub world: World,
}

impl Conn {
    fn next_deadline(&self) -> Option<Instant> {
        next_deadline(&self.sock, &self.world)
    }
}

/// A port on which connections are awaited.
struct Listener {
    parent: Sock,
    accepted: VecDeque<FourTuple>,
    backlog: usize,
}

/// An IPv4 host with TCP.
pub struct FakeHost {
    /// Its address.
    pub addr: Addr,
    /// The time.
    pub now: Instant,
    /// Its connections, those that the user closed included.
    pub conns: BTreeMap<FourTuple, Conn>,
    /// Packets that left and were not taken yet.
    pub out: VecDeque<Vec<u8>>,
    /// Packets that were dropped.
    pub drops: HashMap<DropReason, u32>,
    /// The settings.
    pub sysctl: Sysctl,
    /// The path MTU of new connections, in bytes.
    pub mtu: u32,
    listeners: HashMap<u16, Listener>,
    requests: BTreeMap<FourTuple, (Request, Instant)>,
    time_waits: BTreeMap<FourTuple, (TimeWait, Instant)>,
    rng: Rng,
    /// How connections that are over ended.
    errors: BTreeMap<FourTuple, Errno>,
    counts: HashMap<Counter, u32>,
}

impl FakeHost {
    /// A host without connections.
    pub fn new(addr: Addr, seed: u64) -> FakeHost {
        FakeHost {
            addr,
            now: Instant::from_nanos(1_000_000_000),
            conns: BTreeMap::new(),
            out: VecDeque::new(),
            drops: HashMap::new(),
            sysctl: Sysctl::default(),
            mtu: 1500,
            listeners: HashMap::new(),
            requests: BTreeMap::new(),
            time_waits: BTreeMap::new(),
            rng: Rng::new(seed ^ u64::from(addr.to_u32())),
            errors: BTreeMap::new(),
            counts: HashMap::new(),
        }
    }

    /// Awaits connections on `port`.
    pub fn listen(&mut self, port: u16, backlog: usize) {
        let listener = Listener {
            parent: Sock::new(),
            accepted: VecDeque::new(),
            backlog,
        };
        self.listeners.insert(port, listener);
    }

    /// Opens a connection.
    pub fn connect(&mut self, daddr: Addr, dport: u16, sport: u16) -> FourTuple {
        let id = FourTuple {
            saddr: self.addr,
            daddr,
            sport,
            dport,
        };
        let mut conn = Conn {
            sock: Sock::new(),
            world: self.world(),
        };
        let (isn, ts_offset) = (self.rng.next_u32(), self.rng.next_u32());
        conn.sock
            .connect(&mut conn.world, id, isn, ts_offset)
            .expect("connect");
        self.conns.insert(id, conn);
        self.after(id);
        id
    }

    /// The next connection that came in on `port`.
    pub fn accept(&mut self, port: u16) -> Option<FourTuple> {
        self.listeners.get_mut(&port)?.accepted.pop_front()
    }

    /// Writes as much as is taken without waiting.
    pub fn write(&mut self, id: FourTuple, data: &[u8]) -> (usize, SendStep) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return (0, SendStep::Error(Errno::EPIPE));
        };
        let mut copied = 0;
        let mut msg = MsgIter::Source(data, 0);
        let flags = SendFlags::default();
        let step = conn
            .sock
            .sendmsg(&mut conn.world, &mut msg, flags, &mut copied);
        self.after(id);
        (copied, step)
    }

    /// Reads what is there, `max` bytes at the most.
    pub fn read(&mut self, id: FourTuple, max: usize) -> (Vec<u8>, RecvStep) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return (Vec::new(), RecvStep::Done);
        };
        let mut buf = Vec::new();
        let mut st = RecvState::new(1);
        let mut msg = MsgIter::Dest(&mut buf, max);
        let flags = RecvFlags::default();
        let step = conn
            .sock
            .recvmsg(&mut conn.world, &mut msg, max, flags, &mut st);
        self.after(id);
        (buf, step)
    }

    /// Closes a connection; the protocol goes on by itself.
    pub fn close(&mut self, id: FourTuple) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.world.dead = true;
            conn.sock.close(&mut conn.world, Linger::default());
            conn.sock.orphan(&mut conn.world);
        }
        self.after(id);
    }

    /// The state of a connection; [`State::TimeWait`] if that is what is left of it.
    pub fn state(&self, id: FourTuple) -> State {
        match (
            self.conns.get(&id),
            self.time_waits.get(&id),
            self.requests.get(&id),
        ) {
            (Some(c), _, _) if c.sock.state != State::Close => c.sock.state,
            (_, Some((tw, _)), _) => tw.substate,
            (_, _, Some(_)) => State::SynRecv,
            _ => State::Close,
        }
    }

    /// The error with which a connection ended.
    pub fn error(&self, id: FourTuple) -> Option<Errno> {
        let live = self.conns.get(&id).and_then(|c| c.world.error);
        live.or_else(|| self.errors.get(&id).copied())
    }

    /// How often `c` was counted, in all connections.
    pub fn counted(&self, c: Counter) -> u32 {
        let live: u32 = self.conns.values().map(|conn| conn.world.counted(c)).sum();
        live + self.counts.get(&c).copied().unwrap_or(0)
    }

    /// The surroundings of a new connection.
    fn world(&self) -> World {
        World {
            now: self.now,
            sysctl: self.sysctl.clone(),
            mtu: self.mtu,
            ..World::new()
        }
    }

    /// After an entry into a connection: sends what it sent, keeps what it left behind.
    fn after(&mut self, id: FourTuple) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let out: Vec<Skb> = conn.world.out.drain(..).collect();
        if let Some((tw, timeout)) = conn.world.tw.take() {
            self.time_waits.insert(id, (tw, self.now.plus(timeout)));
        }
        if conn.world.dead && conn.sock.state == State::Close {
            conn.sock.drop_queues(&mut conn.world);
            assert_eq!(conn.next_deadline(), None, "a timer of a closed connection");
            conn.world.assert_clean();
            if let Some(e) = conn.world.error {
                self.errors.insert(id, e);
            }
            for (c, n) in &conn.world.counts {
                *self.counts.entry(*c).or_default() += n;
            }
            self.conns.remove(&id);
        }
        for skb in out {
            self.transmit(id, skb);
        }
    }

    /// IP, and the device: header, segmentation, checksums.
    fn transmit(&mut self, id: FourTuple, mut skb: Skb) {
        let size = usize::from(skb.gso_size());
        let x = ip::output::Xmit {
            saddr: id.saddr,
            daddr: id.daddr,
            protocol: Protocol::TCP,
            tos: 0,
            ttl: 64,
            dont_fragment: true,
            id: 0,
        };
        ip::queue_xmit(&mut skb, &x).expect("headroom");
        for mut segment in cut(&skb.bytes()[20..], size) {
            let len = segment.len();
            segment[16..18].fill(0);
            let pseudo = checksum::pseudo_header(id.saddr, id.daddr, Protocol::TCP.0, len as u32);
            let check = checksum::finish(checksum::partial(&segment, pseudo));
            segment[16..18].copy_from_slice(&check.to_be_bytes());
            // Twenty bytes of headroom, where the packet that was cut had its own header.
            let mut packet = Skb::from_bytes(&[&[0; 20], &segment[..]].concat());
            packet.pull(20);
            ip::queue_xmit(&mut packet, &x).expect("headroom");
            self.out.push_back(packet.bytes().to_vec());
        }
    }

    /// When [`FakeHost::on_timer`] must be called.
    pub fn next_expiry(&self) -> Option<Instant> {
        let conns = self.conns.values().filter_map(|c| c.next_deadline());
        let requests = self.requests.values().map(|r| r.1);
        let time_waits = self.time_waits.values().map(|t| t.1);
        conns.chain(requests).chain(time_waits).min()
    }

    /// Time has come to `now`.
    pub fn set_now(&mut self, now: Instant) {
        self.now = now;
        for conn in self.conns.values_mut() {
            conn.world.now = now;
        }
    }

    /// Does what is due.
    pub fn on_timer(&mut self) {
        let now = self.now;
        self.time_waits.retain(|_, (_, until)| *until > now);
        let ids: Vec<FourTuple> = self
            .conns
            .iter()
            .filter(|(_, c)| c.next_deadline().is_some_and(|t| t <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.sock.on_timer(&mut conn.world);
            }
            self.after(id);
        }
        let due: Vec<FourTuple> = self
            .requests
            .iter()
            .filter(|(_, r)| r.1 <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some((req, at)) = self.requests.get_mut(&id) else {
                continue;
            };
            match req.on_timeout(&self.sysctl) {
                Retry::Wait(timeout) => *at = now.plus(timeout),
                Retry::Resend(timeout) => {
                    *at = now.plus(timeout);
                    if let Some(skb) = synack(req, now) {
                        self.transmit(id, skb);
                    }
                }
                Retry::GiveUp => {
                    self.requests.remove(&id);
                }
            }
        }
    }

    /// Nothing is left: no connection, no half-open one, no TIME_WAIT, no packet.
    pub fn assert_clean(&self) {
        let left: Vec<_> = self
            .conns
            .iter()
            .map(|(id, c)| (*id, c.sock.state))
            .collect();
        assert!(left.is_empty(), "connections left: {left:?}");
        assert!(self.requests.is_empty(), "half-open connections left");
        assert!(self.time_waits.is_empty(), "TIME_WAITs left");
        assert!(self.out.is_empty(), "packets left");
    }
}

/// A GSO packet, from the TCP header on, as its segments.
pub fn cut(bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    let doff = usize::from(bytes[12] >> 4) * 4;
    if size == 0 {
        return vec![bytes.to_vec()];
    }
    let (header, payload) = bytes.split_at(doff);
    let seq = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let n = payload.len().div_ceil(size);
    payload
        .chunks(size)
        .enumerate()
        .map(|(i, chunk)| {
            let mut seg = header.to_vec();
            seg[4..8].copy_from_slice(&seq.wrapping_add((i * size) as u32).to_be_bytes());
            if i + 1 != n {
                seg[13] &= !(Flags::FIN.and(Flags::PSH).bits());
            }
            seg.extend_from_slice(chunk);
            seg
        })
        .collect()
}
