// SPDX-License-Identifier: GPL-2.0
//! An independent TCP as the peer: smoltcp on the other end of the same network, in both roles.

#![allow(non_snake_case)]

use rustnet_stack::stack::socket::FourTuple;
use rustnet_stack::stack::tcp::{SendStep, State};
use rustnet_stack::stack::time::{Duration, Instant};
use rustnet_stack::stack::wire::ipv4::Addr;
use rustnet_stack::testutil::{pattern, FakeHost, Net, Wire};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::collections::VecDeque;

/// smoltcp's end of the wire.
#[derive(Default)]
struct Phy {
    rx: VecDeque<Vec<u8>>,
    tx: VecDeque<Vec<u8>>,
}

struct Rx(Vec<u8>);
struct Tx<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; len];
        let result = f(&mut bytes);
        self.0.push_back(bytes);
        result
    }
}

impl Device for Phy {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Rx, Tx<'_>)> {
        self.rx.pop_front().map(|p| (Rx(p), Tx(&mut self.tx)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = 1500;
        caps
    }
}

/// RustNet (`us`, 192.0.2.1) and smoltcp (192.0.2.2).
struct World {
    us: FakeHost,
    iface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    phy: Phy,
    /// `true` goes to smoltcp.
    net: Net<bool>,
}

const PEER: Addr = Addr::new(192, 0, 2, 2);

fn at(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(now.as_micros() as i64)
}

impl World {
    fn new(wire: Wire, seed: u64) -> World {
        let mut phy = Phy::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let net = Net::new(wire, seed);
        let mut iface = Interface::new(config, &mut phy, at(net.now));
        iface.update_ip_addrs(|a| {
            a.push(IpCidr::new(IpAddress::v4(192, 0, 2, 2), 24))
                .unwrap();
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; 65_535]);
        let mut sockets = SocketSet::new(vec![]);
        let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
        World {
            us: FakeHost::new(Addr::new(192, 0, 2, 1), seed),
            iface,
            sockets,
            handle,
            phy,
            net,
        }
    }

