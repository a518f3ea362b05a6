// SPDX-License-Identifier: GPL-2.0
//! Devices above devices, and what `tc` does on them.
//!
//! Each case puts something between the sockets and the veth, and moves the addresses there.

use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::skip;
use netlab::ktap::Sysc;
use netlab::ns::Namespace;
use netlab::payload;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::Family;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;
use crate::cases::netfilter::chain;
use crate::cases::netfilter::counters;

const G: &str = "device";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "over_VLANs", vlan).veth().fresh(),
    Case::two(G, "over_bridges", bridge).veth().fresh(),
    Case::two(G, "over_macvlans", macvlan).veth().fresh(),
    Case::two(G, "over_bonds", bond).veth().fresh(),
    Case::two(G, "over_a_tunnel", tunnel).veth().fresh(),
    Case::two(G, "br_netfilter_and_foreign_traffic", br_netfilter)
        .veth()
        .fresh(),
    Case::two(G, "tc_changes_and_drops_what_comes_and_goes", tc)
        .veth()
        .fresh(),
];

/// Makes a device of each end's, and gives it the end's address.
fn put(ctx: &Ctx, lines: &str, dev: &str) -> Result<()> {
    for end in [&ctx.lab.a, &ctx.lab.b] {
        let low = &end.dev;
        end.ns.ip(&format!("addr flush dev {low}"))?;
        for line in lines.lines() {
            let line = line.replace("LOW", low);
            if let Err(e) = end.ns.ip(&line) {
                let why = format!("{e:#}");
                return Err(match why.contains("Unknown device type") {
                    true => skip(why),
                    false => e,
                });
            }
        }
        end.ns.ip(&format!(
            "addr add {}/24 dev {dev}\nlink set {dev} up",
            end.ip
        ))?;
    }
    Ok(())
}

/// A connection with data both ways; datagrams, whole and in fragments.
fn traffic(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected().context("a connection")?;
    payload::exchange(&client, &server, 1, 300_000)?;
    let (client, server) = (ctx.udp()?, ctx.server_udp()?);
    for len in [1, 1400, 4000] {
        let data = payload::Stream::new(len as u64).bytes(len);
        client
            .sendto(&data, 0, server.local().sys("name")?)
            .sys("sendto")?;
        let mut buf = vec![0; 5000];
        server.await_events(c::POLLIN).sys("poll")?;
        let (n, from) = server.recvfrom(&mut buf, 0).sys("recvfrom")?;
        check!(buf[..n] == data, "{len} bytes came as {n}, or changed");
        check_eq!(from, client.local().sys("name")?, "from whom");
    }
    Ok(())
}

fn vlan(ctx: &Ctx) -> Result<()> {
    put(ctx, "link add link LOW name v7 type vlan id 7", "v7")?;
    let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
    traffic(ctx)?;
    // The tag is beside the frame: nothing of it is for the device below.
    check!(!tap.drain()?.is_empty(), "nothing on the device below");
    Ok(())
}

fn bridge(ctx: &Ctx) -> Result<()> {
    put(
        ctx,
        "link add br0 type bridge\nlink set LOW master br0",
        "br0",
    )?;
    traffic(ctx)
}

fn macvlan(ctx: &Ctx) -> Result<()> {
    put(
        ctx,
        "link add link LOW name mv0 type macvlan mode bridge",
        "mv0",
    )?;
    traffic(ctx)
}

fn bond(ctx: &Ctx) -> Result<()> {
    put(
        ctx,
        "link add bd type bond mode active-backup miimon 100\nlink set LOW down\nlink set LOW master bd",
        "bd",
    )?;
    traffic(ctx)
}

fn tunnel(ctx: &Ctx) -> Result<()> {
    // The tunnel's own packets are the host's: in replace it would be deaf.
    if ctx.args.mode == "replace" {
        return Err(skip("a tunnel's packets are AF_INET's"));
    }
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    for (end, other) in [(a, b), (b, a)] {
        let dev = &end.dev;
        let (own, outer) = (end.ip, |ip: std::net::Ipv4Addr| {
            let [.., last] = ip.octets();
            format!("10.66.0.{last}")
        });
        end.ns.ip(&format!(
            "addr flush dev {dev}\n\
             addr add {0}/24 dev {dev}\n\
             link add tn0 type gre local {0} remote {1}\n\
             addr add {own}/24 dev tn0\n\
             link set tn0 up",
            outer(own),
            outer(other.ip)
        ))?;
    }
    traffic(ctx)
}

