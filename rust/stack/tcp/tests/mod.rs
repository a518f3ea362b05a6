// SPDX-License-Identifier: GPL-2.0
//! Tests of the protocol, and what they stand on: [`World`], the surroundings of one socket made of
//! plain numbers, and [`Pair`], two sockets and the wire between them.
//!
//! Every test ends with [`Pair::finish`] or [`World::assert_clean`]: nothing queued, nothing charged,
//! no deadline left.

mod close;
mod collapse;
mod counted;
mod ecn;
mod gather;
mod handshake;
mod hostile;
mod memory;
mod minisocks;
mod mtu;
mod rate;
mod sack;
mod script;
mod seqnum;
mod small_queue;
mod sockside;
mod states;
mod timers;
mod transfer;
mod urgent;

use super::*;
use crate::platform::{
    MsgIter,
    Skb, //
};
use crate::stack::{
    counters::Counter,
    env::Shutdown,
    errno::Errno,
    socket::FourTuple,
    time::{
        Duration,
        Instant, //
    },
    wire::ipv4::Addr,
};
use crate::testutil::{
    next_deadline,
    pattern,
    Net,
    Wire,
    World, //
};

/// The client's view of the connection that the tests use.
pub(super) fn client_id() -> FourTuple {
    FourTuple {
        saddr: Addr::from_octets([192, 0, 2, 1]),
        daddr: Addr::from_octets([192, 0, 2, 2]),
        sport: 40_000,
        dport: 80,
    }
}

/// A socket and its surroundings.
pub(super) struct Host {
    pub(super) sock: Sock,
    pub(super) world: World,
}

impl Host {
    pub(super) fn new() -> Host {
        Host {
            sock: Sock::new(),
            world: World::new(),
        }
    }

    /// Gives the host a segment, as bytes from the TCP header on.
    pub(super) fn deliver(
        &mut self,
        bytes: &[u8],
    ) -> Result<(), crate::stack::drop_reason::DropReason> {
        let mut skb = Skb::from_bytes(bytes);
        let seg = Segment::parse(&mut skb)?;
        self.sock.v4_do_rcv(&mut self.world, skb, &seg)
    }

    /// The next deadline of either clock.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        next_deadline(&self.sock, &self.world)
    }

    /// Writes as much as is taken without waiting.
    pub(super) fn write(&mut self, data: &[u8]) -> (usize, SendStep) {
        let mut copied = 0;
        let mut msg = MsgIter::Source(data, 0);
        let step = self
            .sock
            .sendmsg(&mut self.world, &mut msg, SendFlags::default(), &mut copied);
        (copied, step)
    }

    /// Reads what is there.
    pub(super) fn read(&mut self, max: usize) -> (Vec<u8>, RecvStep) {
        let mut buf = Vec::new();
        let mut st = RecvState::new(1);
        let step = {
            let mut msg = MsgIter::Dest(&mut buf, max);
            self.sock.recvmsg(
                &mut self.world,
                &mut msg,
                max,
                RecvFlags::default(),
                &mut st,
            )
        };
        assert_eq!(buf.len(), st.copied);
        (buf, step)
    }

    /// Segments that wait to be taken to the wire, header parsed.
    pub(super) fn sent(&mut self) -> Vec<(Segment, Vec<u8>)> {
        let mut v = Vec::new();
        while let Some(mut skb) = self.world.out.pop_front() {
            let seg = Segment::parse(&mut skb).expect("our own segment");
            v.push((seg, skb.bytes()[usize::from(seg.doff)..].to_vec()));
        }
        v
    }
}

/// Two hosts and the wire between them. Time moves from event to event.
pub(super) struct Pair {
    pub(super) a: Host,
    pub(super) b: Host,
    /// Segments on their way: `true` goes to `b`.
    pub(super) net: Net<bool>,
    /// A listener on `b`'s side.
    pub(super) request: Option<listen::Request>,
    listening: bool,
}

impl Pair {
    pub(super) fn new(wire: Wire, seed: u64) -> Pair {
        Pair {
            a: Host::new(),
            b: Host::new(),
            net: Net::new(wire, seed),
            request: None,
            listening: true,
        }
    }

    /// Takes what the hosts sent onto the wire.
    pub(super) fn collect(&mut self) {
        for to_b in [true, false] {
            let host = if to_b { &mut self.a } else { &mut self.b };
            let sent: Vec<Skb> = host.world.out.drain(..).collect();
            for skb in sent {
                for bytes in self.cut(&skb) {
                    self.net.send(to_b, bytes);
                }
            }
        }
    }

