// SPDX-License-Identifier: GPL-2.0
//! UDP beyond request and answer: the error queue, what control messages choose, several messages as one
//! datagram and one as several, groups.

use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::payload::Stream;
use netlab::sock::sockaddr_in;
use netlab::sock::Message;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::Errno;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "datagram";
const SOL_UDP: i32 = 17;
const UDP_CORK: i32 = 1;
const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;
const SO_NO_CHECK: i32 = 11;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "IP_RECVERR_queues_what_ICMP_says", recverr),
    Case::one(G, "IP_RECVERR_tells_the_MTU_of_EMSGSIZE", recverr_local).veth(),
    Case::one(G, "IP_RECVERR_tells_of_a_silent_neighbour", recverr_neigh)
        .veth()
        .fresh(),
    Case::two(G, "IP_PKTINFO_chooses_the_source", pktinfo)
        .veth()
        .fresh(),
    Case::two(G, "IP_RECVORIGDSTADDR", origdstaddr),
    Case::two(G, "MSG_MORE_joins_messages", more),
    Case::two(G, "UDP_CORK_joins_messages", cork),
    Case::two(G, "corked_beyond_the_longest_EMSGSIZE", cork_too_long),
    Case::two(G, "UDP_SEGMENT_cuts_a_message", segment),
    Case::two(G, "UDP_SEGMENT_of_joined_messages", segment_cork),
    Case::one(G, "UDP_SEGMENT_refuses_what_does_not_fit", segment_errnos).veth(),
    Case::two(G, "UDP_GRO_tells_the_size", gro).veth(),
    Case::two(G, "SO_NO_CHECK_sends_no_checksum", no_check).veth(),
    Case::two(G, "a_group_is_heard_between_join_and_leave", group).veth(),
    Case::two(G, "of_a_group_one_source", group_source)
        .veth()
        .fresh(),
    Case::one(G, "a_group_is_heard_by_the_sender's_host", group_loop).veth(),
    Case::one(
        G,
        "a_broadcast_is_heard_by_the_sender's_host",
        broadcast_loop,
    )
    .veth(),
    Case::one(G, "membership_errnos", group_errnos).veth(),
    Case::two(G, "a_query_for_groups_is_answered", group_query)
        .veth()
        .fresh(),
    Case::one(G, "the_filter_of_a_group_reads_back", group_filter)
        .veth()
        .fresh(),
];

/// `sendmsg(2)` with a control message: level, type and data.
fn sendmsg(
    s: &Sock,
    buf: &[u8],
    to: SocketAddrV4,
    (level, ty, data): (i32, i32, &[u8]),
) -> Result<usize, Errno> {
    // `struct cmsghdr`: its length, level, type; then the data, padded to whole words.
    let mut control = (16 + data.len()).to_ne_bytes().to_vec();
    control.extend_from_slice(&level.to_ne_bytes());
    control.extend_from_slice(&ty.to_ne_bytes());
    control.extend_from_slice(data);
    control.resize(control.len().next_multiple_of(8), 0);
    let (iov, name) = ([IoSlice::new(buf)], sockaddr_in(c::AF_INET, to));
    let hdr = uapi::Msghdr {
        iov: &iov[..],
        control: Some(&control[..]),
        name: Some(&name),
    };
    uapi::sendmsg(s.as_raw_fd(), &hdr, 0)
}

/// The data of a control message.
fn control(m: &Message, level: i32, ty: i32) -> Option<&[u8]> {
    let found = m.control.iter().find(|(l, t, _)| (*l, *t) == (level, ty));
    found.map(|(_, _, d)| &d[..])
}

/// What `struct sock_extended_err` begins with: errno, origin, type, code; then its `ee_info`, and who told.
fn error(m: &Message) -> Option<(i32, [u8; 3], u32, Ipv4Addr)> {
    let d = control(m, c::IPPROTO_IP, c::IP_RECVERR)?;
    let word = |at: usize| u32::from_ne_bytes([d[at], d[at + 1], d[at + 2], d[at + 3]]);
    let who = Ipv4Addr::new(d[20], d[21], d[22], d[23]);
    Some((word(0) as i32, [d[4], d[5], d[6]], word(8), who))
}

