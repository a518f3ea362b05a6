// SPDX-License-Identifier: GPL-2.0
//! `net.rustnet.mode`: who answers what.
//!
//! The far end, `a`, is always the host's own stack; RustNet is at `b`, and the wire is watched at `a`.

use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::flag;
use netlab::kstate;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::payload;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::Family;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "modes";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::own(G, "sysctl_reads_and_refuses_nonsense", sysctl).fresh(),
    Case::own(G, "sysctl_needs_capability", sysctl_capability).fresh(),
    Case::own(G, "coexist_two_servers_on_one_address", two_servers).fresh(),
    Case::own(
        G,
        "coexist_a_listener_leaves_connections_of_the_host",
        same_port,
    )
    .fresh(),
    Case::own(G, "coexist_a_port_is_held_in_both_stacks", held_ports).fresh(),
    Case::own(G, "coexist_no_RST_from_the_host", no_rst)
        .fresh()
        .secs(90),
    Case::own(G, "coexist_no_unreachable_from_the_host", no_unreachable).fresh(),
    Case::own(G, "coexist_host_answers_the_rest", host_answers).fresh(),
    Case::own(G, "replace_answers_ping", ping).fresh(),
    Case::own(G, "replace_resets_closed_ports", closed_tcp).fresh(),
    Case::own(G, "replace_says_port_unreachable", closed_udp).fresh(),
    Case::own(G, "replace_answers_ARP", arp).fresh(),
    Case::own(G, "replace_hides_everything_from_the_host", hidden).fresh(),
    Case::own(G, "replace_carries_data", carries).fresh(),
    Case::own(G, "replace_is_per_namespace", per_namespace).fresh(),
    Case::own(G, "back_to_coexist", back).fresh(),
];

const HOST: Family = Family::INET;

fn set_mode(ctx: &Ctx, mode: &str) -> Result<()> {
    ctx.lab.b.ns.sysctl("net/rustnet/mode", mode)
}

fn read_mode(ctx: &Ctx) -> Result<String> {
    let text = ctx
        .lab
        .b
        .ns
        .enter(|| std::fs::read_to_string("/proc/sys/net/rustnet/mode"))?;
    Ok(text.trim().to_string())
}

/// The family of the case as the server's: `Ctx` of an own case has RustNet as the client.
fn subject(ctx: &Ctx) -> Family {
    ctx.client
}

fn listen(ctx: &Ctx, family: Family) -> Result<(Sock, std::net::SocketAddrV4)> {
    let l = ctx.lab.b.tcp(family)?;
    l.bind(ctx.lab.b.at(0)).sys("bind")?;
    l.listen(16).sys("listen")?;
    let addr = l.local().sys("name")?;
    Ok((l, addr))
}

fn pair(ctx: &Ctx, l: &Sock, addr: std::net::SocketAddrV4) -> Result<(Sock, Sock)> {
    let client = ctx.lab.a.tcp(HOST)?;
    client.connect(addr).sys("connect")?;
    Ok((client, l.accept().sys("accept")?))
}

/// Fails if the wire has seen a reset.
fn no_reset_on(tap: &Tap) -> Result<()> {
    for (_, f) in tap.drain()? {
        if let Some(s) = f.tcp() {
            check!(!s.has(flag::RST), "a reset on the wire: {s:?}");
        }
    }
    Ok(())
}

fn sysctl(ctx: &Ctx) -> Result<()> {
    check_eq!(read_mode(ctx)?, "coexist", "mode of a new namespace");
    check!(
        set_mode(ctx, "nonsense").is_err(),
        "nonsense was taken as a mode"
    );
    check_eq!(read_mode(ctx)?, "coexist", "mode after nonsense");
    set_mode(ctx, "replace")?;
    check_eq!(read_mode(ctx)?, "replace", "mode after writing it");
    let there = ctx
        .lab
        .a
        .ns
        .enter(|| std::fs::read_to_string("/proc/sys/net/rustnet/mode"))?;
    check_eq!(there.trim(), "coexist", "mode of the other namespace");
    Ok(())
}

