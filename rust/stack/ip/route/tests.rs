// SPDX-License-Identifier: GPL-2.0
//! Tests of the forwarding information base.

use super::*;
use crate::platform::{
    fail_alloc,
    fail_pending,
    Vec, //
};
use proptest::prelude::*;

const ETH: i32 = 2;
const A: Addr = Addr::new(192, 168, 1, 10);
const GW: Addr = Addr::new(192, 168, 1, 1);
const FAR: Addr = Addr::new(8, 8, 8, 8);

const ROUTE: Alias = Alias {
    tos: 0,
    priority: 0,
    kind: Kind::Unicast,
    scope: Scope::UNIVERSE,
    oif: ETH,
    gateway: Addr::ANY,
    prefsrc: Addr::ANY,
    mtu: 0,
    mtu_locked: false,
    has_metrics: false,
    dead: false,
};

/// What the kernel has after `ip addr add 192.168.1.10/24 dev eth0; ip route add default via .1`.
fn host() -> Fib {
    let fib = Fib::try_new().unwrap();
    let local = Alias {
        kind: Kind::Local,
        scope: Scope::HOST,
        ..ROUTE
    };
    let lo = Alias {
        oif: LOOPBACK_IFINDEX,
        prefsrc: Addr::LOOPBACK,
        ..local
    };
    let link = Alias {
        scope: Scope::LINK,
        prefsrc: A,
        ..ROUTE
    };
    fib.insert(TABLE_LOCAL, Addr::new(127, 0, 0, 0), 8, lo)
        .unwrap();
    fib.insert(
        TABLE_LOCAL,
        A,
        32,
        Alias {
            prefsrc: A,
            ..local
        },
    )
    .unwrap();
    let broadcast = Alias {
        kind: Kind::Broadcast,
        ..link
    };
    fib.insert(TABLE_LOCAL, Addr::new(192, 168, 1, 255), 32, broadcast)
        .unwrap();
    fib.insert(TABLE_MAIN, Addr::new(192, 168, 1, 0), 24, link)
        .unwrap();
    fib.insert(
        TABLE_MAIN,
        Addr::ANY,
        0,
        Alias {
            gateway: GW,
            ..ROUTE
        },
    )
    .unwrap();
    fib
}

#[test]
fn multipath_hash__spreads_and_stays() {
    let flow = |sport| Flow {
        saddr: A,
        sport,
        dport: 80,
        protocol: 6,
        ..to(FAR)
    };
    let low = (0..1000)
        .filter(|p| flow(*p).multipath_hash(true, 7) < 1 << 30)
        .count();
    assert!((400..600).contains(&low), "{low} of 1000 in the lower half");
    for port in 0..10 {
        let hash = flow(port).multipath_hash(false, 7);
        assert_eq!(hash, flow(0).multipath_hash(false, 7), "ports do not count");
        assert!(hash < 1 << 31);
    }
}

fn to(daddr: Addr) -> Flow {
    Flow {
        daddr,
        iif: LOOPBACK_IFINDEX,
        ..Flow::default()
    }
}

#[test]
fn route_output__neighbour() {
    let d = host()
        .route_output(&to(Addr::new(192, 168, 1, 20)))
        .unwrap();
    assert_eq!((d.kind, d.oif, d.src), (Kind::Unicast, ETH, A));
    assert_eq!(
        (d.next_hop, d.via_gateway),
        (Addr::new(192, 168, 1, 20), false)
    );
}

#[test]
fn route_output__gateway() {
    let d = host().route_output(&to(FAR)).unwrap();
    assert_eq!(
        (d.kind, d.oif, d.next_hop, d.via_gateway),
        (Kind::Unicast, ETH, GW, true)
    );
    // The route names no source: glue picks an address of the device.
    assert_eq!(d.src, Addr::ANY);
}

#[test]
fn route_output__own_address_goes_by_loopback() {
    let d = host().route_output(&to(A)).unwrap();
    assert_eq!(
        (d.kind, d.oif, d.route_oif, d.src),
        (Kind::Local, LOOPBACK_IFINDEX, ETH, A)
    );
    let d = host().route_output(&to(Addr::new(127, 1, 2, 3))).unwrap();
    assert_eq!(
        (d.kind, d.oif, d.src),
        (Kind::Local, LOOPBACK_IFINDEX, Addr::LOOPBACK)
    );
}

