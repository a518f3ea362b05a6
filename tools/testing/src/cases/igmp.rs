// SPDX-License-Identifier: GPL-2.0
//! Groups, and what a host tells routers of them: A is in groups, and a router, which is the test, asks and listens at B.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::kstate;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::wait;
use netlab::Family;

use crate::case::Case;
use crate::case::Ctx;

mod router;

use router::*;

const G: &str = "igmp";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "joining_and_leaving_are_told", joins)
        .veth()
        .fresh(),
    Case::one(G, "changes_of_sources_are_told", sources)
        .veth()
        .fresh(),
    Case::one(G, "what_several_sockets_want_together", together)
        .veth()
        .fresh(),
    Case::one(G, "questions_of_version_3_are_answered", queries)
        .veth()
        .fresh(),
    Case::one(G, "a_router_of_version_2_is_understood", version_2)
        .veth()
        .fresh(),
    Case::one(G, "a_report_that_is_heard_is_not_repeated", suppressed)
        .veth()
        .fresh(),
    Case::one(G, "force_igmp_version", forced).veth().fresh(),
    Case::one(G, "a_device_that_comes_up_tells_everything", up)
        .veth()
        .fresh(),
    Case::one(G, "a_device_takes_the_frames_of_its_groups", filter)
        .veth()
        .fresh(),
    Case::one(G, "no_more_groups_and_sources_than_may_be", limits)
        .veth()
        .fresh(),
    Case::one(G, "errnos_of_source_filters", errnos)
        .veth()
        .fresh(),
    Case::one(G, "a_device_goes_before_its_groups_are_left", gone)
        .veth()
        .fresh(),
    Case::one(G, "nonsense_is_dropped", nonsense).veth().fresh(),
    Case::own(G, "groups_outlive_a_change_of_the_mode", modes).fresh(),
];