    fn peer(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn collect(&mut self) {
        while let Some(p) = self.us.out.pop_front() {
            self.net.send(true, p);
        }
        while let Some(p) = self.phy.tx.pop_front() {
            self.net.send(false, p);
        }
    }

    fn step(&mut self) -> bool {
        self.iface
            .poll(at(self.net.now), &mut self.phy, &mut self.sockets);
        self.collect();
        let theirs = self.iface.poll_at(at(self.net.now), &self.sockets);
        let theirs = theirs.map(|t| {
            let t = Instant::from_nanos(t.total_micros() as u64 * 1000);
            // "At once" comes back for things that a poll just did not do: not before a while.
            t.max(self.net.now.plus(Duration::from_micros(1)))
        });
        let events = [self.net.next_arrival(), self.us.next_expiry(), theirs];
        let Some(next) = events.into_iter().flatten().min() else {
            return false;
        };
        let now = next.max(self.net.now);
        self.net.now = now;
        self.us.set_now(now);
        match self.net.arrived() {
            Some((true, p)) => self.phy.rx.push_back(p),
            Some((false, p)) => self.us.input(&p),
            None => self.us.on_timer(),
        }
        self.collect();
        true
    }

    /// Both send `n` bytes, read the other's, and close.
    fn converse(&mut self, mut id: Option<FourTuple>, n: usize, what: &str) {
        let (up, down) = (pattern(n), pattern(n + 7));
        let (mut up_written, mut down_written) = (0, 0);
        let (mut up_got, mut down_got) = (Vec::new(), Vec::new());
        let (mut we_closed, mut peer_closed) = (false, false);
        for i in 0.. {
            assert!(i < 3_000_000, "no end: {what}");
            if id.is_none() {
                id = self.us.accept(80);
            }
            if let Some(id) = id {
                if up_written < n {
                    let (k, step) = self.us.write(id, &up[up_written..]);
                    let bad = matches!(step, SendStep::Error(_));
                    assert!(!bad, "{what}: {step:?} {:?}", self.us.error(id));
                    up_written += k;
                }
                down_got.extend(self.us.read(id, 1 << 20).0);
                if !we_closed && up_written == n && down_got.len() == down.len() {
                    self.us.close(id);
                    we_closed = true;
                }
            }
            let peer = self.peer();
            if peer.can_send() && down_written < down.len() {
                down_written += peer.send_slice(&down[down_written..]).unwrap();
            }
            while peer.can_recv() {
                peer.recv(|b| {
                    up_got.extend_from_slice(b);
                    (b.len(), ())
                })
                .unwrap();
            }
            if !peer_closed && down_written == down.len() && up_got.len() == n {
                peer.close();
                peer_closed = true;
            }
            if we_closed && peer_closed {
                break;
            }
            assert!(self.step(), "stuck: {what}");
        }
        assert!(up_got == up, "{what}: up");
        assert!(down_got == down, "{what}: down");
        for _ in 0..200_000 {
            if !self.step() {
                break;
            }
        }
        self.us.assert_clean();
        // In CLOSING and LAST-ACK smoltcp 0.12 stops its timer at any segment that does not acknowledge
        // its FIN: one that was lost is not sent again, and it stays there. Our side is over all the
        // same.
        let state = self.peer().state();
        let over = matches!(
            state,
            tcp::State::Closed | tcp::State::Closing | tcp::State::LastAck
        );
        assert!(over, "{what}: {state}");
    }
}

fn we_connect(wire: Wire, seed: u64, n: usize) {
    let mut w = World::new(wire, seed);
    w.peer().listen(7).unwrap();
    let id = w.us.connect(PEER, 7, 40_000);
    w.converse(Some(id), n, &format!("we connect, seed {seed}, {wire:?}"));
}

fn peer_connects(wire: Wire, seed: u64, n: usize) {
    let mut w = World::new(wire, seed);
    w.us.listen(80, 5);
    let World {
        iface,
        sockets,
        handle,
        ..
    } = &mut w;
    let cx = iface.context();
    let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
    socket
        .connect(cx, (IpAddress::v4(192, 0, 2, 1), 80), 50_000)
        .unwrap();
    w.converse(None, n, &format!("peer connects, seed {seed}, {wire:?}"));
}

#[test]
fn smoltcp__kind_wire_both_roles() {
    we_connect(Wire::clean(), 1, 1_000_000);
    peer_connects(Wire::clean(), 1, 1_000_000);
}

#[test]
fn smoltcp__grid_both_roles() {
    for loss in [0, 20, 60] {
        for reorder in [0, 100] {
            for duplicate in [0, 50] {
                for corrupt in [0, 20] {
                    for seed in 0..2 {
                        let wire = Wire {
                            loss,
                            reorder,
                            duplicate,
                            corrupt,
                            ..Wire::clean()
                        };
                        we_connect(wire, seed, 40_000);
                        peer_connects(wire, seed, 40_000);
                    }
                }
            }
        }
    }
}

#[test]
fn smoltcp__nobody_listens_there() {
    let mut w = World::new(Wire::clean(), 1);
    let id = w.us.connect(PEER, 7, 40_000);
    while w.us.state(id) == State::SynSent {
        assert!(w.step());
    }
    let refused = rustnet_stack::stack::errno::Errno::ECONNREFUSED;
    assert_eq!(w.us.error(id), Some(refused));
    w.us.close(id);
    w.us.assert_clean();
}

#[test]
fn smoltcp__nobody_listens_here() {
    let mut w = World::new(Wire::clean(), 1);
    let World {
        iface,
        sockets,
        handle,
        ..
    } = &mut w;
    let cx = iface.context();
    let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
    socket
        .connect(cx, (IpAddress::v4(192, 0, 2, 1), 81), 50_000)
        .unwrap();
    for _ in 0..20 {
        w.step();
    }
    assert_eq!(w.peer().state(), tcp::State::Closed);
    w.us.assert_clean();
}