#[test]
fn route_output__any_is_this_host() {
    let d = host().route_output(&to(Addr::ANY)).unwrap();
    assert_eq!(
        (d.kind, d.next_hop, d.src),
        (Kind::Local, Addr::LOOPBACK, Addr::LOOPBACK)
    );
    let d = host()
        .route_output(&Flow {
            saddr: A,
            ..to(Addr::ANY)
        })
        .unwrap();
    assert_eq!((d.next_hop, d.src), (A, A));
}

#[test]
fn route_output__broadcasts() {
    let d = host()
        .route_output(&to(Addr::new(192, 168, 1, 255)))
        .unwrap();
    assert_eq!((d.kind, d.oif), (Kind::Broadcast, ETH));
    // The limited broadcast follows the default route, or the device that is named.
    assert_eq!(
        host().route_output(&to(Addr::BROADCAST)).unwrap().kind,
        Kind::Broadcast
    );
    let d = host()
        .route_output(&Flow {
            oif: 7,
            ..to(Addr::BROADCAST)
        })
        .unwrap();
    assert_eq!((d.kind, d.oif), (Kind::Broadcast, 7));
}

#[test]
fn route_output__multicast() {
    let group = Addr::new(239, 1, 1, 1);
    let d = host().route_output(&to(group)).unwrap();
    // The default route says where it leaves, not that a gateway gets it.
    assert_eq!(
        (d.kind, d.oif, d.next_hop, d.via_gateway),
        (Kind::Multicast, ETH, group, false)
    );
    let fib = host();
    let via = Alias {
        gateway: GW,
        ..ROUTE
    };
    fib.insert(TABLE_MAIN, Addr::new(224, 0, 0, 0), 4, via)
        .unwrap();
    // One of its own may name one.
    let d = fib.route_output(&to(group)).unwrap();
    assert_eq!((d.next_hop, d.via_gateway), (GW, true));
    let d = host()
        .route_output(&Flow {
            oif: 7,
            ..to(Addr::new(224, 0, 0, 251))
        })
        .unwrap();
    assert_eq!((d.kind, d.oif, d.via_gateway), (Kind::Multicast, 7, false));
}

#[test]
fn route_output__impossible_addresses() {
    let fib = host();
    for saddr in [Addr::BROADCAST, Addr::new(224, 0, 0, 1)] {
        assert_eq!(
            fib.route_output(&Flow { saddr, ..to(FAR) }),
            Err(Errno::EINVAL)
        );
    }
    assert_eq!(
        fib.route_output(&to(Addr::new(0, 0, 0, 9))),
        Err(Errno::EINVAL)
    );
    let inside = Flow {
        saddr: Addr::LOOPBACK,
        ..to(FAR)
    };
    assert_eq!(fib.route_output(&inside), Err(Errno::EINVAL));
}

#[test]
fn route_output__no_route() {
    let fib = Fib::try_new().unwrap();
    assert_eq!(fib.route_output(&to(FAR)), Err(Errno::ENETUNREACH));
    // A device that is named is used all the same.
    let d = fib.route_output(&Flow { oif: 3, ..to(FAR) }).unwrap();
    assert_eq!((d.kind, d.oif, d.next_hop), (Kind::Unicast, 3, FAR));
}

#[test]
fn route_input__to_this_host_or_on() {
    let fib = host();
    let from = |saddr, daddr| {
        let flow = Flow {
            saddr,
            iif: ETH,
            ..to(daddr)
        };
        fib.route_input(&read_lock(), &flow)
    };
    for (daddr, kind, next_hop) in [
        (A, Kind::Local, A),
        (
            Addr::new(192, 168, 1, 255),
            Kind::Broadcast,
            Addr::new(192, 168, 1, 255),
        ),
        (
            Addr::new(192, 168, 1, 7),
            Kind::Unicast,
            Addr::new(192, 168, 1, 7),
        ),
        (Addr::new(9, 9, 9, 9), Kind::Unicast, GW),
    ] {
        let d = from(FAR, daddr).unwrap();
        assert_eq!((d.kind, d.next_hop, d.src), (kind, next_hop, FAR));
    }
    // A loopback source may reach this host, but goes nowhere else.
    assert!(from(Addr::LOOPBACK, A).is_ok());
    assert_eq!(from(Addr::LOOPBACK, FAR), Err(Errno::EINVAL));
    fib.remove(TABLE_MAIN, Addr::ANY, 0, 0, 0).unwrap();
    assert_eq!(from(A, FAR), Err(Errno::ENETUNREACH));
}