fn recverr(ctx: &Ctx) -> Result<()> {
    // Other cases have had their answers from there a moment ago.
    ctx.lab.b.ns.sysctl("net/ipv4/icmp_ratelimit", "0")?;
    let to = {
        let gone = ctx.server_udp()?;
        gone.local().sys("name")?
    };
    let a = ctx.udp()?;
    a.set(c::IPPROTO_IP, c::IP_RECVERR, 1).sys("IP_RECVERR")?;
    want_errno(
        "an empty queue",
        a.recv(&mut [0; 1], c::MSG_ERRQUEUE),
        c::EAGAIN,
    )?;
    a.sendto(b"anybody?", 0, to).sys("sendto")?;
    let ev = a.await_events(c::POLLIN).sys("poll")?;
    check!(ev & c::POLLERR != 0, "events {ev:#x}");
    let mut buf = [0; 50];
    let m = a.recvmsg(&mut buf, c::MSG_ERRQUEUE).sys("recvmsg")?;
    check_eq!(&buf[..m.len], b"anybody?", "what had been sent");
    check_eq!(m.from, to, "to whom");
    check!(m.flags & c::MSG_ERRQUEUE != 0, "msg_flags {:#x}", m.flags);
    // Origin ICMP, destination unreachable, port unreachable.
    let want = (c::ECONNREFUSED, [2, 3, 3], 0, *to.ip());
    check_eq!(error(&m), Some(want), "the error");
    want_errno(
        "recv once told",
        a.recv(&mut buf, c::MSG_DONTWAIT),
        c::EAGAIN,
    )
}

fn recverr_local(ctx: &Ctx) -> Result<()> {
    let a = ctx.udp()?;
    a.set(c::IPPROTO_IP, c::IP_RECVERR, 1).sys("IP_RECVERR")?;
    a.set(c::IPPROTO_IP, c::IP_MTU_DISCOVER, 2)
        .sys("IP_MTU_DISCOVER")?;
    let to = ctx.lab.b.at(9);
    want_errno("1473 bytes", a.sendto(&[0; 1473], 0, to), c::EMSGSIZE)?;
    let m = a
        .recvmsg(&mut [0; 1], c::MSG_ERRQUEUE)
        .sys("recvmsg(ERRQUEUE)")?;
    check_eq!(m.len, 0, "length");
    check_eq!(*m.from.ip(), *to.ip(), "to whom");
    // Origin local.
    let want = (c::EMSGSIZE, [1, 0, 0], 1500, Ipv4Addr::UNSPECIFIED);
    check_eq!(error(&m), Some(want), "the error");
    Ok(())
}

fn recverr_neigh(ctx: &Ctx) -> Result<()> {
    let a = ctx.udp()?;
    a.set(c::IPPROTO_IP, c::IP_RECVERR, 1).sys("IP_RECVERR")?;
    let nobody = SocketAddrV4::new([10, 77, 0, 77].into(), 9);
    a.sendto(b"hello", 0, nobody).sys("sendto")?;
    a.await_events(c::POLLIN).sys("poll")?;
    let mut buf = [0; 50];
    let m = a.recvmsg(&mut buf, c::MSG_ERRQUEUE).sys("recvmsg")?;
    check_eq!((&buf[..m.len], m.from), (&b"hello"[..], nobody), "of what");
    let want = (c::EHOSTUNREACH, [2, 3, 1], 0, ctx.lab.a.ip);
    check_eq!(error(&m), Some(want), "the error");
    Ok(())
}

/// A `struct in_pktinfo` for sending.
fn source(addr: Ipv4Addr) -> [u8; 12] {
    let mut info = [0; 12];
    info[4..8].copy_from_slice(&addr.octets());
    info
}

