// SPDX-License-Identifier: GPL-2.0
//! Tests of ARP: two hosts that resolve each other, and those who try to confuse them.

use super::*;
use crate::platform::Vec;
use crate::stack::neigh::Output;
use crate::stack::time::Duration;
use proptest::prelude::*;

const A: ipv4::Addr = ipv4::Addr::new(10, 0, 0, 1);
const B: ipv4::Addr = ipv4::Addr::new(10, 0, 0, 2);
const MAC_A: ethernet::Addr = ethernet::Addr([2, 0, 0, 0, 0, 1]);
const MAC_B: ethernet::Addr = ethernet::Addr([2, 0, 0, 0, 0, 2]);
const P: Params = Params::DEFAULT;

const LINK: Link = Link {
    ifindex: 2,
    mtu: 1500,
    addr: MAC_A,
    broadcast: ethernet::Addr::BROADCAST,
    has_header: true,
    noarp: false,
};

fn at(ms: u64) -> Instant {
    Instant::ZERO.plus(Duration::from_millis(1_000_000 + ms))
}

fn ctx(link: &Link, tip_is_local: bool, answer: bool, ms: u64) -> Context<'_> {
    Context {
        link,
        tip_is_local,
        answer,
        params: &P,
        now: at(ms),
    }
}

fn heard(repr: Repr, unicast: bool) -> Heard {
    Heard { repr, unicast }
}

fn reply() -> Repr {
    Repr {
        operation: Operation::REPLY,
        sha: MAC_B,
        sip: B,
        tha: MAC_A,
        tip: A,
    }
}

fn bytes(repr: &Repr) -> Vec<u8> {
    create(repr).unwrap().bytes().to_vec()
}

fn create_b(table: &Table<()>) -> Arc<Neigh<()>> {
    let key = Key {
        ifindex: 2,
        addr: B,
    };
    table
        .lookup_or_create(key, None, || (), &P, at(0), &mut SkbQueue::new())
        .unwrap()
}

/// A packet from A, as IP would hand it over.
fn packet() -> Skb {
    let mut b = [0u8; 28];
    b[0] = 0x45;
    b[12..16].copy_from_slice(&A.octets());
    Skb::from_bytes(&b)
}

#[test]
fn rcv__resolves() {
    let table = Table::try_new(1).unwrap();
    let n = create_b(&table);
    let Output::Then(effects) = n.output(packet(), &P, at(0)) else {
        panic!()
    };
    let s = effects.solicit.unwrap();
    assert_eq!(s.hint, Some(A));
    let from = source(&s, |a| a == A, |_| unreachable!());
    let (question, to) = request(&s, &LINK, from);
    assert_eq!(
        (question.sip, question.tip, to),
        (A, B, ethernet::Addr::BROADCAST)
    );

    // At B, in mode replace: it answers, and learns.
    let other = Table::try_new(2).unwrap();
    let link_b = Link {
        addr: MAC_B,
        ..LINK
    };
    let h = check(&bytes(&question), &link_b, PacketType::Broadcast).unwrap();
    let learned = rcv(
        &other,
        h,
        &ctx(&link_b, true, true, 1),
        || (),
        &mut SkbQueue::new(),
    );
    assert_eq!(learned.reply, Some(reply()));
    let (a, effects) = learned.neigh.unwrap();
    assert!(effects.send.is_empty());
    assert_eq!((a.state(), a.addr()), (Nud::Stale, Some(MAC_A)));

    // Back at A: the packet leaves.
    let h = check(&bytes(&reply()), &LINK, PacketType::Host).unwrap();
    let learned = rcv(
        &table,
        h,
        &ctx(&LINK, true, true, 2),
        || (),
        &mut SkbQueue::new(),
    );
    let (_, effects) = learned.neigh.unwrap();
    assert_eq!((effects.send.len(), effects.ha), (1, MAC_B));
    assert_eq!(n.state(), Nud::Reachable);
    assert!(matches!(
        n.output(packet(), &P, at(3)),
        Output::Send(_, MAC_B)
    ));
}

#[test]
fn rcv__in_coexist_the_host_answers() {
    let table = Table::<()>::try_new(1).unwrap();
    let question = Repr {
        operation: Operation::REQUEST,
        ..reply()
    };
    let learned = rcv(
        &table,
        heard(question, false),
        &ctx(&LINK, true, false, 0),
        || (),
        &mut SkbQueue::new(),
    );
    assert_eq!(learned.reply, None);
    assert!(learned.neigh.is_none() && table.is_empty());
}

#[test]
fn rcv__strangers_fill_no_table() {
    let table = Table::<()>::try_new(1).unwrap();
    for i in 0..1000 {
        let r = Repr {
            sip: ipv4::Addr::from_u32(0x0a01_0000 + i),
            ..reply()
        };
        for r in [
            r,
            Repr { tip: r.sip, ..r },
            Repr {
                operation: Operation::REQUEST,
                ..r
            },
        ] {
            let c = ctx(&LINK, false, true, 0);
            let learned = rcv(&table, heard(r, false), &c, || (), &mut SkbQueue::new());
            assert!(learned.neigh.is_none() && learned.reply.is_none());
        }
    }
    assert!(table.is_empty());
}