#[test]
fn lookup__without_rules_asks_three_tables_alone() {
    let fib = Fib::try_new().unwrap();
    for table in [1, 252, 256, 1000] {
        fib.insert(table, Addr::ANY, 0, ROUTE).unwrap();
    }
    assert_eq!(fib.lookup(&to(FAR)), Err(Errno::ENETUNREACH));
    for (table, oif) in [(TABLE_DEFAULT, 5), (TABLE_MAIN, 6), (TABLE_LOCAL, 7)] {
        fib.insert(table, Addr::ANY, 0, Alias { oif, ..ROUTE })
            .unwrap();
        assert_eq!(fib.lookup(&to(FAR)).unwrap().oif, oif);
    }
}

#[test]
fn lookup__routes_that_say_no() {
    for (kind, errno) in [
        (Kind::Blackhole, Errno::EINVAL),
        (Kind::Unreachable, Errno::EHOSTUNREACH),
        (Kind::Prohibit, Errno::EACCES),
        (Kind::Throw, Errno::ENETUNREACH),
    ] {
        let fib = host();
        let no = Alias {
            kind,
            oif: 0,
            ..ROUTE
        };
        fib.insert(TABLE_MAIN, FAR, 32, no).unwrap();
        if kind == Kind::Throw {
            // Throw goes on to the next rule, not to a shorter prefix.
            fib.insert(TABLE_DEFAULT, Addr::ANY, 0, ROUTE).unwrap();
            assert!(!fib.lookup(&to(FAR)).unwrap().via_gateway);
            fib.remove(TABLE_DEFAULT, Addr::ANY, 0, 0, 0).unwrap();
        }
        assert_eq!(fib.lookup(&to(FAR)), Err(errno), "{kind:?}");
    }
}

#[test]
fn lookup__lowest_metric_then_the_next() {
    let fib = host();
    let second = Alias {
        priority: 100,
        gateway: Addr::new(192, 168, 1, 2),
        ..ROUTE
    };
    fib.insert(TABLE_MAIN, Addr::ANY, 0, second).unwrap();
    assert_eq!(fib.lookup(&to(FAR)).unwrap().next_hop, GW);
    fib.remove(TABLE_MAIN, Addr::ANY, 0, 0, 0).unwrap();
    assert_eq!(fib.lookup(&to(FAR)).unwrap().next_hop, second.gateway);
}

#[test]
fn lookup__type_of_service_before_metric() {
    let fib = host();
    let special = Alias {
        tos: 0x10,
        priority: 500,
        oif: 9,
        ..ROUTE
    };
    fib.insert(TABLE_MAIN, Addr::ANY, 0, special).unwrap();
    assert_eq!(fib.lookup(&to(FAR)).unwrap().oif, ETH);
    // ECN's bits do not choose routes.
    assert_eq!(
        fib.lookup(&Flow {
            tos: 0x12,
            ..to(FAR)
        })
        .unwrap()
        .oif,
        9
    );
}

#[test]
fn lookup__dead_and_other_devices_are_passed_over() {
    let fib = host();
    fib.insert(
        TABLE_MAIN,
        FAR,
        32,
        Alias {
            dead: true,
            oif: 5,
            ..ROUTE
        },
    )
    .unwrap();
    assert_eq!(fib.lookup(&to(FAR)).unwrap().next_hop, GW);
    fib.insert(TABLE_MAIN, FAR, 32, Alias { oif: 5, ..ROUTE })
        .unwrap();
    assert_eq!(fib.lookup(&to(FAR)).unwrap().oif, 5);
    assert_eq!(
        fib.lookup(&Flow {
            oif: ETH,
            ..to(FAR)
        })
        .unwrap()
        .next_hop,
        GW
    );
}

#[test]
fn lookup__scope() {
    // SO_DONTROUTE: gateways are out of reach.
    let flow = Flow {
        scope: Scope::LINK,
        ..to(FAR)
    };
    assert_eq!(host().lookup(&flow), Err(Errno::ENETUNREACH));
    let near = Flow {
        scope: Scope::LINK,
        ..to(Addr::new(192, 168, 1, 20))
    };
    assert!(host().lookup(&near).is_ok());
}

#[test]
fn insert__same_rank_replaces() {
    let fib = host();
    fib.insert(TABLE_MAIN, Addr::ANY, 0, Alias { oif: 8, ..ROUTE })
        .unwrap();
    let mut n = 0;
    fib.walk((TABLE_MAIN, Addr::ANY, 0), |t, p, l, a| {
        if (t, p, l) == (TABLE_MAIN, Addr::ANY, 0) {
            n += 1;
            assert_eq!(a.oif, 8);
        }
        true
    });
    assert_eq!(n, 1);
}

