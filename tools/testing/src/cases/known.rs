// SPDX-License-Identifier: GPL-2.0
//! Connections whose packets were let in before: a stack need not ask its routes for each, but must when something of
//! them changes, when the packet comes another way, or when somebody wants to see it.

use std::net::SocketAddrV4;

use anyhow::Result;
use netlab::c;
use netlab::check_eq;
use netlab::frame::ethernet;
use netlab::frame::flag;
use netlab::frame::udp;
use netlab::frame::Ipv4;
use netlab::ktap::skip;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::payload;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::Sock;

use super::netfilter::chain;
use super::netfilter::nft;
use crate::case::Case;
use crate::case::Ctx;

const G: &str = "route";

/// The cases.
pub const CASES: &[Case] = &[
    Case::two(G, "who_lost_his_address_hears_nothing", datagrams)
        .veth()
        .fresh(),
    Case::two(G, "a_connection_outlives_its_address", segments)
        .veth()
        .fresh(),
    Case::two(G, "a_connection_by_another_device_is_refused", device)
        .veth()
        .fresh(),
    Case::two(G, "a_filter_stops_a_connection", filter)
        .veth()
        .fresh(),
];

/// Two datagram sockets that know each other and have talked.
fn acquainted(ctx: &Ctx) -> Result<(Sock, Sock)> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    a.connect(b.local().sys("name")?).sys("connect")?;
    b.connect(a.local().sys("name")?).sys("connect")?;
    for n in 0..3 {
        a.send(&[n], 0).sys("send")?;
        check_eq!(next(&b)?, n, "what B gets");
        b.send(&[n], 0).sys("send")?;
        check_eq!(next(&a)?, n, "what A gets");
    }
    Ok((a, b))
}

/// The byte of the next datagram.
fn next(s: &Sock) -> Result<u8> {
    let mut buf = [0; 1];
    s.recv(&mut buf, 0).sys("recv")?;
    Ok(buf[0])
}

/// Another socket of B's, to which A can always send: what was sent to others before has been dealt with when it hears.
struct Marker<'a>(&'a Ctx, Sock);

impl<'a> Marker<'a> {
    fn new(ctx: &'a Ctx) -> Result<Marker<'a>> {
        let (a, b) = (&ctx.lab.a, &ctx.lab.b);
        b.ns.ip("addr add 10.99.0.1/24 dev vb")?;
        a.ns.ip("route add 10.99.0.1/32 dev va")?;
        let s = b.udp(ctx.server)?;
        let at = SocketAddrV4::new([10, 99, 0, 1].into(), 0);
        s.bind(at).sys("bind")?;
        Ok(Marker(ctx, s))
    }

    fn hears(&self) -> Result<()> {
        let to = self.1.local().sys("name")?;
        let s = self.0.udp()?;
        s.sendto(b"m", 0, to).sys("sendto")?;
        check_eq!(next(&self.1)?, b'm', "what the marker hears");
        Ok(())
    }
}

fn datagrams(ctx: &Ctx) -> Result<()> {
    let marker = Marker::new(ctx)?;
    let (a, b) = acquainted(ctx)?;
    let ns = &ctx.lab.b.ns;
    ns.ip("addr del 10.77.0.2/24 dev vb\nroute add 10.77.0.0/24 dev vb")?;
    a.send(b"l", 0).sys("send")?;
    marker.hears()?;
    ns.ip("route del 10.77.0.0/24 dev vb\naddr add 10.77.0.2/24 dev vb")?;
    a.send(b"k", 0).sys("send")?;
    check_eq!(next(&b)?, b'k', "the first that B gets with the address");
    Ok(())
}

fn segments(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 1, 50_000)?;
    let ns = &ctx.lab.b.ns;
    ns.ip("addr add 10.99.0.1/24 dev vb\naddr del 10.77.0.2/24 dev vb")?;
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    client.send(b"kept", 0).sys("send")?;
    // Who sends again got no answer: then the first was dealt with long ago.
    for _ in 0..2 {
        tap.find("the client's segment", |way, f| {
            let data = f.tcp().is_some_and(|s| s.has(flag::PSH));
            (way == Way::In && data).then_some(())
        })?;
    }
    let mut buf = [0; 8];
    want_errno(
        "recv without the address",
        server.recv(&mut buf, c::MSG_DONTWAIT),
        c::EAGAIN,
    )?;
    ns.ip("addr add 10.77.0.2/24 dev vb")?;
    let n = server.recv(&mut buf, 0).sys("recv with the address")?;
    check_eq!(&buf[..n], b"kept", "what was sent meanwhile");
    payload::exchange(&client, &server, 2, 50_000)
}

fn device(ctx: &Ctx) -> Result<()> {
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x55];
    if !ctx.server.is_rustnet() {
        return Err(skip("udp_v4_early_demux() does not look at the device"));
    }
    let marker = Marker::new(ctx)?;
    let (a, b) = acquainted(ctx)?;
    let ns = &ctx.lab.b.ns;
    ns.ip(
        "link add other address 02:00:00:00:00:55 type veth peer name end\n\
         addr add 10.98.0.1/24 dev other\n\
         link set other up\n\
         link set end up",
    )?;
    let end = End {
        dev: "end".into(),
        ..ctx.lab.b.clone()
    };
    let tap = Tap::new(&end, ETH_P_ALL)?;
    let forge = |byte: u8| -> Result<()> {
        let (from, to) = (a.local().sys("name")?, b.local().sys("name")?);
        let d = udp(from, to, &[byte], None, None);
        let p = Ipv4::new(from.ip().octets(), to.ip().octets(), 17).build(&d);
        let frame = ethernet(MAC, end.mac, ETH_P_IP, &p);
        tap.send(&frame).sys("send(AF_PACKET)")?;
        marker.hears()
    };
    for dev in ["all", "other"] {
        ns.sysctl(&format!("net/ipv4/conf/{dev}/rp_filter"), "0")?;
    }
    forge(7)?;
    check_eq!(next(&b)?, 7, "what B gets by a device without a filter");
    for n in [8, 9] {
        a.send(&[n], 0).sys("send")?;
        check_eq!(next(&b)?, n, "what B gets the usual way");
    }
    ns.sysctl("net/ipv4/conf/other/rp_filter", "1")?;
    forge(10)?;
    a.send(&[11], 0).sys("send")?;
    check_eq!(next(&b)?, 11, "what B gets behind a forgery");
    Ok(())
}

fn filter(ctx: &Ctx) -> Result<()> {
    let marker = Marker::new(ctx)?;
    let (a, b) = acquainted(ctx)?;
    let (ns, port) = (&ctx.lab.b.ns, b.local().sys("name")?.port());
    let rule = format!("udp dport {port} drop");
    chain(ns, "stop", "filter hook input priority 0", &rule)?;
    a.send(b"l", 0).sys("send")?;
    marker.hears()?;
    nft(ns, "delete table ip stop")?;
    a.send(b"k", 0).sys("send")?;
    check_eq!(next(&b)?, b'k', "the first that B gets without the filter");
    Ok(())
}