fn sysctl_capability(ctx: &Ctx) -> Result<()> {
    let write = || std::fs::write("/proc/sys/net/rustnet/mode", "replace");
    let got = ctx.lab.b.ns.enter(|| crate::cases::as_nobody(write))?;
    check!(got.is_err(), "nobody may change the mode");
    check_eq!(read_mode(ctx)?, "coexist", "mode");
    Ok(())
}

fn two_servers(ctx: &Ctx) -> Result<()> {
    let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
    let (host, at_host) = listen(ctx, HOST)?;
    let (ours, at_ours) = listen(ctx, subject(ctx))?;
    let (hc, hs) = pair(ctx, &host, at_host)?;
    let (oc, os) = pair(ctx, &ours, at_ours)?;
    std::thread::scope(|s| {
        let theirs = s.spawn(|| payload::exchange(&hc, &hs, 1, ctx.part(1 << 20)));
        let mine = payload::exchange(&oc, &os, 2, ctx.part(1 << 20));
        theirs.join().expect("no panic").and(mine)
    })?;
    // And the host's server cannot take the same port on the same address unnoticed by its peers.
    for (client, server) in [(hc, hs), (oc, os)] {
        drop(client);
        check_eq!(server.recv(&mut [0; 1], 0).sys("recv")?, 0, "FIN");
    }
    no_reset_on(&tap)
}

/// A connection of the host's outlives its listener, and one of RustNet's takes the address and the port.
fn same_port(ctx: &Ctx) -> Result<()> {
    let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
    let host = ctx.lab.b.tcp(HOST)?;
    let ours = ctx.lab.b.tcp(subject(ctx))?;
    for l in [&host, &ours] {
        l.set(c::SOL_SOCKET, c::SO_REUSEADDR, 1)
            .sys("SO_REUSEADDR")?;
    }
    host.bind(ctx.lab.b.at(7779)).sys("bind of the host's")?;
    host.listen(16).sys("listen of the host's")?;
    let addr = host.local().sys("name")?;
    let (hc, hs) = pair(ctx, &host, addr)?;
    drop(host);
    ours.bind(addr).sys("bind")?;
    ours.listen(16).sys("listen")?;
    payload::exchange(&hc, &hs, 1, ctx.part(100_000))?;
    let (oc, os) = pair(ctx, &ours, addr)?;
    payload::exchange(&oc, &os, 2, ctx.part(100_000))?;
    payload::exchange(&hc, &hs, 3, ctx.part(100_000))?;
    no_reset_on(&tap)
}

/// A port that was chosen is one port, whichever family asks; when its socket is closed it is free again.
fn held_ports(ctx: &Ctx) -> Result<()> {
    let b = &ctx.lab.b;
    let makers: [fn(&netlab::lab::End, Family) -> Result<Sock>; 2] =
        [|end, family| end.tcp(family), |end, family| end.udp(family)];
    for make in makers {
        for (first, second) in [(HOST, subject(ctx)), (subject(ctx), HOST)] {
            let holder = make(b, first)?;
            holder.bind(b.at(7777)).sys("bind of the first")?;
            let other = make(b, second)?;
            want_errno("bind of the second", other.bind(b.at(7777)), c::EADDRINUSE)?;
            other.bind(b.at(7778)).sys("bind to another port")?;
            drop(holder);
            let other = make(b, second)?;
            other.bind(b.at(7777)).sys("bind when the first is gone")?;
        }
    }
    Ok(())
}