/// Frames that only cross the bridge are nobody's here, whatever visits IPv4's hooks on the way.
fn br_netfilter(ctx: &Ctx) -> Result<()> {
    let loaded = std::process::Command::new("modprobe")
        .arg("br_netfilter")
        .status();
    if !loaded.is_ok_and(|s| s.success()) {
        return Err(skip("needs br_netfilter"));
    }
    let (a, b) = (&ctx.lab.a.ns, &ctx.lab.b.ns);
    let far = Namespace::new()?;
    b.sysctl("net/bridge/bridge-nf-call-iptables", "1")?;
    b.ip(&format!(
        "addr flush dev vb\n\
         link add br0 type bridge\n\
         link set vb master br0\n\
         link add w type veth peer name x netns {}\n\
         link set w master br0\n\
         link set w up\n\
         link set br0 up\n\
         addr add 10.77.0.2/24 dev br0",
        far.path()
    ))?;
    far.ip("addr add 10.77.0.3/24 dev x\nlink set x up")?;
    let rules = "ip saddr 10.77.0.1 ip daddr 10.77.0.3 counter";
    chain(b, "pre", "filter hook prerouting priority 0", rules)?;
    let there = far.enter(|| Sock::tcp(Family::INET)).sys("socket")?;
    there.bind("10.77.0.3:0".parse()?).sys("bind")?;
    there.listen(4).sys("listen")?;
    let foreign = |ctx: &Ctx| -> Result<()> {
        let near = ctx.tcp()?;
        near.connect(there.local().sys("name")?)
            .sys("connect over the bridge")?;
        payload::exchange(&near, &there.accept().sys("accept")?, 2, 200_000)
    };
    foreign(ctx)?;
    traffic(ctx)?;
    foreign(ctx)?;
    a.run(&["ip", "neigh"])?;
    let seen = counters(b, "pre")?;
    check!(
        seen.first() > Some(&10),
        "packets seen by the bridge: {seen:?}"
    );
    // The port of a server of ours, at an address that is not ours.
    let (l, at) = ctx.listener(4)?;
    let other = far.enter(|| Sock::tcp(Family::INET)).sys("socket")?;
    other
        .bind(std::net::SocketAddrV4::new(
            [10, 77, 0, 3].into(),
            at.port(),
        ))
        .sys("bind")?;
    other.listen(4).sys("listen")?;
    let near = ctx.tcp()?;
    near.connect(other.local().sys("name")?).sys("connect")?;
    payload::exchange(&near, &other.accept().sys("accept")?, 3, 50_000)?;
    let ready = l.poll(c::POLLIN, std::time::Duration::ZERO).sys("poll")?;
    check_eq!(ready, 0, "events of the listener at another address");
    Ok(())
}

fn tc(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    a.ns.tc("qdisc add dev va clsact\n\
             filter add dev va egress protocol ip prio 1 flower ip_proto udp dst_port 7 action drop\n\
             filter add dev va egress protocol ip prio 2 flower ip_proto udp dst_port 8 action skbedit mark 5 pass")?;
    b.ns.tc("qdisc add dev vb clsact\n\
             filter add dev vb ingress protocol ip prio 1 flower ip_proto udp dst_port 9 action drop\n\
             filter add dev vb ingress protocol ip prio 2 flower ip_proto udp dst_port 8 action skbedit mark 6 pass")?;
    chain(
        &b.ns,
        "in",
        "filter hook prerouting priority 0",
        "meta mark 6 counter",
    )?;
    let client = ctx.udp()?;
    let servers = [7, 8, 9].map(|port| -> Result<Sock> {
        let s = b.udp(ctx.server)?;
        s.bind(b.at(port)).sys("bind")?;
        Ok(s)
    });
    let [seven, eight, nine] = servers;
    let (seven, eight, nine) = (seven?, eight?, nine?);
    for port in [7, 9, 8] {
        client.sendto(b"x", 0, b.at(port)).sys("sendto")?;
    }
    eight.await_events(c::POLLIN).sys("poll")?;
    for s in [&seven, &nine] {
        let ready = s.poll(c::POLLIN, std::time::Duration::ZERO).sys("poll")?;
        check_eq!(ready, 0, "events of a port that tc keeps things from");
    }
    check_eq!(counters(&b.ns, "in")?, [1], "packets that tc has marked");
    let tap = Tap::new(b, ETH_P_ALL)?;
    client.sendto(b"x", 0, b.at(7)).sys("sendto")?;
    client.sendto(b"x", 0, b.at(8)).sys("sendto")?;
    eight.await_events(c::POLLIN).sys("poll")?;
    let ports = tap.drain()?.into_iter().filter_map(|(way, f)| {
        let (_, _, d) = f.transport(17).filter(|_| way == Way::In)?;
        d.get(3).copied()
    });
    check_eq!(ports.collect::<Vec<_>>(), [8], "ports on the wire");
    traffic(ctx)
}