#[test]
fn set_rules__policy_routing() {
    let fib = host();
    fib.insert(100, Addr::ANY, 0, Alias { oif: 7, ..ROUTE })
        .unwrap();
    let marked = Rule {
        mark: 1,
        mark_mask: 1,
        ..Rule::all(100, 100)
    };
    let from = Rule {
        src: Addr::new(10, 0, 0, 0),
        src_len: 8,
        ..Rule::all(200, 100)
    };
    let deny = Rule {
        dst: Addr::new(9, 9, 9, 9),
        dst_len: 32,
        action: Action::Prohibit,
        ..Rule::all(50, 0)
    };
    let main = Rule::all(32_766, TABLE_MAIN);
    fib.set_rules(&[Rule::all(0, TABLE_LOCAL), deny, marked, from, main])
        .unwrap();
    assert_eq!(fib.lookup(&to(FAR)).unwrap().oif, ETH);
    assert_eq!(fib.lookup(&Flow { mark: 3, ..to(FAR) }).unwrap().oif, 7);
    let flow = Flow {
        saddr: Addr::new(10, 1, 1, 1),
        ..to(FAR)
    };
    assert_eq!(fib.lookup(&flow).unwrap().oif, 7);
    assert_eq!(fib.lookup(&to(Addr::new(9, 9, 9, 9))), Err(Errno::EACCES));
}

#[test]
fn set_rules__suppress_prefixlength() {
    // wg-quick's two rules: everything unmarked into the tunnel, but what main knows better.
    let fib = host();
    fib.insert(51_820, Addr::ANY, 0, Alias { oif: 7, ..ROUTE })
        .unwrap();
    let tunnel = Rule {
        mark: 51_820,
        mark_mask: !0,
        invert: true,
        ..Rule::all(2, 51_820)
    };
    let main = Rule {
        suppress_prefixlen: 0,
        ..Rule::all(1, TABLE_MAIN)
    };
    let last = Rule::all(32_766, TABLE_MAIN);
    fib.set_rules(&[Rule::all(0, TABLE_LOCAL), main, tunnel, last])
        .unwrap();
    assert_eq!(fib.lookup(&to(FAR)).unwrap().oif, 7);
    assert_eq!(fib.lookup(&to(Addr::new(192, 168, 1, 9))).unwrap().oif, ETH);
    assert_eq!(
        fib.lookup(&Flow {
            mark: 51_820,
            ..to(FAR)
        })
        .unwrap()
        .next_hop,
        GW
    );
}

#[test]
fn genid__every_change_outdates() {
    let fib = host();
    let dst = fib.lookup(&to(FAR)).unwrap();
    assert_eq!(dst.genid, fib.genid());
    fib.insert(TABLE_MAIN, FAR, 32, ROUTE).unwrap();
    assert_ne!(dst.genid, fib.genid());
    let dst = fib.lookup(&to(FAR)).unwrap();
    fib.bump();
    assert_ne!(dst.genid, fib.genid());
}

#[test]
fn addr_type__kinds() {
    let fib = host();
    for (addr, kind) in [
        (A, Kind::Local),
        (Addr::LOOPBACK, Kind::Local),
        (Addr::new(192, 168, 1, 255), Kind::Broadcast),
        (Addr::BROADCAST, Kind::Broadcast),
        (Addr::ANY, Kind::Broadcast),
        (Addr::new(224, 0, 0, 1), Kind::Multicast),
        (FAR, Kind::Unicast),
    ] {
        assert_eq!(fib.addr_type(addr), kind, "{addr}");
    }
}

#[test]
fn remove__last_prefix_removes_the_table() {
    let fib = host();
    fib.insert(42, FAR, 32, ROUTE).unwrap();
    fib.remove(42, FAR, 32, 0, 1).unwrap();
    let has = |fib: &Fib| {
        let mut has = false;
        fib.walk((0, Addr::ANY, 0), |t, _, _, _| {
            has |= t == 42;
            true
        });
        has
    };
    assert!(has(&fib));
    fib.remove(42, FAR, 32, 0, 0).unwrap();
    assert!(!has(&fib));
    fib.remove(42, FAR, 32, 0, 0).unwrap();
}

#[test]
fn clear__leaves_the_rules() {
    let fib = host();
    fib.clear().unwrap();
    assert_eq!(fib.lookup(&to(FAR)), Err(Errno::ENETUNREACH));
    fib.insert(TABLE_MAIN, Addr::ANY, 0, ROUTE).unwrap();
    assert!(fib.lookup(&to(FAR)).is_ok());
}