fn joins(ctx: &Ctx) -> Result<()> {
    let router = Router::new(ctx)?;
    let (s, _) = member(ctx)?;
    let (join, leave) = (one(TO_EX, GROUP, &[]), one(TO_IN, GROUP, &[]));
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears_twice(&join)?;
    router.hears_nothing(Duration::from_millis(400))?;
    set(&s, c::IP_DROP_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_DROP_MEMBERSHIP")?;
    router.hears_twice(&leave)?;
    router.hears_nothing(Duration::from_millis(400))?;
    // The same in the words of RFC 3678.
    let req = group_req(ctx, GROUP, None)?;
    set(&s, MCAST_JOIN_GROUP, &req).sys("MCAST_JOIN_GROUP")?;
    router.hears_twice(&join)?;
    set(&s, MCAST_LEAVE_GROUP, &req).sys("MCAST_LEAVE_GROUP")?;
    router.hears_twice(&leave)?;
    // And by closing the socket.
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears_twice(&join)?;
    drop(s);
    router.hears_twice(&leave)
}

fn sources(ctx: &Ctx) -> Result<()> {
    let router = Router::new(ctx)?;
    let (s, _) = member(ctx)?;
    let [a, b] = [source(1), source(2)];
    let join = |from| mreq_source(ctx, GROUP, from);
    set(&s, c::IP_ADD_SOURCE_MEMBERSHIP, &join(a)).sys("IP_ADD_SOURCE_MEMBERSHIP")?;
    router.hears_twice(&one(ALLOW, GROUP, &[a]))?;
    let req = group_req(ctx, GROUP, Some(b))?;
    set(&s, MCAST_JOIN_SOURCE_GROUP, &req).sys("MCAST_JOIN_SOURCE_GROUP")?;
    router.hears_twice(&one(ALLOW, GROUP, &[b]))?;
    set(&s, c::IP_DROP_SOURCE_MEMBERSHIP, &join(a)).sys("IP_DROP_SOURCE_MEMBERSHIP")?;
    router.hears_twice(&one(BLOCK, GROUP, &[a]))?;
    // From some to all but some.
    let but = msfilter(ctx, GROUP, true, &[a]);
    set(&s, c::IP_MSFILTER, &but).sys("IP_MSFILTER")?;
    router.hears_twice(&one(TO_EX, GROUP, &[a]))?;
    let req = group_req(ctx, GROUP, Some(b))?;
    set(&s, MCAST_BLOCK_SOURCE, &req).sys("MCAST_BLOCK_SOURCE")?;
    router.hears_twice(&one(BLOCK, GROUP, &[b]))?;
    set(&s, MCAST_UNBLOCK_SOURCE, &req).sys("MCAST_UNBLOCK_SOURCE")?;
    router.hears_twice(&one(ALLOW, GROUP, &[b]))?;
    // Back, and out by taking the last one away.
    let mut full = group_req(ctx, GROUP, None)?;
    full.extend(1u32.to_ne_bytes());
    full.extend(1u32.to_ne_bytes());
    full.extend(storage(b));
    set(&s, MCAST_MSFILTER, &full).sys("MCAST_MSFILTER")?;
    router.hears_twice(&one(TO_IN, GROUP, &[b]))?;
    set(&s, MCAST_LEAVE_SOURCE_GROUP, &req).sys("MCAST_LEAVE_SOURCE_GROUP")?;
    router.hears_twice(&one(BLOCK, GROUP, &[b]))?;
    let left = set(&s, c::IP_DROP_MEMBERSHIP, &mreq(ctx, GROUP));
    want_errno("left already", left, c::EADDRNOTAVAIL)
}

fn together(ctx: &Ctx) -> Result<()> {
    let router = Router::new(ctx)?;
    let (s, _) = member(ctx)?;
    let (t, _) = member(ctx)?;
    let [a, b] = [source(1), source(2)];
    set(&s, c::IP_ADD_SOURCE_MEMBERSHIP, &mreq_source(ctx, GROUP, a)).sys("s wants one")?;
    router.hears_twice(&one(ALLOW, GROUP, &[a]))?;
    set(&t, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("t wants all")?;
    router.hears_twice(&one(TO_EX, GROUP, &[]))?;
    set(&t, c::IP_BLOCK_SOURCE, &mreq_source(ctx, GROUP, b)).sys("but one")?;
    router.hears_twice(&one(BLOCK, GROUP, &[b]))?;
    // Which s wants, so that nobody is told anything.
    set(&t, c::IP_BLOCK_SOURCE, &mreq_source(ctx, GROUP, a)).sys("and another")?;
    router.hears_nothing(Duration::from_millis(400))?;
    drop(t);
    router.hears_twice(&one(TO_IN, GROUP, &[a]))
}

fn queries(ctx: &Ctx) -> Result<()> {
    let router = Router::new(ctx)?;
    let (s, _) = member(ctx)?;
    let [a, b, other] = [source(1), source(2), source(3)];
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears_twice(&one(TO_EX, GROUP, &[]))?;
    for from in [a, b] {
        let join = mreq_source(ctx, OTHER, from);
        set(&s, c::IP_ADD_SOURCE_MEMBERSHIP, &join).sys("IP_ADD_SOURCE_MEMBERSHIP")?;
        router.hears_twice(&one(ALLOW, OTHER, &[from]))?;
    }
    router.asks(2, None, &[])?;
    let all = vec![(IS_IN, OTHER, vec![a, b]), (IS_EX, GROUP, vec![])];
    router.hears(&Said::Records(all))?;
    router.asks(2, Some(GROUP), &[])?;
    router.hears(&one(IS_EX, GROUP, &[]))?;
    router.asks(2, Some(OTHER), &[b, other])?;
    router.hears(&one(IS_IN, OTHER, &[b]))?;
    // Nothing of what is not wanted, and of groups that A is not in.
    router.asks(2, Some(OTHER), &[other])?;
    router.asks(2, Some(Ipv4Addr::new(239, 9, 9, 9)), &[])?;
    router.hears_nothing(Duration::from_millis(500))?;
    router.asks(2, Some(GROUP), &[other])?;
    router.hears(&one(IS_EX, GROUP, &[]))
}

fn version_2(ctx: &Ctx) -> Result<()> {
    let router = Router::new(ctx)?;
    let (s, _) = member(ctx)?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears_twice(&one(TO_EX, GROUP, &[]))?;
    router.word(QUERY, 2, None)?;
    router.hears(&Said::Word(REPORT_V2, GROUP))?;
    router.word(QUERY, 2, Some(GROUP))?;
    router.hears(&Said::Word(REPORT_V2, GROUP))?;
    router.word(QUERY, 2, Some(OTHER))?;
    router.hears_nothing(Duration::from_millis(500))?;
    set(&s, c::IP_DROP_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_DROP_MEMBERSHIP")?;
    router.hears(&Said::Word(LEAVE_V2, GROUP))?;
    let devconf = format!(
        "net/ipv4/conf/{}/igmpv2_unsolicited_report_interval",
        ctx.lab.a.dev
    );
    ctx.lab.a.ns.sysctl(&devconf, "200")?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, OTHER)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears(&Said::Word(REPORT_V2, OTHER))?;
    router.hears(&Said::Word(REPORT_V2, OTHER))?;
    router.hears_nothing(Duration::from_millis(500))
}

fn suppressed(ctx: &Ctx) -> Result<()> {
    let router = Router::new(ctx)?;
    let (s, _) = member(ctx)?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears_twice(&one(TO_EX, GROUP, &[]))?;
    // Within 25 s: A's answer cannot but come later than what it hears at once.
    router.word(QUERY, 250, Some(GROUP))?;
    router.word(REPORT_V2, 0, Some(GROUP))?;
    // Whoever was not the last to report leaves without a word.
    set(&s, c::IP_DROP_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_DROP_MEMBERSHIP")?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, OTHER)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears(&Said::Word(REPORT_V2, OTHER))?;
    set(&s, c::IP_DROP_MEMBERSHIP, &mreq(ctx, OTHER)).sys("IP_DROP_MEMBERSHIP")?;
    router.hears(&Said::Word(LEAVE_V2, OTHER))
}

fn forced(ctx: &Ctx) -> Result<()> {
    let router = Router::new(ctx)?;
    let (s, _) = member(ctx)?;
    let a = &ctx.lab.a;
    let name = format!("net/ipv4/conf/{}/force_igmp_version", a.dev);
    a.ns.sysctl(&name, "2")?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears(&Said::Word(REPORT_V2, GROUP))?;
    router.asks(2, Some(GROUP), &[])?;
    router.hears(&Said::Word(REPORT_V2, GROUP))?;
    a.ns.sysctl(&name, "1")?;
    let third = Ipv4Addr::new(239, 7, 8, 9);
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, third)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears(&Said::Word(REPORT_V1, third))?;
    // Version 1 knows no leaving.
    set(&s, c::IP_DROP_MEMBERSHIP, &mreq(ctx, third)).sys("IP_DROP_MEMBERSHIP")?;
    a.ns.sysctl(&name, "0")?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, OTHER)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears(&one(TO_EX, OTHER, &[]))?;
    // Of groups of the link nobody is told if the administrator does not want it.
    a.ns.sysctl("net/ipv4/igmp_link_local_mcast_reports", "0")?;
    let local = Ipv4Addr::new(224, 0, 0, 251);
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, local)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears(&one(TO_EX, OTHER, &[]))?;
    router.hears_nothing(Duration::from_millis(400))
}

