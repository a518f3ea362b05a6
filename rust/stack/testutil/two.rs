// SPDX-License-Identifier: GPL-2.0
//! Two hosts and what happens between them.

use super::{
    FakeHost,
    Net,
    Wire, //
};
use crate::stack::wire::ipv4::Addr;

/// Two hosts and the network between them.
pub struct Two {
    /// The one that opens connections.
    pub a: FakeHost,
    /// The one that awaits them.
    pub b: FakeHost,
    /// Packets on their way: `true` goes to `b`.
    pub net: Net<bool>,
}

impl Two {
    /// 192.0.2.1 and 192.0.2.2.
    pub fn new(wire: Wire, seed: u64) -> Two {
        Two {
            a: FakeHost::new(Addr::new(192, 0, 2, 1), seed),
            b: FakeHost::new(Addr::new(192, 0, 2, 2), seed),
            net: Net::new(wire, seed),
        }
    }

    /// Puts what the hosts sent onto the wire.
    fn collect(&mut self) {
        while let Some(p) = self.a.out.pop_front() {
            self.net.send(true, p);
        }
        while let Some(p) = self.b.out.pop_front() {
            self.net.send(false, p);
        }
    }

    /// Goes on to the next event. `false` when nothing will ever happen.
    pub fn step(&mut self) -> bool {
        self.collect();
        let events = [
            self.net.next_arrival(),
            self.a.next_expiry(),
            self.b.next_expiry(),
        ];
        let Some(next) = events.into_iter().flatten().min() else {
            return false;
        };
        let now = next.max(self.net.now);
        self.net.now = now;
        self.a.set_now(now);
        self.b.set_now(now);
        match self.net.arrived() {
            Some((true, p)) => self.b.input(&p),
            Some((false, p)) => self.a.input(&p),
            None => {
                self.a.on_timer();
                self.b.on_timer();
            }
        }
        self.collect();
        true
    }

    /// Lets everything die out and checks that nothing is left.
    pub fn finish(&mut self) {
        for _ in 0..200_000 {
            if !self.step() {
                break;
            }
        }
        self.a.assert_clean();
        self.b.assert_clean();
        assert_eq!(self.net.in_flight(), 0);
    }
}
