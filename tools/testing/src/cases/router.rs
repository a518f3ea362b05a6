// SPDX-License-Identifier: GPL-2.0
//! A router between two networks: B, in `replace` where RustNet is the subject. Both ends are the host's.
//!
//! ```text
//!   A 10.77.0.1 va ═══ vb  10.77.0.2 B 10.79.0.1  w ═══ x 10.79.0.2 far end
//! ```

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::checksum;
use netlab::frame::ethernet;
use netlab::frame::Ipv4;
use netlab::kstate;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::ns::Namespace;
use netlab::payload;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::wait;
use netlab::Errno;
use netlab::Family;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;
use crate::cases::netfilter::chain;
use crate::cases::netfilter::counters;
use crate::cases::netfilter::Queue;

const G: &str = "router";
const FAR: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 2);
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 1);
const NOWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "TCP_and_UDP_pass_both_ways", pass)
        .veth()
        .fresh(),
    Case::one(G, "masquerade_and_a_forwarded_port", masquerade)
        .veth()
        .fresh(),
    Case::one(G, "iperf3_with_and_without_masquerade", iperf3)
        .veth()
        .fresh()
        .secs(90),
    Case::one(G, "ping_and_traceroute", traceroute)
        .veth()
        .fresh(),
    Case::one(G, "a_narrow_link_behind_it", narrow)
        .veth()
        .fresh(),
    Case::one(G, "GSO_packets_that_may_be_cut", cut_gso)
        .veth()
        .fresh(),
    Case::one(G, "who_cannot_be_reached", unreachable)
        .veth()
        .fresh(),
    Case::one(G, "a_firewall_that_refuses", firewall)
        .veth()
        .fresh(),
    Case::one(G, "NFQUEUE_of_forwarded_packets", queue)
        .veth()
        .fresh(),
    Case::one(G, "routes_by_source_and_mark", policy)
        .veth()
        .fresh(),
    Case::one(G, "off_it_forwards_nothing", off).veth().fresh(),
    Case::one(G, "a_detour_is_told_of", detour).veth().fresh(),
    Case::one(G, "record_route_and_time_stamps", options)
        .veth()
        .fresh(),
];

/// Lays the way behind B, makes it a router, and returns the namespace at the far end.
pub(super) fn lay(ctx: &Ctx, mtu: u32) -> Result<Namespace> {
    let far = Namespace::new()?;
    let b = &ctx.lab.b.ns;
    if ctx.family().is_rustnet() {
        b.sysctl("net/rustnet/mode", "replace")?;
    }
    b.sysctl("net/ipv4/ip_forward", "1")?;
    b.ip(&format!(
        "link add w mtu {mtu} type veth peer name x mtu {mtu} netns {}\n\
         addr add {OUTSIDE}/24 dev w\n\
         link set w up",
        far.path()
    ))?;
    far.ip(&format!(
        "addr add {FAR}/24 dev x\nlink set x up\nroute add 10.77.0.0/24 via {OUTSIDE}"
    ))?;
    ctx.lab.a.ns.ip("route add default via 10.77.0.2")?;
    Ok(far)
}

fn listener(ns: &Namespace, ip: Ipv4Addr) -> Result<(Sock, SocketAddrV4)> {
    let l = ns.enter(|| Sock::tcp(Family::INET)).sys("socket")?;
    l.bind(SocketAddrV4::new(ip, 0)).sys("bind")?;
    l.listen(8).sys("listen")?;
    let at = l.local().sys("name")?;
    Ok((l, at))
}

fn udp(ns: &Namespace, ip: Ipv4Addr) -> Result<Sock> {
    let s = ns.enter(|| Sock::udp(Family::INET)).sys("socket")?;
    s.bind(SocketAddrV4::new(ip, 0)).sys("bind")?;
    Ok(s)
}

fn connect(ns: &Namespace, l: &Sock, to: SocketAddrV4) -> Result<(Sock, Sock)> {
    let s = ns.enter(|| Sock::tcp(Family::INET)).sys("socket")?;
    s.connect(to).sys("connect")?;
    Ok((s, l.accept().sys("accept")?))
}