#[test]
fn insert__nth_allocation_fails() {
    let fib = host();
    let dump = |fib: &Fib| {
        let mut all = Vec::new();
        fib.walk((0, Addr::ANY, 0), |t, p, l, a| {
            all.push((t, p, l, *a));
            true
        });
        all
    };
    let before = (dump(&fib), fib.genid());
    for n in 0.. {
        fail_alloc(Some(n));
        let result = fib.insert(77, Addr::new(10, 1, 0, 0), 16, ROUTE);
        if fail_pending() {
            fail_alloc(None);
            assert!(result.is_ok() && n >= 4);
            break;
        }
        assert!(result.is_err());
        assert_eq!((dump(&fib), fib.genid()), before);
    }
    for n in 0.. {
        fail_alloc(Some(n));
        let fib = Fib::try_new();
        if fail_pending() {
            fail_alloc(None);
            assert!(fib.is_ok());
            break;
        }
        assert!(fib.is_err());
    }
}

proptest! {
    /// Look-ups against every route of every table, tried one by one.
    #[test]
    fn lookup__equals_the_list(
        routes in proptest::collection::vec(
            (0u32..3, any::<[u8; 2]>(), 0u8..=32, 0u8..2, 0u32..3, any::<bool>()),
            0..40,
        ),
        probes in proptest::collection::vec((any::<[u8; 2]>(), 0u8..2), 20),
    ) {
        let fib = Fib::try_new().unwrap();
        let mut list: Vec<(u32, u32, u8, Alias)> = Vec::new();
        for (i, (t, [a, b], len, tos, priority, dead)) in routes.into_iter().enumerate() {
            let table = [TABLE_LOCAL, TABLE_MAIN, TABLE_DEFAULT][t as usize];
            let key = u32::from_be_bytes([10, a & 3, 0, b]) & Addr::mask(len);
            let alias = Alias { tos: tos * 4, priority, dead, oif: i as i32 + 10, ..ROUTE };
            fib.insert(table, Addr::from_u32(key), len, alias).unwrap();
            list.retain(|(t, k, l, old)| (*t, *k, *l, old.rank()) != (table, key, len, alias.rank()));
            list.push((table, key, len, alias));
        }
        for ([a, b], tos) in probes {
            let flow = Flow { tos: tos * 4, ..to(Addr::new(10, a & 3, 0, b)) };
            let want = [TABLE_LOCAL, TABLE_MAIN, TABLE_DEFAULT].into_iter().find_map(|table| {
                list.iter()
                    .filter(|(t, k, l, alias)| {
                        *t == table
                            && (k ^ flow.daddr.to_u32()) & Addr::mask(*l) == 0
                            && !alias.dead
                            && (alias.tos == 0 || alias.tos == flow.tos)
                    })
                    .max_by_key(|(_, _, l, alias)| (*l, alias.tos, !alias.priority))
                    .map(|(_, _, _, alias)| alias.oif)
            });
            prop_assert_eq!(fib.lookup(&flow).ok().map(|d| d.oif), want);
            // The same by the rules, one by one.
            let never = Rule { mark: 1, mark_mask: 1, ..Rule::all(1, 7) };
            fib.set_rules(&[&[never], &DEFAULT_RULES[..]].concat()).unwrap();
            prop_assert_eq!(fib.lookup(&flow).ok().map(|d| d.oif), want);
            fib.set_rules(&DEFAULT_RULES).unwrap();
        }
    }
}

#[test]
fn replace__prefixes_by_one_next_hop_share_their_routes() {
    let fib = Fib::try_new().unwrap();
    let by = |gateway: u32| Alias {
        gateway: Addr::from_u32(gateway),
        ..ROUTE
    };
    for n in 0..100u32 {
        let prefix = Addr::from_u32(0x0a00_0000 + (n << 8));
        fib.replace(TABLE_MAIN, prefix, 24, by(1 + n % 2)).unwrap();
    }
    let mut lists: Vec<*const Alias> = Vec::new();
    fib.walk((0, Addr::ANY, 0), |_, prefix, _, alias| {
        let n = (prefix.to_u32() >> 8) & 0xff;
        assert_eq!(alias.gateway, Addr::from_u32(1 + n % 2));
        lists.push(alias);
        true
    });
    assert_eq!(lists.len(), 100);
    lists.sort();
    lists.dedup();
    assert_eq!(lists.len(), 2);
}