fn up(ctx: &Ctx) -> Result<()> {
    let (s, _) = member(ctx)?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_ADD_MEMBERSHIP")?;
    let router = Router::new(ctx)?;
    while router.next(Duration::from_millis(400))?.is_some() {}
    let a = &ctx.lab.a;
    a.ns.ip(&format!("link set {} down", a.dev))?;
    a.ns.ip(&format!("link set {} up", a.dev))?;
    router.hears_twice(&one(TO_EX, GROUP, &[]))
}

/// The group addresses whose frames A's device takes.
fn taken(ctx: &Ctx) -> Result<String> {
    let a = &ctx.lab.a;
    let all = a.ns.proc_net("dev_mcast")?;
    let own = all
        .lines()
        .filter(|l| l.split_whitespace().nth(1) == Some(&a.dev));
    Ok(own.collect::<Vec<_>>().join("\n"))
}

fn filter(ctx: &Ctx) -> Result<()> {
    const MAC: &str = "01005e010203";
    let (s, _) = member(ctx)?;
    let (t, _) = member(ctx)?;
    check!(!taken(ctx)?.contains(MAC), "before");
    for s in [&s, &t] {
        set(s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_ADD_MEMBERSHIP")?;
    }
    check!(taken(ctx)?.contains(MAC), "while two are in the group");
    drop(s);
    check!(taken(ctx)?.contains(MAC), "while one is in the group");
    let a = &ctx.lab.a;
    a.ns.ip(&format!("link set {} down", a.dev))?;
    a.ns.ip(&format!("link set {} up", a.dev))?;
    check!(taken(ctx)?.contains(MAC), "after the device was down");
    drop(t);
    check!(!taken(ctx)?.contains(MAC), "after the last has left");
    Ok(())
}

fn limits(ctx: &Ctx) -> Result<()> {
    let (s, _) = member(ctx)?;
    let a = &ctx.lab.a;
    a.ns.sysctl("net/ipv4/igmp_max_memberships", "3")?;
    a.ns.sysctl("net/ipv4/igmp_max_msf", "2")?;
    for n in 0..3 {
        let group = mreq(ctx, Ipv4Addr::new(239, 0, 0, n));
        set(&s, c::IP_ADD_MEMBERSHIP, &group).sys("IP_ADD_MEMBERSHIP")?;
    }
    let more = set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP));
    want_errno("a fourth group", more, c::ENOBUFS)?;
    let first = Ipv4Addr::new(239, 0, 0, 0);
    for n in 0..2 {
        let but = mreq_source(ctx, first, source(n));
        set(&s, c::IP_BLOCK_SOURCE, &but).sys("IP_BLOCK_SOURCE")?;
    }
    let more = set(&s, c::IP_BLOCK_SOURCE, &mreq_source(ctx, first, source(9)));
    want_errno("a third source", more, c::ENOBUFS)?;
    let three = msfilter(ctx, first, true, &[source(1), source(2), source(3)]);
    want_errno("three at once", set(&s, c::IP_MSFILTER, &three), c::ENOBUFS)
}