/// A datagram there and back; who sent it, as the far end sees it.
fn ask(here: &Sock, there: &Sock, to: SocketAddrV4, len: usize) -> Result<SocketAddrV4> {
    let data = payload::Stream::new(len as u64).bytes(len);
    here.sendto(&data, 0, to).sys("sendto")?;
    let mut buf = vec![0; 65_536];
    there.await_events(c::POLLIN).sys("poll of the far end")?;
    let (n, from) = there.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check!(buf[..n] == data, "{len} bytes came as {n}, or changed");
    there.sendto(&data, 0, from).sys("sendto back")?;
    here.await_events(c::POLLIN).sys("poll of the near end")?;
    let n = here.recv(&mut buf, 0).sys("recv")?;
    check!(buf[..n] == data, "{len} bytes came back as {n}, or changed");
    Ok(from)
}

/// A connection with data in both directions, and datagrams of all lengths.
fn traffic(ctx: &Ctx, far: &Namespace) -> Result<Ipv4Addr> {
    let a = &ctx.lab.a;
    let (l, at) = listener(far, FAR)?;
    let (near, there) = connect(&a.ns, &l, at)?;
    payload::exchange(&near, &there, 1, 300_000)?;
    let seen = *there.peer().sys("peer")?.ip();
    let (here, there) = (udp(&a.ns, a.ip)?, udp(far, FAR)?);
    let to = there.local().sys("name")?;
    for len in [0, 1472, 1473, 9000] {
        let from = ask(&here, &there, to, len)?;
        check_eq!(*from.ip(), seen, "whom the far end sees");
    }
    Ok(seen)
}

fn pass(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx, 1500)?;
    let b = &ctx.lab.b.ns;
    let count = |name| kstate::snmp(b, "Ip", name);
    let before = (count("ForwDatagrams")?, count("InDelivers")?);
    check_eq!(traffic(ctx, &far)?, ctx.lab.a.ip, "whom the far end sees");
    check!(
        count("ForwDatagrams")? >= before.0 + 20,
        "few packets counted as forwarded"
    );
    check_eq!(
        count("InDelivers")?,
        before.1,
        "packets for the router itself"
    );
    Ok(())
}

fn masquerade(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx, 1500)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    let hook = "nat hook postrouting priority srcnat";
    chain(b, "post", hook, "oif w masquerade")?;
    // Nobody out there knows the way to A.
    far.ip("route del 10.77.0.0/24")?;
    check_eq!(traffic(ctx, &far)?, OUTSIDE, "whom the far end sees");
    a.ns.run(&["ping", "-c", "2", "-W", "10", "10.79.0.2"])?;
    let flows = b.run(&["conntrack", "-L", "-p", "tcp"])?;
    check!(
        flows.contains("src=10.77.0.1 dst=10.79.0.2") && flows.contains("dst=10.79.0.1"),
        "conntrack -L: {flows:?}"
    );
    // An error about what was translated comes through.
    let s = udp(&a.ns, a.ip)?;
    s.connect(SocketAddrV4::new(FAR, 9)).sys("connect")?;
    s.send(b"x", 0).sys("send")?;
    s.await_events(c::POLLERR).sys("poll")?;
    check_eq!(s.take_error().sys("SO_ERROR")?, c::ECONNREFUSED, "SO_ERROR");
    // And the other way round: a port of the router's is A's.
    let (l, at) = listener(&a.ns, a.ip)?;
    let hook = "nat hook prerouting priority dstnat";
    let rule = format!("iif w tcp dport 80 dnat to {at}");
    chain(b, "pre", hook, &rule)?;
    let (there, here) = connect(&far, &l, SocketAddrV4::new(OUTSIDE, 80))?;
    check_eq!(*here.peer().sys("peer")?.ip(), FAR, "who connected");
    payload::exchange(&there, &here, 2, 300_000)
}