fn pktinfo(ctx: &Ctx) -> Result<()> {
    let second = Ipv4Addr::new(10, 77, 0, 9);
    ctx.lab.a.ns.ip("addr add 10.77.0.9/24 dev va")?;
    let b = ctx.server_udp()?;
    let at_b = b.local().sys("name")?;
    let a = ctx.lab.a.udp(ctx.client)?.with_patience()?;
    let send = |from| {
        let info = source(from);
        sendmsg(&a, b"x", at_b, (c::IPPROTO_IP, c::IP_PKTINFO, &info))
    };
    for from in [second, ctx.lab.a.ip] {
        send(from).sys("sendmsg")?;
        let (_, got) = b.recvfrom(&mut [0; 1], 0).sys("recvfrom")?;
        check_eq!(*got.ip(), from, "source");
    }
    want_errno(
        "a source that is not ours",
        send([192, 0, 2, 9].into()),
        c::ENETUNREACH,
    )
}

fn origdstaddr(ctx: &Ctx) -> Result<()> {
    const IP_RECVORIGDSTADDR: i32 = 20;
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    b.set(c::IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
        .sys("IP_RECVORIGDSTADDR")?;
    let at_b = b.local().sys("name")?;
    a.sendto(b"x", 0, at_b).sys("sendto")?;
    let m = b.recvmsg(&mut [0; 1], 0).sys("recvmsg")?;
    let d = control(&m, c::IPPROTO_IP, IP_RECVORIGDSTADDR);
    let mut want = at_b.port().to_be_bytes().to_vec();
    want.extend_from_slice(&at_b.ip().octets());
    check_eq!(d.map(|d| &d[2..8]), Some(&want[..]), "the destination");
    Ok(())
}

/// One datagram came, and it is this.
fn came(b: &Sock, want: &[u8]) -> Result<()> {
    let mut buf = vec![0; 65536];
    let n = b.recv(&mut buf, 0).sys("recv")?;
    check!(
        buf[..n] == *want,
        "{} bytes came for {}, or changed",
        n,
        want.len()
    );
    Ok(())
}

fn more(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let at_b = b.local().sys("name")?;
    a.sendto(b"one ", c::MSG_MORE, at_b).sys("the first")?;
    // Where the rest goes was said.
    a.send(b"two ", c::MSG_MORE).sys("the second")?;
    a.send(b"three", 0).sys("the last")?;
    came(&b, b"one two three")?;
    a.sendto(b"", c::MSG_MORE, at_b).sys("an empty one")?;
    a.send(b"", 0).sys("another")?;
    came(&b, b"")?;
    for (size, n) in [(1, 1400), (5000, 3), (1000, 60), (21835, 3)] {
        let data = Stream::new(7).bytes(size * n);
        for (i, part) in data.chunks(size).enumerate() {
            let flags = if i + 1 < n { c::MSG_MORE } else { 0 };
            a.sendto(part, flags, at_b).sys("a part")?;
        }
        came(&b, &data)?;
    }
    Ok(())
}

fn cork(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    a.connect(b.local().sys("name")?).sys("connect")?;
    a.set(SOL_UDP, UDP_CORK, 1).sys("UDP_CORK")?;
    check_eq!(a.get(SOL_UDP, UDP_CORK).sys("UDP_CORK")?, 1, "read back");
    a.send(b"corked ", 0).sys("send")?;
    a.send(b"and freed", 0).sys("send")?;
    a.set(SOL_UDP, UDP_CORK, 0).sys("UDP_CORK")?;
    came(&b, b"corked and freed")?;
    a.send(b"alone", 0).sys("send")?;
    came(&b, b"alone")
}

fn cork_too_long(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let at_b = b.local().sys("name")?;
    a.sendto(&[1; 40_000], c::MSG_MORE, at_b).sys("sendto")?;
    want_errno(
        "40000 bytes more",
        a.send(&[2; 40_000], c::MSG_MORE),
        c::EMSGSIZE,
    )?;
    // With that all is forgotten, the destination too.
    want_errno("send", a.send(b"x", 0), c::EDESTADDRREQ)?;
    a.sendto(b"anew", 0, at_b).sys("sendto")?;
    came(&b, b"anew")
}

fn segment(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let at_b = b.local().sys("name")?;
    a.set(SOL_UDP, UDP_SEGMENT, 1000).sys("UDP_SEGMENT")?;
    for len in [3500, 1000, 999, 1, 40_000] {
        let data = Stream::new(3).bytes(len);
        a.sendto(&data, 0, at_b).sys("sendto")?;
        for part in data.chunks(1000) {
            came(&b, part)?;
        }
    }
    a.set(SOL_UDP, UDP_SEGMENT, 0).sys("UDP_SEGMENT")?;
    let data = Stream::new(4).bytes(1234);
    let size = 500u16.to_ne_bytes();
    sendmsg(&a, &data, at_b, (SOL_UDP, UDP_SEGMENT, &size)).sys("sendmsg")?;
    for part in data.chunks(500) {
        came(&b, part)?;
    }
    Ok(())
}

fn segment_cork(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let at_b = b.local().sys("name")?;
    a.set(SOL_UDP, UDP_SEGMENT, 700).sys("UDP_SEGMENT")?;
    let data = Stream::new(3).bytes(9_300);
    for part in data.chunks(1_100) {
        a.sendto(part, c::MSG_MORE, at_b).sys("sendto")?;
    }
    a.send(b"", 0).sys("send")?;
    for part in data.chunks(700) {
        came(&b, part)?;
    }
    Ok(())
}

fn segment_errnos(ctx: &Ctx) -> Result<()> {
    let a = ctx.udp()?;
    let to = ctx.lab.b.at(9);
    want_errno(
        "UDP_SEGMENT 65536",
        a.set(SOL_UDP, UDP_SEGMENT, 65_536),
        c::EINVAL,
    )?;
    a.set(SOL_UDP, UDP_SEGMENT, 1473).sys("UDP_SEGMENT")?;
    want_errno(
        "longer than the MTU",
        a.sendto(&[0; 3000], 0, to),
        c::EMSGSIZE,
    )?;
    a.set(SOL_UDP, UDP_SEGMENT, 10).sys("UDP_SEGMENT")?;
    want_errno("too many", a.sendto(&[0; 1281], 0, to), c::EINVAL)?;
    a.sendto(&[0; 1280], 0, to).sys("as many as may be")?;
    a.set(c::SOL_SOCKET, SO_NO_CHECK, 1).sys("SO_NO_CHECK")?;
    want_errno("without checksums", a.sendto(&[0; 20], 0, to), c::EINVAL)
}

fn gro(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    b.set(SOL_UDP, UDP_GRO, 1).sys("UDP_GRO")?;
    a.set(SOL_UDP, UDP_SEGMENT, 1000).sys("UDP_SEGMENT")?;
    let data = Stream::new(3).bytes(2500);
    a.sendto(&data, 0, b.local().sys("name")?).sys("sendto")?;
    let mut buf = [0; 4000];
    let m = b.recvmsg(&mut buf, 0).sys("recvmsg")?;
    check!(buf[..m.len] == data, "{} bytes came, or changed", m.len);
    let size = control(&m, SOL_UDP, UDP_GRO).map(<[u8]>::to_vec);
    check_eq!(
        size,
        Some(1000i32.to_ne_bytes().to_vec()),
        "size of each datagram"
    );
    Ok(())
}

fn no_check(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    a.set(c::SOL_SOCKET, SO_NO_CHECK, 1).sys("SO_NO_CHECK")?;
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    a.sendto(b"unsummed", 0, b.local().sys("name")?)
        .sys("sendto")?;
    came(&b, b"unsummed")?;
    let sum = tap.find("the datagram", |way, f| {
        let (_, _, d) = f.transport(17)?;
        (way == Way::In).then_some([d[6], d[7]])
    })?;
    check_eq!(sum, [0, 0], "the checksum's field");
    Ok(())
}

/// `struct ip_mreq`: the group, by the device with this end's address.
fn mreq(end: &End) -> Vec<u8> {
    [GROUP.octets(), end.ip.octets()].concat()
}

/// A socket for every address, and its port.
fn anywhere(end: &End, family: netlab::Family) -> Result<(Sock, u16)> {
    let s = end.udp(family)?.with_patience()?;
    s.bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))
        .sys("bind")?;
    let port = s.local().sys("name")?.port();
    Ok((s, port))
}