fn errnos(ctx: &Ctx) -> Result<()> {
    let (s, _) = member(ctx)?;
    let of = |n| mreq_source(ctx, GROUP, source(n));
    let wants =
        |what: &str, name, value: &[u8], errno| want_errno(what, set(&s, name, value), errno);
    wants("not joined", c::IP_BLOCK_SOURCE, &of(1), c::EINVAL)?;
    let filter = msfilter(ctx, GROUP, true, &[source(1)]);
    wants("a filter first", c::IP_MSFILTER, &filter, c::EINVAL)?;
    set(&s, c::IP_ADD_SOURCE_MEMBERSHIP, &of(1)).sys("IP_ADD_SOURCE_MEMBERSHIP")?;
    wants(
        "twice the same",
        c::IP_ADD_SOURCE_MEMBERSHIP,
        &of(1),
        c::EADDRNOTAVAIL,
    )?;
    wants("the other mode", c::IP_BLOCK_SOURCE, &of(1), c::EINVAL)?;
    wants(
        "one that is not named",
        c::IP_DROP_SOURCE_MEMBERSHIP,
        &of(2),
        c::EADDRNOTAVAIL,
    )?;
    let short = &of(1)[..11];
    wants("too short", c::IP_ADD_SOURCE_MEMBERSHIP, short, c::EINVAL)?;
    wants("too short", c::IP_ADD_MEMBERSHIP, &short[..7], c::EINVAL)?;
    let nobody = [[10, 77, 0, 1], [10, 9, 9, 9], source(1).octets()].concat();
    wants("no group", c::IP_ADD_SOURCE_MEMBERSHIP, &nobody, c::EINVAL)?;
    let nowhere = [GROUP.octets(), [10, 9, 9, 9]].concat();
    wants("no device", c::IP_ADD_MEMBERSHIP, &nowhere, c::ENODEV)?;
    let mut odd = msfilter(ctx, GROUP, true, &[source(1)]);
    odd[8] = 7;
    wants("no mode", c::IP_MSFILTER, &odd, c::EINVAL)?;
    odd[12] = 5;
    wants("fewer than it says", c::IP_MSFILTER, &odd, c::EINVAL)?;
    let mut req = group_req(ctx, GROUP, Some(source(3)))?;
    req[8] = c::AF_INET6 as u8;
    wants(
        "a group of IPv6",
        MCAST_JOIN_SOURCE_GROUP,
        &req,
        c::EADDRNOTAVAIL,
    )?;
    wants("a group of IPv6", MCAST_JOIN_GROUP, &req, c::EINVAL)?;
    // Wanting nobody is leaving.
    let none = msfilter(ctx, GROUP, false, &[]);
    set(&s, c::IP_MSFILTER, &none).sys("IP_MSFILTER")?;
    wants("once more", c::IP_MSFILTER, &none, c::EADDRNOTAVAIL)
}