/// Kills a server when dropped.
struct Server(std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn iperf3(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx, 1500)?;
    let server = far.enter(|| {
        Command::new("iperf3")
            .args(["-s", "-B", "10.79.0.2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    });
    let _server = Server(server.context("iperf3 -s")?);
    let listens = || {
        let all = kstate::sockets(&far, Family::INET, "tcp").ok()?;
        all.iter().any(|s| s.local.port() == 5201).then_some(())
    };
    wait::until("iperf3's port", listens)?;
    let run = |more: &[&str]| {
        let all = [&["iperf3", "-c", "10.79.0.2", "-J"], more].concat();
        ctx.lab.a.ns.run(&all).map(drop)
    };
    for _ in 0..2 {
        run(&["-n", "4M"])?;
        run(&["-n", "4M", "-R"])?;
        run(&["-u", "-b", "2M", "-n", "200K"])?;
        let hook = "nat hook postrouting priority srcnat";
        // The second round is translated.
        let _ = chain(&ctx.lab.b.ns, "post", hook, "oif w masquerade");
    }
    Ok(())
}

fn traceroute(ctx: &Ctx) -> Result<()> {
    let _far = lay(ctx, 1500)?;
    let a = &ctx.lab.a.ns;
    a.run(&["ping", "-c", "3", "-i", "0.2", "-W", "10", "10.79.0.2"])?;
    a.run(&["ping", "-c", "2", "-s", "4000", "-W", "10", "10.79.0.2"])?;
    for how in [&["-I"][..], &[][..]] {
        let all = [
            &["traceroute", "-n", "-q", "1", "-w", "10"],
            how,
            &["10.79.0.2"],
        ]
        .concat();
        let text = a.run(&all)?;
        let hops: Vec<_> = text
            .lines()
            .filter_map(|l| {
                let mut words = l.split_whitespace();
                words.next()?.parse::<u8>().ok()?;
                words.next()
            })
            .collect();
        check_eq!(hops, ["10.77.0.2", "10.79.0.2"], "the hops of {all:?}");
    }
    Ok(())
}

fn narrow(ctx: &Ctx) -> Result<()> {
    const PMTUDISC_DO: i32 = 2;
    let far = lay(ctx, 1300)?;
    let a = &ctx.lab.a;
    let (here, there) = (udp(&a.ns, a.ip)?, udp(&far, FAR)?);
    let to = there.local().sys("name")?;
    here.connect(to).sys("connect")?;
    here.set(c::SOL_IP, c::IP_MTU_DISCOVER, PMTUDISC_DO)
        .sys("IP_PMTUDISC_DO")?;
    here.send(&[0; 1400], 0).sys("send")?;
    here.await_events(c::POLLERR).sys("poll")?;
    check_eq!(here.take_error().sys("SO_ERROR")?, c::EMSGSIZE, "SO_ERROR");
    check_eq!(here.get(c::SOL_IP, 14).sys("IP_MTU")?, 1300, "IP_MTU");
    // Who lets himself be cut is cut.
    let cut = udp(&a.ns, a.ip)?;
    cut.set(c::SOL_IP, c::IP_MTU_DISCOVER, 0)
        .sys("IP_PMTUDISC_DONT")?;
    a.ns.sysctl("net/ipv4/route/flush", "1")?;
    let creates = || kstate::snmp(&ctx.lab.b.ns, "Ip", "FragCreates");
    let before = creates()?;
    ask(&cut, &there, to, 1472)?;
    check_eq!(creates()? - before, 2, "fragments made by the router");
    let (l, at) = listener(&far, FAR)?;
    let (near, there) = connect(&a.ns, &l, at)?;
    payload::exchange(&near, &there, 3, 300_000)
}

/// A stack that does not ask for the path's MTU, and whose packets come to the router by the dozen: each is cut, and each
/// piece, too.
fn cut_gso(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx, 1500)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    b.ip("link set w mtu 1300")?;
    a.ns.sysctl("net/ipv4/ip_no_pmtu_disc", "1")?;
    let count = |name| kstate::snmp(b, "Ip", name);
    let before = count("FragCreates")?;
    let (l, at) = listener(&far, FAR)?;
    let (near, there) = connect(&a.ns, &l, at)?;
    const LEN: usize = 300_000;
    payload::transfer(&near, &there, 5, LEN)?;
    // Two for each segment of 1448 bytes; some are shorter.
    let (creates, all) = (count("FragCreates")? - before, 2 * (LEN / 1448) as u64);
    check!(creates >= all - 20, "only {creates} fragments of {all}");
    Ok(())
}

fn unreachable(ctx: &Ctx) -> Result<()> {
    let _far = lay(ctx, 1500)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    b.ip("route add unreachable 192.0.2.32/28\n\
          route add prohibit 192.0.2.48/28\n\
          route add blackhole 192.0.2.64/28")?;
    let to = |last| Ipv4Addr::new(192, 0, 2, last);
    for (ip, errno) in [
        (to(33), c::EHOSTUNREACH),
        (to(49), c::EHOSTUNREACH),
        (NOWHERE, c::ENETUNREACH),
        // Its neighbour does not answer.
        (Ipv4Addr::new(10, 79, 0, 77), c::EHOSTUNREACH),
    ] {
        let s = udp(&a.ns, a.ip)?;
        s.set(c::SOL_IP, c::IP_RECVERR, 1).sys("IP_RECVERR")?;
        s.connect(SocketAddrV4::new(ip, 9)).sys("connect")?;
        // A router says it only so often: again, until it does. An error that comes between poll and send is the
        // second one's.
        let told = wait::until_at_last(&format!("the error about {ip}"), || {
            if let Err(Errno(e)) = s.send(b"x", 0) {
                return Some(e);
            }
            s.poll(c::POLLERR, Duration::from_millis(2500)).ok()?;
            s.take_error().ok().filter(|&e| e != 0)
        })?;
        check_eq!(told, errno, "the error about {ip}");
    }
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    let s = udp(&a.ns, a.ip)?;
    s.sendto(b"x", 0, SocketAddrV4::new(to(65), 9))
        .sys("sendto")?;
    a.ns.run(&["ping", "-c", "1", "-W", "10", "10.79.0.2"])?;
    for (_, f) in tap.drain()? {
        let kind = f.icmp().map(|(kind, ..)| kind);
        check!(kind != Some(3), "an answer to what went into a black hole");
    }
    Ok(())
}

fn firewall(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx, 1500)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    let (l, at) = listener(&far, FAR)?;
    let rules = format!(
        "ct state established,related counter accept\n\
         tcp dport {} counter accept\n\
         ip protocol tcp counter reject with tcp reset\n\
         counter reject with icmp type admin-prohibited",
        at.port()
    );
    chain(b, "gate", "filter hook forward priority 0", &rules)?;
    let (near, there) = connect(&a.ns, &l, at)?;
    payload::exchange(&near, &there, 4, 100_000)?;
    let other = a.ns.enter(|| Sock::tcp(Family::INET)).sys("socket")?;
    let refused = other.connect(SocketAddrV4::new(FAR, 9));
    netlab::ktap::want_errno("connect", refused, c::ECONNREFUSED)?;
    let s = udp(&a.ns, a.ip)?;
    s.connect(SocketAddrV4::new(FAR, 9)).sys("connect")?;
    s.send(b"x", 0).sys("send")?;
    s.await_events(c::POLLERR).sys("poll")?;
    check_eq!(s.take_error().sys("SO_ERROR")?, c::EHOSTUNREACH, "SO_ERROR");
    let seen = counters(b, "gate")?;
    check!(
        seen[0] > 0 && seen[1..] == [1, 1, 1],
        "packets by rule: {seen:?}"
    );
    Ok(())
}

fn queue(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx, 1500)?;
    let b = &ctx.lab.b.ns;
    for hook in ["prerouting", "forward", "postrouting"] {
        let queue = Queue::new(b, "accept")?;
        let rule = "ip protocol { tcp, udp } queue to 0";
        chain(b, "q", &format!("filter hook {hook} priority 0"), rule)?;
        traffic(ctx, &far).with_context(|| format!("queued at {hook}"))?;
        queue.says("packet")?;
        b.run(&["nft", "delete table ip q"])?;
    }
    Ok(())
}

/// The way out is another one for what comes from an address, or has a mark.
fn policy(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx, 1500)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    b.ip(&format!(
        "link add w2 type veth peer name x2 netns {}\n\
         addr add 10.80.0.1/24 dev w2\n\
         link set w2 up\n\
         route add 192.0.2.0/24 via 10.79.0.2\n\
         route add 192.0.2.0/24 via 10.80.0.2 table 100\n\
         rule add fwmark 7 table 100\n\
         rule add from 10.77.0.99 table 100\n\
         rule add iif w to 192.0.2.0/24 prohibit",
        far.path()
    ))?;
    far.ip("addr add 10.80.0.2/24 dev x2\nlink set x2 up\naddr add 192.0.2.1/32 dev lo")?;
    for dev in ["all", "x", "x2"] {
        far.sysctl(&format!("net/ipv4/conf/{dev}/rp_filter"), "0")?;
    }
    let mark = "udp dport 7 meta mark set 7";
    chain(b, "paint", "filter hook prerouting priority mangle", mark)?;
    let rules = "iif x udp dport 6-7 counter\niif x2 udp dport 6-7 counter";
    chain(&far, "in", "filter hook input priority 0", rules)?;
    a.ns.ip("addr add 10.77.0.99/24 dev va")?;
    let from = |ip| udp(&a.ns, ip);
    let (one, other) = (from(a.ip)?, from(Ipv4Addr::new(10, 77, 0, 99))?);
    for (s, port, want) in [(&one, 6, [1, 0]), (&one, 7, [1, 1]), (&other, 6, [1, 2])] {
        let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), port);
        s.sendto(b"x", 0, to).sys("sendto")?;
        wait::until("packets by the one link and by the other", || {
            (counters(&far, "in").ok()? == want).then_some(())
        })?;
    }
    Ok(())
}