fn group(ctx: &Ctx) -> Result<()> {
    let end = &ctx.lab.b;
    let (b, port) = anywhere(end, ctx.server)?;
    b.set(c::IPPROTO_IP, c::IP_MULTICAST_ALL, 0)
        .sys("IP_MULTICAST_ALL")?;
    let a = ctx.udp()?;
    a.setsockopt(c::IPPROTO_IP, c::IP_MULTICAST_IF, &ctx.lab.a.ip.octets())
        .sys("IP_MULTICAST_IF")?;
    let send = |what: &[u8]| -> Result<()> {
        a.sendto(what, 0, SocketAddrV4::new(GROUP, port))
            .sys("sendto the group")?;
        // What follows shows that the first was dealt with.
        a.sendto(b"marker", 0, end.at(port)).sys("sendto")?;
        Ok(())
    };
    send(b"too early")?;
    came(&b, b"marker")?;
    b.setsockopt(c::IPPROTO_IP, c::IP_ADD_MEMBERSHIP, &mreq(end))
        .sys("IP_ADD_MEMBERSHIP")?;
    send(b"to the group")?;
    let mut buf = [0; 50];
    let (n, from) = b.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check_eq!(
        (&buf[..n], from),
        (&b"to the group"[..], a.local().sys("name")?),
        "what came first, and from whom"
    );
    came(&b, b"marker")?;
    b.setsockopt(c::IPPROTO_IP, c::IP_DROP_MEMBERSHIP, &mreq(end))
        .sys("IP_DROP_MEMBERSHIP")?;
    send(b"too late")?;
    came(&b, b"marker")
}