    /// A GSO packet as its segments.
    fn cut(&self, skb: &Skb) -> Vec<Vec<u8>> {
        let bytes = skb.bytes();
        let doff = usize::from(bytes[12] >> 4) * 4;
        let size = usize::from(skb.gso_size());
        if size == 0 || !self.net.wire.segment {
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

    fn set_now(&mut self, now: Instant) {
        self.net.now = now;
        self.a.world.now = now;
        self.b.world.now = now;
    }

    /// Delivers the next packet or fires the next timer. `false` when nothing will ever happen.
    pub(super) fn step(&mut self) -> bool {
        self.collect();
        let packet = self.net.next_arrival();
        let timer = [self.a.next_deadline(), self.b.next_deadline()]
            .into_iter()
            .flatten()
            .min();
        let next = match (packet, timer) {
            (Some(p), Some(t)) => p.min(t),
            (Some(p), None) => p,
            (None, Some(t)) => t,
            (None, None) => return false,
        };
        self.set_now(next.max(self.net.now));
        if packet == Some(next) {
            let (to_b, bytes) = self.net.arrived().expect("a packet");
            if to_b {
                self.receive_b(&bytes);
            } else {
                let _ = self.a.deliver(&bytes);
            }
        } else {
            for h in [&mut self.a, &mut self.b] {
                if h.next_deadline().is_some_and(|t| t <= next) {
                    h.sock.on_timer(&mut h.world);
                }
            }
        }
        self.collect();
        true
    }

    /// `b`'s side: a listener until the handshake is over.
    fn receive_b(&mut self, bytes: &[u8]) {
        if self.b.sock.state != State::Close || !self.listening {
            let _ = self.b.deliver(bytes);
            return;
        }
        let mut skb = Skb::from_bytes(bytes);
        let Ok(seg) = Segment::parse(&mut skb) else {
            return;
        };
        let now = self.net.now;
        match &mut self.request {
            None => {
                if seg.flags.without(Flags::ECE.and(Flags::CWR)) != Flags::SYN {
                    return;
                }
                let cfg = listen::ListenConfig {
                    sysctl: &self.b.world.sysctl,
                    rcvbuf: self.b.world.rcvbuf,
                    rcvbuf_locked: false,
                    window_clamp: 0,
                    init_rwnd: 0,
                    mtu: self.b.world.mtu,
                    user_mss: 0,
                    defer_accept: 0,
                };
                let id = client_id().reversed();
                let mut req = listen::conn_request(&cfg, &seg, id, 0xffff_f000, 77, now);
                self.b.world.out.extend(listen::synack(&mut req, now));
                self.request = Some(req);
            }
            Some(req) => match listen::check_req(
                req,
                &mut Surroundings {
                    sysctl: &self.b.world.sysctl,
                    now,
                    count: &mut |_| {},
                },
                &seg,
            ) {
                listen::CheckReq::Establish => {
                    let req = *req;
                    let parent = Sock::new();
                    self.listening = false;
                    self.b.sock = Sock::new();
                    self.b.sock.open_request(&mut self.b.world, &req, &parent);
                    let _ = self.b.sock.v4_do_rcv(&mut self.b.world, skb, &seg);
                }
                listen::CheckReq::RetransmitSynAck => {
                    self.b.world.out.extend(listen::synack(req, now));
                }
                listen::CheckReq::Ack(skb) | listen::CheckReq::Reset(Some(skb)) => {
                    self.b.world.out.push_back(skb);
                }
                _ => {}
            },
        }
    }

    /// A connection that is open on both sides.
    pub(super) fn established(wire: Wire, seed: u64) -> Pair {
        let mut p = Pair::new(wire, seed);
        p.a.sock
            .connect(&mut p.a.world, client_id(), 0xffff_ff00, 5)
            .expect("connect");
        for _ in 0..10_000 {
            if p.a.sock.state == State::Established && p.b.sock.state == State::Established {
                return p;
            }
            if !p.step() {
                // The last ACK of the handshake was lost: data would bring it.
                assert_eq!(p.a.sock.state, State::Established, "stuck in the handshake");
                p.a.sock.send_ack(&mut p.a.world);
            }
        }
        panic!(
            "handshake did not finish: {:?} {:?}",
            p.a.sock.state, p.b.sock.state
        );
    }

    /// Closes both ends and lets everything die out.
    pub(super) fn finish(mut self) {
        for h in [&mut self.a, &mut self.b] {
            h.world.dead = true;
            h.sock.close(&mut h.world, Linger::default());
            h.sock.orphan(&mut h.world);
        }
        for _ in 0..100_000 {
            if !self.step() {
                break;
            }
        }
        for h in [&mut self.a, &mut self.b] {
            assert_eq!(h.sock.state, State::Close, "not closed");
            assert_eq!(h.next_deadline(), None, "a timer is left");
            h.sock.drop_queues(&mut h.world);
            h.world.assert_clean();
        }
    }

    /// Sends `data` from `a` to `b` (or back), reading all the time, and checks that it arrives.
    pub(super) fn transfer(&mut self, a_to_b: bool, data: &[u8]) -> Duration {
        let start = self.net.now;
        let mut written = 0;
        let mut got = Vec::new();
        let mut idle = 0;
        while got.len() < data.len() {
            let (tx, rx) = if a_to_b {
                (&mut self.a, &mut self.b)
            } else {
                (&mut self.b, &mut self.a)
            };
            if written < data.len() {
                let (n, step) = tx.write(&data[written..]);
                written += n;
                assert!(
                    !matches!(step, SendStep::Error(_)),
                    "{step:?} after {written} bytes, {:?}",
                    tx.world.error
                );
            }
            let (bytes, _) = rx.read(1 << 20);
            idle = if bytes.is_empty() { idle + 1 } else { 0 };
            got.extend_from_slice(&bytes);
            assert!(
                idle < 20_000,
                "no progress at {} of {}",
                got.len(),
                data.len()
            );
            if got.len() < data.len() {
                assert!(self.step(), "stuck at {} of {}", got.len(), data.len());
            }
        }
        assert_eq!(got, data);
        self.net.now.since(start)
    }
}

#[test]
fn sock__sizes() {
    // An idle connection must cost no more than in-tree's `struct tcp_sock`, whose object is 2432
    // bytes with an inet_sock of about 1000; a half-open or closed one at most 256 with its head of 136.
    assert!(
        core::mem::size_of::<Sock>() <= 1200,
        "{}",
        core::mem::size_of::<Sock>()
    );
    assert!(
        core::mem::size_of::<listen::Request>() <= 80,
        "{}",
        core::mem::size_of::<listen::Request>()
    );
    assert!(
        core::mem::size_of::<TimeWait>() <= 72,
        "{}",
        core::mem::size_of::<TimeWait>()
    );
    assert!(core::mem::size_of::<Cb>() <= 48);
}