/// Both roles, and every state until TIME_WAIT: the host, who knows nothing of these connections,
/// must keep silent.
fn no_rst(ctx: &Ctx) -> Result<()> {
    let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
    // Two at least: each end closes first once.
    let rounds = ctx.part(50).max(2) as u64;
    for round in 0..rounds {
        let (l, addr) = listen(ctx, subject(ctx))?;
        let (client, server) = pair(ctx, &l, addr)?;
        payload::exchange(&client, &server, round, 5000)?;
        let first = if round % 2 == 0 {
            (client, server)
        } else {
            (server, client)
        };
        drop(first.0);
        check_eq!(first.1.recv(&mut [0; 1], 0).sys("recv")?, 0, "FIN");
    }
    let l = ctx.lab.a.tcp(HOST)?;
    l.bind(ctx.lab.a.at(0)).sys("bind")?;
    l.listen(16).sys("listen")?;
    let addr = l.local().sys("name")?;
    for round in 0..rounds {
        let client = ctx.lab.b.tcp(subject(ctx))?;
        client.connect(addr).sys("connect")?;
        let server = l.accept().sys("accept")?;
        payload::exchange(&client, &server, round, 5000)?;
        let first = if round % 2 == 0 {
            (client, server)
        } else {
            (server, client)
        };
        drop(first.0);
        check_eq!(first.1.recv(&mut [0; 1], 0).sys("recv")?, 0, "FIN");
    }
    no_reset_on(&tap)
}

fn no_unreachable(ctx: &Ctx) -> Result<()> {
    let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
    let a = ctx.lab.a.udp(HOST)?.with_patience()?;
    a.bind(ctx.lab.a.at(0)).sys("bind")?;
    let b = ctx.lab.b.udp(subject(ctx))?.with_patience()?;
    b.bind(ctx.lab.b.at(0)).sys("bind")?;
    let to = b.local().sys("name")?;
    for i in 0..100u8 {
        a.sendto(&[i], 0, to).sys("sendto")?;
        b.recv(&mut [0; 1], 0).sys("recv")?;
    }
    let icmp = tap
        .drain()?
        .iter()
        .filter(|(_, f)| f.icmp().is_some())
        .count();
    check_eq!(icmp, 0, "ICMP messages on the wire");
    // The port is the host's again once the socket is gone, and the host says so.
    drop(b);
    a.sendto(b"x", 0, to).sys("sendto")?;
    tap.find("the host's port unreachable", |way, f| {
        let (ty, code, _) = f.icmp()?;
        (way == Way::In && (ty, code) == (3, 3)).then_some(())
    })
}

fn host_answers(ctx: &Ctx) -> Result<()> {
    // A RustNet socket lives beside all this.
    let (_l, _) = listen(ctx, subject(ctx))?;
    let before = kstate::snmp(&ctx.lab.b.ns, "Icmp", "InEchos")?;
    ping_once(ctx)?;
    let after = kstate::snmp(&ctx.lab.b.ns, "Icmp", "InEchos")?;
    check!(after > before, "the host has not seen the ping");
    let closed = ctx.lab.b.tcp(HOST)?;
    closed.bind(ctx.lab.b.at(0)).sys("bind")?;
    let to = closed.local().sys("name")?;
    want_errno(
        "closed port",
        ctx.lab.a.tcp(HOST)?.connect(to),
        c::ECONNREFUSED,
    )
}

fn ping_once(ctx: &Ctx) -> Result<()> {
    let to = ctx.lab.b.ip.to_string();
    ctx.lab
        .a
        .ns
        .run(&["ping", "-c", "3", "-W", "5", &to])
        .map(drop)
}

fn ping(ctx: &Ctx) -> Result<()> {
    set_mode(ctx, "replace")?;
    let echos = || kstate::snmp(&ctx.lab.b.ns, "Icmp", "InEchos");
    let before = echos()?;
    ping_once(ctx)?;
    // Both stacks count in the same place: were the host to hear them as well, they would be six.
    check_eq!(echos()? - before, 3, "echo requests counted");
    Ok(())
}

fn closed_tcp(ctx: &Ctx) -> Result<()> {
    set_mode(ctx, "replace")?;
    let resets = || kstate::snmp(&ctx.lab.b.ns, "Tcp", "OutRsts");
    let before = resets()?;
    for port in [1, 80, 54321] {
        let tcp = ctx.lab.a.tcp(HOST)?;
        want_errno("connect", tcp.connect(ctx.lab.b.at(port)), c::ECONNREFUSED)?;
    }
    check_eq!(resets()? - before, 3, "resets counted");
    Ok(())
}