fn group_source(ctx: &Ctx) -> Result<()> {
    let end = &ctx.lab.b;
    ctx.lab.a.ns.ip("addr add 10.77.0.9/24 dev va")?;
    let (b, port) = anywhere(end, ctx.server)?;
    // `struct ip_mreq_source`: group, device, source.
    let only = [
        GROUP.octets(),
        end.ip.octets(),
        Ipv4Addr::new(10, 77, 0, 9).octets(),
    ];
    b.setsockopt(c::IPPROTO_IP, c::IP_ADD_SOURCE_MEMBERSHIP, &only.concat())
        .sys("IP_ADD_SOURCE_MEMBERSHIP")?;
    let a = ctx.lab.a.udp(ctx.client)?.with_patience()?;
    for from in [ctx.lab.a.ip, Ipv4Addr::new(10, 77, 0, 9)] {
        let info = source(from);
        let to = SocketAddrV4::new(GROUP, port);
        sendmsg(
            &a,
            &from.octets(),
            to,
            (c::IPPROTO_IP, c::IP_PKTINFO, &info),
        )
        .sys("sendmsg")?;
    }
    came(&b, &[10, 77, 0, 9])
}

fn group_loop(ctx: &Ctx) -> Result<()> {
    let end = &ctx.lab.a;
    let (member, port) = anywhere(end, ctx.family())?;
    member
        .setsockopt(c::IPPROTO_IP, c::IP_ADD_MEMBERSHIP, &mreq(end))
        .sys("IP_ADD_MEMBERSHIP")?;
    let s = ctx.udp()?;
    s.setsockopt(c::IPPROTO_IP, c::IP_MULTICAST_IF, &end.ip.octets())
        .sys("IP_MULTICAST_IF")?;
    let got = s.getsockopt(c::IPPROTO_IP, c::IP_MULTICAST_IF, 4);
    check_eq!(got.sys("IP_MULTICAST_IF")?, end.ip.octets(), "read back");
    let to = SocketAddrV4::new(GROUP, port);
    s.sendto(b"aloud", 0, to).sys("sendto")?;
    came(&member, b"aloud")?;
    s.set(c::IPPROTO_IP, c::IP_MULTICAST_LOOP, 0)
        .sys("IP_MULTICAST_LOOP")?;
    s.sendto(b"quietly", 0, to).sys("sendto")?;
    s.sendto(b"marker", 0, end.at(port)).sys("sendto")?;
    came(&member, b"marker")
}