#[test]
fn rcv__first_answer_wins_for_a_second() {
    let table = Table::try_new(1).unwrap();
    let n = create_b(&table);
    let _ = n.output(packet(), &P, at(0));
    let c = ctx(&LINK, true, true, 0);
    let _ = rcv(
        &table,
        heard(reply(), true),
        &c,
        || (),
        &mut SkbQueue::new(),
    );
    let forged = Repr {
        sha: ethernet::Addr([2, 0, 0, 0, 0, 9]),
        ..reply()
    };
    let _ = rcv(
        &table,
        heard(forged, true),
        &ctx(&LINK, true, true, 500),
        || (),
        &mut SkbQueue::new(),
    );
    assert_eq!(n.addr(), Some(MAC_B));
    let _ = rcv(
        &table,
        heard(forged, true),
        &ctx(&LINK, true, true, 1500),
        || (),
        &mut SkbQueue::new(),
    );
    assert_eq!(n.addr(), Some(forged.sha));
}

#[test]
fn rcv__gratuitous_arp_moves_a_known_neighbour() {
    let table = Table::try_new(1).unwrap();
    let n = create_b(&table);
    let _ = n.output(packet(), &P, at(0));
    let _ = rcv(
        &table,
        heard(reply(), true),
        &ctx(&LINK, true, true, 0),
        || (),
        &mut SkbQueue::new(),
    );
    let moved = Repr {
        sha: ethernet::Addr([2, 0, 0, 0, 0, 7]),
        tip: B,
        ..reply()
    };
    let _ = rcv(
        &table,
        heard(moved, false),
        &ctx(&LINK, false, true, 10),
        || (),
        &mut SkbQueue::new(),
    );
    assert_eq!((n.addr(), n.state()), (Some(moved.sha), Nud::Stale));
}

#[test]
fn rcv__probe_teaches_nothing() {
    // RFC 5227: somebody wants to know whether our address is free. It is not.
    let table = Table::<()>::try_new(1).unwrap();
    let probe = Repr {
        operation: Operation::REQUEST,
        sip: ipv4::Addr::ANY,
        tha: ethernet::Addr::ZERO,
        ..reply()
    };
    let h = check(&bytes(&probe), &LINK, PacketType::Broadcast).unwrap();
    let learned = rcv(
        &table,
        h,
        &ctx(&LINK, true, true, 0),
        || (),
        &mut SkbQueue::new(),
    );
    assert_eq!(
        learned.reply.map(|r| (r.sip, r.tip, r.tha)),
        Some((A, ipv4::Addr::ANY, MAC_B))
    );
    assert!(table.is_empty());
}

#[test]
fn check__refuses() {
    let ok = reply();
    let group = ipv4::Addr::new(224, 0, 0, 1);
    assert!(check(&bytes(&ok), &LINK, PacketType::Host).is_ok());
    for bad in [
        Repr {
            operation: Operation(3),
            ..ok
        },
        Repr {
            sha: ethernet::Addr::BROADCAST,
            ..ok
        },
        Repr {
            sha: ethernet::Addr::ZERO,
            ..ok
        },
        Repr {
            sha: ethernet::Addr([1, 0, 0x5e, 0, 0, 1]),
            ..ok
        },
        Repr { tip: group, ..ok },
        Repr {
            tip: ipv4::Addr::LOOPBACK,
            ..ok
        },
        Repr { sip: group, ..ok },
        Repr {
            sip: ipv4::Addr::LOOPBACK,
            ..ok
        },
        Repr {
            sip: ipv4::Addr::BROADCAST,
            ..ok
        },
    ] {
        let result = check(&bytes(&bad), &LINK, PacketType::Host);
        assert_eq!(result, Err(DropReason::ArpHdr), "{bad:?}");
    }
    assert_eq!(
        check(&bytes(&ok), &LINK, PacketType::Otherhost),
        Err(DropReason::Otherhost)
    );
    let lo = Link {
        noarp: true,
        ..LINK
    };
    assert_eq!(
        check(&bytes(&ok), &lo, PacketType::Host),
        Err(DropReason::ArpHdr)
    );
}

#[test]
fn source__prefers_the_waiting_packet() {
    let s = Solicit {
        target: B,
        to: None,
        hint: Some(A),
    };
    let other = ipv4::Addr::new(10, 0, 0, 9);
    assert_eq!(source(&s, |_| true, |_| other), A);
    // A packet that is forwarded has somebody else's source.
    assert_eq!(source(&s, |_| false, |_| other), other);
    assert_eq!(
        source(&Solicit { hint: None, ..s }, |_| true, |_| other),
        other
    );
}

proptest! {
    #[test]
    fn check__any_bytes(b in proptest::collection::vec(any::<u8>(), 0..64), fix in any::<bool>()) {
        let mut b: Vec<u8> = b;
        if fix && b.len() >= 8 {
            b[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        }
        if let Ok(h) = check(&b, &LINK, PacketType::Broadcast) {
            let table = Table::<()>::try_new(1).unwrap();
            let _ = rcv(&table, h, &ctx(&LINK, true, true, 0), || (), &mut SkbQueue::new());
        }
    }
}