fn off(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx, 1500)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    let (here, there) = (udp(&a.ns, a.ip)?, udp(&far, FAR)?);
    let to = there.local().sys("name")?;
    b.sysctl("net/ipv4/conf/vb/forwarding", "0")?;
    let errors = || kstate::snmp(b, "Ip", "InAddrErrors");
    let before = errors()?;
    here.sendto(b"lost", 0, to).sys("sendto")?;
    wait::until("the drop", || (errors().ok()? > before).then_some(()))?;
    b.sysctl("net/ipv4/conf/vb/forwarding", "1")?;
    here.sendto(b"after", 0, to).sys("sendto")?;
    let mut buf = [0; 10];
    there.await_events(c::POLLIN).sys("poll")?;
    let n = there.recv(&mut buf, 0).sys("recv")?;
    check_eq!(&buf[..n], b"after", "what came first");
    let ready = there.poll(c::POLLIN, Duration::ZERO).sys("poll")?;
    check_eq!(ready, 0, "events afterwards");
    Ok(())
}

/// Who sends by B what B sends on over the same link is told of the next router, at first; B goes on sending it.
fn detour(ctx: &Ctx) -> Result<()> {
    const NEXT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x33];
    let _far = lay(ctx, 1500)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    b.ip("route add 192.0.2.0/24 via 10.77.0.3\n\
          neigh replace 10.77.0.3 lladdr 02:00:00:00:00:33 dev vb nud permanent")?;
    for dev in ["all", "va"] {
        // A goes on as before.
        a.ns.sysctl(&format!("net/ipv4/conf/{dev}/accept_redirects"), "0")?;
    }
    let tap = Tap::new(a, ETH_P_ALL)?;
    let s = udp(&a.ns, a.ip)?;
    let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 9);
    let redirects = |n: usize| -> Result<Vec<Vec<u8>>> {
        let (mut told, mut sent_on) = (Vec::new(), 0);
        for _ in 0..n {
            s.sendto(b"x", 0, to).sys("sendto")?;
        }
        while sent_on < n {
            tap.find("packets that are sent on", |way, f| {
                if way == Way::In {
                    if let Some((5, 1, rest)) = f.icmp() {
                        told.push(rest[..4].to_vec());
                    }
                    let on = f.transport(17).is_some() && f.0.starts_with(&NEXT_MAC);
                    return on.then_some(());
                }
                None
            })?;
            sent_on += 1;
        }
        Ok(told)
    };
    check_eq!(
        redirects(1)?,
        [[10, 77, 0, 3].to_vec()],
        "gateways that were named"
    );
    let more = redirects(50)?.len();
    check!(more <= 9, "{more} redirects more");
    for dev in ["all", "vb"] {
        b.sysctl(&format!("net/ipv4/conf/{dev}/send_redirects"), "0")?;
    }
    check_eq!(redirects(1)?.len(), 0, "redirects when they are off");
    Ok(())
}