fn broadcast_loop(ctx: &Ctx) -> Result<()> {
    let end = &ctx.lab.a;
    let (hears, port) = anywhere(end, ctx.family())?;
    let s = ctx.udp()?;
    s.set(c::SOL_SOCKET, c::SO_BROADCAST, 1)
        .sys("SO_BROADCAST")?;
    let everyone = SocketAddrV4::new([10, 77, 0, 255].into(), port);
    s.sendto(b"all", 0, everyone).sys("sendto")?;
    came(&hears, b"all")
}

fn group_errnos(ctx: &Ctx) -> Result<()> {
    let end = &ctx.lab.a;
    let s = ctx.udp()?;
    let set = |name, value: &[u8]| s.setsockopt(c::IPPROTO_IP, name, value);
    let join = mreq(end);
    want_errno(
        "leaving first",
        set(c::IP_DROP_MEMBERSHIP, &join),
        c::EADDRNOTAVAIL,
    )?;
    set(c::IP_ADD_MEMBERSHIP, &join).sys("IP_ADD_MEMBERSHIP")?;
    want_errno("twice", set(c::IP_ADD_MEMBERSHIP, &join), c::EADDRINUSE)?;
    let unicast = [[10, 77, 0, 2], end.ip.octets()].concat();
    want_errno("no group", set(c::IP_ADD_MEMBERSHIP, &unicast), c::EINVAL)
    // The socket is closed as a member.
}