fn gone(ctx: &Ctx) -> Result<()> {
    let (s, _) = member(ctx)?;
    let a = &ctx.lab.a;
    a.ns.ip("link add d0 type dummy\naddr add 10.9.0.1/24 dev d0\nlink set d0 up")?;
    let join = [GROUP.octets(), [10, 9, 0, 1]].concat();
    set(&s, c::IP_ADD_MEMBERSHIP, &join).sys("IP_ADD_MEMBERSHIP")?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("on another device")?;
    // Which does not wait for the socket.
    a.ns.ip("link del d0")?;
    set(&s, c::IP_DROP_MEMBERSHIP, &join).sys("left by an address that is gone")?;
    let twice = set(&s, c::IP_DROP_MEMBERSHIP, &join);
    want_errno("left twice", twice, c::EADDRNOTAVAIL)?;
    set(&s, c::IP_DROP_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_DROP_MEMBERSHIP")?;
    a.ns.ip("link add d0 type dummy\naddr add 10.9.0.1/24 dev d0\nlink set d0 up")?;
    set(&s, c::IP_ADD_MEMBERSHIP, &join).sys("on a device of the same name")?;
    a.ns.ip("link del d0")?;
    // The socket is closed as a member by a device that is gone.
    drop(s);
    Ok(())
}

fn nonsense(ctx: &Ctx) -> Result<()> {
    let router = Router::new(ctx)?;
    let (s, _) = member(ctx)?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("IP_ADD_MEMBERSHIP")?;
    router.hears_twice(&one(TO_EX, GROUP, &[]))?;
    let a = &ctx.lab.a;
    let counts = |name: &str| -> Result<Option<u64>> {
        match ctx.family() {
            Family::INET => Ok(None),
            _ => Ok(kstate::rustnet_stat(&a.ns)?.get(name).copied()),
        }
    };
    let names = ["drop.SKB_CSUM", "drop.PKT_TOO_SMALL"];
    let before = [counts(names[0])?, counts(names[1])?];
    let mut query = vec![QUERY, 1, 0, 0];
    query.extend(GROUP.octets());
    router.say_as_it_is(GROUP, &query)?;
    query.extend([2, 125, 0xff, 0xff]);
    router.say(GROUP, query.clone())?;
    router.say(GROUP, query[..10].to_vec())?;
    router.say(GROUP, vec![QUERY, 1, 0, 0, 0, 0])?;
    router.say(GROUP, [&[0x77, 9, 0, 0][..], &[0x77; 400]].concat())?;
    router.hears_nothing(Duration::from_millis(400))?;
    router.asks(1, Some(GROUP), &[])?;
    router.hears(&one(IS_EX, GROUP, &[]))?;
    let replace =
        a.ns.enter(|| std::fs::read_to_string("/proc/sys/net/rustnet/mode"));
    if replace.is_ok_and(|m| m.trim() == "replace") {
        let after = [counts(names[0])?, counts(names[1])?];
        let more = |i: usize| after[i].zip(before[i]).map(|(a, b)| a - b);
        check_eq!((more(0), more(1)), (Some(1), Some(3)), "counted drops");
    }
    Ok(())
}

fn modes(ctx: &Ctx) -> Result<()> {
    let router = Router::new(ctx)?;
    let a = &ctx.lab.a;
    let mode = |m| a.ns.sysctl("net/rustnet/mode", m);
    mode("coexist")?;
    let (s, port) = member(ctx)?;
    let hears = |group, what: &str| -> Result<()> {
        let b = ctx.lab.b.udp(Family::INET)?;
        set(&b, c::IP_MULTICAST_IF, &ctx.lab.b.ip.octets()).sys("IP_MULTICAST_IF")?;
        let to = SocketAddrV4::new(group, port);
        b.sendto(what.as_bytes(), 0, to).sys("sendto the group")?;
        wait::poll_fd(&s, c::POLLIN, wait::PATIENCE)?;
        let mut buf = [0; 50];
        let (n, _) = s.recvfrom(&mut buf, c::MSG_DONTWAIT).sys(what)?;
        check_eq!(&buf[..n], what.as_bytes(), "what A heard");
        Ok(())
    };
    let hosts = |group: Ipv4Addr| -> Result<bool> {
        let hex = format!("{:08X}", u32::from_ne_bytes(group.octets()));
        Ok(a.ns.proc_net("igmp")?.contains(&hex))
    };
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, GROUP)).sys("join in coexist")?;
    router.hears_twice(&one(TO_EX, GROUP, &[]))?;
    check!(hosts(GROUP)?, "the host speaks in coexist");
    mode("replace")?;
    set(&s, c::IP_ADD_MEMBERSHIP, &mreq(ctx, OTHER)).sys("join in replace")?;
    router.hears_twice(&one(TO_EX, OTHER, &[]))?;
    check!(!hosts(OTHER)?, "the host does not speak in replace");
    hears(GROUP, "old in replace")?;
    hears(OTHER, "new in replace")?;
    router.asks(1, Some(GROUP), &[])?;
    router.hears(&one(IS_EX, GROUP, &[]))?;
    router.asks(1, Some(OTHER), &[])?;
    router.hears(&one(IS_EX, OTHER, &[]))?;
    mode("coexist")?;
    check!(hosts(OTHER)?, "the host speaks in coexist again");
    router.hears_twice(&one(TO_EX, OTHER, &[]))?;
    hears(GROUP, "old in coexist")?;
    hears(OTHER, "new in coexist")?;
    mode("replace")?;
    check!(!hosts(OTHER)?, "and again does not");
    while router.next(Duration::from_millis(400))?.is_some() {}
    hears(OTHER, "new in replace again")?;
    mode("coexist")?;
    while router.next(Duration::from_millis(400))?.is_some() {}
    // Each is left where it is held.
    for group in [GROUP, OTHER] {
        set(&s, c::IP_DROP_MEMBERSHIP, &mreq(ctx, group)).sys("IP_DROP_MEMBERSHIP")?;
        router.hears_twice(&one(TO_IN, group, &[]))?;
        check!(!hosts(group)?, "left for good");
    }
    Ok(())
}