const RR: u8 = 7;
const TS: u8 = 68;

/// Options with their times, where there are any, made zero if they can be milliseconds of a day.
fn without_times(options: &[u8], times: &[usize]) -> Result<Vec<u8>> {
    let mut plain = options.to_vec();
    for at in times {
        let word: &mut [u8] = plain.get_mut(*at..*at + 4).context("no room for a time")?;
        let ms = u32::from_be_bytes(word.try_into()?);
        check!(ms < 86_400_000, "{ms} is no time of day");
        word.fill(0);
    }
    Ok(plain)
}

fn options(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx, 1500)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let far = End {
        ns: far.into(),
        ip: FAR,
        dev: "x".into(),
        mac: [0; 6],
    };
    a.ns.run(&["ping", "-c", "1", "-W", "10", "10.79.0.2"])?;
    let (near, tap) = (Tap::new(a, ETH_P_ALL)?, Tap::new(&far, ETH_P_ALL)?);
    let send = |to: Ipv4Addr, options: &[u8]| -> Result<()> {
        let mut m = vec![8, 0, 0, 0, 0x77, 0x77, 0, 1];
        let sum = checksum(&[&m]);
        m[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut p = Ipv4::new(a.ip.octets(), to.octets(), 1);
        p.options = options.to_vec();
        near.send(&ethernet(b.mac, a.mac, ETH_P_IP, &p.build(&m)))
            .sys("send(AF_PACKET)")
    };
    // The options of the echo request or reply of `from` that `tap` sees come in; its header is sound.
    let sees = |tap: &Tap, kind: u8, from: Ipv4Addr| -> Result<Vec<u8>> {
        tap.find("an echo", |way, f| {
            let (got, ..) = f.icmp().filter(|_| way == Way::In)?;
            let (header, _) = f.ipv4()?;
            let wanted = got == kind && header[12..16] == from.octets();
            (wanted && checksum(&[header]) == 0).then(|| header[20..].to_vec())
        })
    };
    // On the way through.
    let [o0, o1, o2, o3] = OUTSIDE.octets();
    for (sent, want, times) in [
        (
            vec![RR, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            vec![RR, 11, 8, o0, o1, o2, o3, 0, 0, 0, 0, 0],
            &[][..],
        ),
        (
            vec![TS, 8, 5, 0, 0, 0, 0, 0],
            vec![TS, 8, 9, 0, 0, 0, 0, 0],
            &[4],
        ),
        (
            vec![TS, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            vec![TS, 12, 13, 1, 10, 77, 0, 2, 0, 0, 0, 0],
            &[8],
        ),
        (
            vec![TS, 12, 5, 3, 10, 77, 0, 2, 0, 0, 0, 0],
            vec![TS, 12, 13, 3, 10, 77, 0, 2, 0, 0, 0, 0],
            &[8],
        ),
        (
            vec![TS, 12, 5, 3, 10, 77, 0, 9, 0, 0, 0, 0],
            vec![TS, 12, 5, 3, 10, 77, 0, 9, 0, 0, 0, 0],
            &[],
        ),
        (
            vec![TS, 8, 9, 0x20, 0, 0, 0, 1],
            vec![TS, 8, 9, 0x30, 0, 0, 0, 1],
            &[],
        ),
        (
            vec![RR, 7, 8, 9, 9, 9, 9, 0],
            vec![RR, 7, 8, 9, 9, 9, 9, 0],
            &[],
        ),
    ] {
        send(FAR, &sent)?;
        let got = without_times(&sees(&tap, 8, a.ip)?, times)?;
        check_eq!(got, want, "the options {sent:?} behind the router");
    }
    // To the router itself, and back.
    send(b.ip, &[RR, 15, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    let [m0, m1, m2, m3] = b.ip.octets();
    let want = vec![RR, 15, 12, m0, m1, m2, m3, m0, m1, m2, m3, 0, 0, 0, 0, 0];
    check_eq!(sees(&near, 0, b.ip)?, want, "the answer's record");
    let mut sent = vec![TS, 20, 5, 1];
    sent.resize(20, 0);
    send(b.ip, &sent)?;
    let got = without_times(&sees(&near, 0, b.ip)?, &[8, 16])?;
    let want = vec![
        TS, 20, 21, 1, m0, m1, m2, m3, 0, 0, 0, 0, m0, m1, m2, m3, 0, 0, 0, 0,
    ];
    check_eq!(got, want, "the answer's times");
    Ok(())
}