fn closed_udp(ctx: &Ctx) -> Result<()> {
    set_mode(ctx, "replace")?;
    let a = ctx.lab.a.udp(HOST)?;
    a.connect(ctx.lab.b.at(9)).sys("connect")?;
    a.send(b"x", 0).sys("send")?;
    a.await_events(c::POLLIN).sys("poll")?;
    want_errno(
        "recv",
        a.recv(&mut [0; 1], c::MSG_DONTWAIT),
        c::ECONNREFUSED,
    )
}

fn arp(ctx: &Ctx) -> Result<()> {
    set_mode(ctx, "replace")?;
    let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
    let lab = &ctx.lab;
    let ask = netlab::frame::arp(
        1,
        (lab.a.mac, lab.a.ip.octets()),
        ([0; 6], lab.b.ip.octets()),
    );
    tap.send(&netlab::frame::ethernet([255; 6], lab.a.mac, 0x0806, &ask))
        .sys("send(AF_PACKET)")?;
    tap.find("the ARP reply", |way, f| {
        let (op, from, to) = f.arp()?;
        (way == Way::In && (op, from, to) == (2, lab.b.ip.octets(), lab.a.ip.octets()))
            .then_some(())
    })
}

fn hidden(ctx: &Ctx) -> Result<()> {
    let (l, addr) = listen(ctx, HOST)?;
    set_mode(ctx, "replace")?;
    let before = kstate::snmp(&ctx.lab.b.ns, "Tcp", "InSegs")?;
    want_errno(
        "connect to the host's server",
        ctx.lab.a.tcp(HOST)?.connect(addr),
        c::ECONNREFUSED,
    )?;
    check_eq!(
        l.poll(c::POLLIN, Duration::ZERO).sys("poll")?,
        0,
        "the host's listener"
    );
    // Both stacks count in the same place: were the host to see the SYN as well, there would be two.
    let segments = kstate::snmp(&ctx.lab.b.ns, "Tcp", "InSegs")? - before;
    check_eq!(segments, 1, "segments counted");
    Ok(())
}

fn carries(ctx: &Ctx) -> Result<()> {
    set_mode(ctx, "replace")?;
    let (l, addr) = listen(ctx, subject(ctx))?;
    let (client, server) = pair(ctx, &l, addr)?;
    payload::exchange(&client, &server, 4, ctx.part(1 << 20))?;
    let (a, b) = (
        ctx.lab.a.udp(HOST)?.with_patience()?,
        ctx.lab.b.udp(subject(ctx))?.with_patience()?,
    );
    b.bind(ctx.lab.b.at(0)).sys("bind")?;
    a.sendto(b"datagram", 0, b.local().sys("name")?)
        .sys("sendto")?;
    let mut buf = [0; 20];
    let (n, from) = b.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check_eq!(&buf[..n], b"datagram", "request");
    b.sendto(b"answer", 0, from).sys("sendto")?;
    let n = a.recv(&mut buf, 0).sys("recv")?;
    check_eq!(&buf[..n], b"answer", "answer");
    Ok(())
}

fn per_namespace(ctx: &Ctx) -> Result<()> {
    set_mode(ctx, "replace")?;
    let other = netlab::lab::Lab::new(netlab::lab::Link::Veth)?;
    let l = other.b.tcp(HOST)?;
    l.bind(other.b.at(0)).sys("bind")?;
    l.listen(1).sys("listen")?;
    let client = other.a.tcp(HOST)?;
    client
        .connect(l.local().sys("name")?)
        .sys("connect in another namespace")?;
    payload::exchange(&client, &l.accept().sys("accept")?, 5, 10_000)
}

fn back(ctx: &Ctx) -> Result<()> {
    let (l, addr) = listen(ctx, HOST)?;
    set_mode(ctx, "replace")?;
    want_errno(
        "connect in replace",
        ctx.lab.a.tcp(HOST)?.connect(addr),
        c::ECONNREFUSED,
    )?;
    set_mode(ctx, "coexist")?;
    let (client, server) = pair(ctx, &l, addr)?;
    payload::exchange(&client, &server, 6, 10_000)?;
    ping_once(ctx)
}