/// `struct ip_msfilter`, and `struct group_filter` of the same.
fn group_filter(ctx: &Ctx) -> Result<()> {
    const MCAST_EXCLUDE: u32 = 0;
    const MCAST_INCLUDE: u32 = 1;
    const MCAST_MSFILTER: i32 = 48;
    let end = &ctx.lab.a;
    let s = ctx.udp()?;
    let sources: [[u8; 4]; 3] = [[10, 77, 0, 7], [10, 77, 0, 8], [10, 77, 0, 9]];
    let question = |group: Ipv4Addr, room: u32| {
        let mut q = [group.octets(), end.ip.octets(), [0; 4], room.to_ne_bytes()].concat();
        q.resize(16 + 4 * room as usize, 0);
        q
    };
    let read = |room| s.ask(c::IPPROTO_IP, c::IP_MSFILTER, &question(GROUP, room));
    want_errno("before joining", read(3), c::EADDRNOTAVAIL)?;
    let unicast = question([10, 77, 0, 2].into(), 1);
    let asked = s.ask(c::IPPROTO_IP, c::IP_MSFILTER, &unicast);
    want_errno("no group", asked, c::EINVAL)?;
    for source in sources {
        let one = [GROUP.octets(), end.ip.octets(), source].concat();
        s.setsockopt(c::IPPROTO_IP, c::IP_ADD_SOURCE_MEMBERSHIP, &one)
            .sys("IP_ADD_SOURCE_MEMBERSHIP")?;
    }
    let check = |room: u32, mode: u32, n: usize, listed: &[[u8; 4]]| -> Result<()> {
        let got = read(room).sys("IP_MSFILTER")?;
        let (head, list) = got.split_at(16);
        check_eq!(&head[8..12], &mode.to_ne_bytes(), "the mode");
        check_eq!(&head[12..], &(n as u32).to_ne_bytes(), "the number");
        let mut list: Vec<_> = list.chunks(4).map(<[u8]>::to_vec).collect();
        list.sort();
        check_eq!(list, listed, "the sources");
        Ok(())
    };
    check(5, MCAST_INCLUDE, 3, &sources)?;
    check_eq!(
        read(2).sys("IP_MSFILTER")?.len(),
        24,
        "bytes with room for two"
    );
    let mut q = vec![0; 144 + 128 * 3];
    q[..4].copy_from_slice(&ifindex(ctx)?.to_ne_bytes());
    q[8..10].copy_from_slice(&(c::AF_INET as u16).to_ne_bytes());
    q[12..16].copy_from_slice(&GROUP.octets());
    q[140..144].copy_from_slice(&3u32.to_ne_bytes());
    let got = s
        .ask(c::IPPROTO_IP, MCAST_MSFILTER, &q)
        .sys("MCAST_MSFILTER")?;
    check_eq!(got.len(), q.len(), "bytes of MCAST_MSFILTER");
    check_eq!(&got[136..140], &MCAST_INCLUDE.to_ne_bytes(), "its mode");
    let mut list: Vec<_> = got[144..].chunks(128).map(|a| a[4..8].to_vec()).collect();
    list.sort();
    check_eq!(list, sources, "its sources");
    // Everybody but one.
    let mut all = [GROUP.octets(), end.ip.octets(), MCAST_EXCLUDE.to_ne_bytes()].concat();
    all.extend(1u32.to_ne_bytes());
    all.extend(sources[0]);
    s.setsockopt(c::IPPROTO_IP, c::IP_MSFILTER, &all)
        .sys("IP_MSFILTER")?;
    check(1, MCAST_EXCLUDE, 1, &sources[..1])
}

/// The number of A's device.
fn ifindex(ctx: &Ctx) -> Result<u32> {
    let text = ctx
        .lab
        .a
        .ns
        .run(&["ip", "-o", "link", "show", "dev", &ctx.lab.a.dev])?;
    let number = text.split(':').next().unwrap_or_default();
    Ok(number.trim().parse()?)
}

/// IGMPv2 (RFC 2236): who asks for the groups on a link hears of the one that is joined.
fn group_query(ctx: &Ctx) -> Result<()> {
    const QUERY: u8 = 0x11;
    const REPORT: u8 = 0x16;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let (s, _) = anywhere(b, ctx.server)?;
    s.setsockopt(c::IPPROTO_IP, c::IP_ADD_MEMBERSHIP, &mreq(b))
        .sys("IP_ADD_MEMBERSHIP")?;
    let tap = Tap::new(a, ETH_P_ALL)?;
    // Within a tenth of a second, whoever is in any group.
    let mut m = vec![QUERY, 1, 0, 0, 0, 0, 0, 0];
    let sum = netlab::frame::checksum(&[&m]);
    m[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut p = netlab::frame::Ipv4::new(a.ip.octets(), [224, 0, 0, 1], 2);
    (p.ttl, p.options) = (1, vec![148, 4, 0, 0]);
    let all = [1, 0, 0x5e, 0, 0, 1];
    let frame = netlab::frame::ethernet(all, a.mac, ETH_P_IP, &p.build(&m));
    tap.send(&frame).sys("send(AF_PACKET)")?;
    tap.find("a report of the group", |way, f| {
        let (from, to, report) = f.transport(2)?;
        let ours = way == Way::In && from == b.ip.octets() && to == GROUP.octets();
        (ours && report.first() == Some(&REPORT)).then_some(())
    })
}
