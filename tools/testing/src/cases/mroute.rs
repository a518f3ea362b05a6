// SPDX-License-Identifier: GPL-2.0
//! A multicast router: B sends on what A sends to groups, by the word of a daemon, which is the test.
//!
//! ```text
//!   A 10.77.0.1 va ═══ vb  0 B 1  w  ═══ x  10.79.0.2 far end
//!                            2  w2 ═══ x2 10.80.0.2
//! ```

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::ethernet;
use netlab::frame::Ipv4;
use netlab::kstate;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::ns::Namespace;
use netlab::tap::Tap;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::wait;
use netlab::Family;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;
use crate::cases::router;

const G: &str = "router";
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const PORT: u16 = 7000;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "multicast_by_thresholds_and_counters", thresholds)
        .veth()
        .fresh(),
    Case::one(G, "multicast_asks_the_daemon", upcalls)
        .veth()
        .fresh(),
    Case::one(G, "multicast_of_the_router_itself", own)
        .veth()
        .fresh(),
    Case::one(G, "multicast_ends_with_the_daemon", ends)
        .veth()
        .fresh(),
    Case::one(G, "multicast_errnos", errnos).veth().fresh(),
];

const MRT_INIT: i32 = 200;
const MRT_DONE: i32 = 201;
const MRT_ADD_VIF: i32 = 202;
const MRT_DEL_VIF: i32 = 203;
const MRT_ADD_MFC: i32 = 204;
const MRT_DEL_MFC: i32 = 205;
const MRT_VERSION: i32 = 206;
const MRT_ASSERT: i32 = 207;
const VIFF_USE_IFINDEX: u8 = 8;
const NOCACHE: u8 = 1;
const WRONGVIF: u8 = 2;

/// `struct vifctl`.
fn vifctl(vifi: u16, flags: u8, local: [u8; 4]) -> Vec<u8> {
    let mut v = vifi.to_ne_bytes().to_vec();
    v.extend([flags, 1, 0, 0, 0, 0]);
    v.extend(local);
    v.extend([0; 4]);
    v
}

/// `struct mfcctl`.
fn mfcctl(origin: Ipv4Addr, group: Ipv4Addr, parent: u16, out: &[(usize, u8)]) -> Vec<u8> {
    let mut m = [origin.octets(), group.octets()].concat();
    m.extend(parent.to_ne_bytes());
    let mut ttls = [0; 32];
    for (vif, ttl) in out {
        ttls[*vif] = *ttl;
    }
    m.extend(ttls);
    m.resize(60, 0);
    m
}

/// The routing daemon.
struct Daemon {
    sock: Sock,
    ns: std::sync::Arc<Namespace>,
    family: Family,
}

fn raw(ctx: &Ctx, protocol: i32) -> Result<Sock> {
    let b = &ctx.lab.b.ns;
    b.enter(|| Sock::new(ctx.family(), c::SOCK_RAW, protocol))
        .sys("socket(RAW)")
}

impl Daemon {
    fn new(ctx: &Ctx) -> Result<Daemon> {
        let sock = raw(ctx, c::IPPROTO_IGMP)?;
        sock.set(c::IPPROTO_IP, MRT_INIT, 1).sys("MRT_INIT")?;
        Ok(Daemon {
            sock,
            ns: ctx.lab.b.ns.clone(),
            family: ctx.family(),
        })
    }

    fn say(&self, what: i32, value: &[u8]) -> Result<(), netlab::Errno> {
        self.sock.setsockopt(c::IPPROTO_IP, what, value)
    }

    /// Makes a vif of a device by its name.
    fn vif(&self, n: u16, dev: &str) -> Result<()> {
        let index = ifindex(&self.ns, dev)?;
        self.say(
            MRT_ADD_VIF,
            &vifctl(n, VIFF_USE_IFINDEX, index.to_ne_bytes()),
        )
        .sys("MRT_ADD_VIF")
    }

    fn route(&self, origin: Ipv4Addr, parent: u16, out: &[(usize, u8)]) -> Result<()> {
        self.say(MRT_ADD_MFC, &mfcctl(origin, GROUP, parent, out))
            .sys("MRT_ADD_MFC")
    }

    /// The next question: what it is about, the vif, and whose packet to which group.
    fn asked(&self) -> Result<(u8, u8, Ipv4Addr, Ipv4Addr)> {
        loop {
            self.sock.await_events(c::POLLIN).sys("poll")?;
            let mut m = [0; 100];
            let n = self.sock.recv(&mut m, 0).sys("recv")?;
            // The rest is IGMP.
            if m[9] == 0 {
                check_eq!(n, 28, "bytes of a question");
                check_eq!(m[20], m[8], "the type of IGMP");
                let ip = |at: usize| Ipv4Addr::new(m[at], m[at + 1], m[at + 2], m[at + 3]);
                return Ok((m[8], m[10], ip(12), ip(16)));
            }
        }
    }

    fn file(&self, name: &str) -> Result<Vec<Vec<String>>> {
        let dir = match self.family.is_rustnet() {
            true => "rustnet/",
            false => "",
        };
        let text = self.ns.proc_net(&format!("{dir}{name}"))?;
        let words = |l: &str| l.split_whitespace().map(str::to_string).collect();
        Ok(text.lines().skip(1).map(words).collect())
    }

    /// Bytes and packets in, bytes and packets out of a vif.
    fn vif_counts(&self, n: u16) -> Result<Vec<u64>> {
        let lines = self.file("ip_mr_vif")?;
        let line = lines.iter().find(|l| l[0] == n.to_string());
        let line = line.with_context(|| format!("no vif {n} in {lines:?}"))?;
        line[2..6].iter().map(|w| Ok(w.parse()?)).collect()
    }

    /// Packets, bytes and packets by a wrong vif of the only entry.
    fn mfc_counts(&self) -> Result<Vec<u64>> {
        let lines = self.file("ip_mr_cache")?;
        check_eq!(lines.len(), 1, "entries");
        lines[0][3..6].iter().map(|w| Ok(w.parse()?)).collect()
    }
}

fn ifindex(ns: &Namespace, dev: &str) -> Result<i32> {
    let text = ns.run(&["ip", "-o", "link", "show", "dev", dev])?;
    Ok(text.split(':').next().unwrap_or("").trim().parse()?)
}

/// Lays a second way behind B, beside that of [`router::lay`].
fn lay(ctx: &Ctx) -> Result<Namespace> {
    let far = router::lay(ctx, 1500)?;
    ctx.lab.b.ns.ip(&format!(
        "link add w2 type veth peer name x2 netns {}\n\
         addr add 10.80.0.1/24 dev w2\n\
         link set w2 up",
        far.path()
    ))?;
    far.ip("addr add 10.80.0.2/24 dev x2\nlink set x2 up")?;
    for (ns, devs) in [
        (&far, ["all", "x", "x2"]),
        (&ctx.lab.b.ns, ["all", "w", "vb"]),
    ] {
        for dev in devs {
            ns.sysctl(&format!("net/ipv4/conf/{dev}/rp_filter"), "0")?;
        }
    }
    Ok(far)
}

/// A member of the group on the device with the address `on`.
fn member(ns: &Namespace, family: Family, on: Ipv4Addr) -> Result<Sock> {
    let s = ns.enter(|| Sock::udp(family)).sys("socket")?;
    s.set(c::SOL_SOCKET, c::SO_REUSEADDR, 1).sys("reuse")?;
    s.bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT))
        .sys("bind")?;
    s.set(c::IPPROTO_IP, c::IP_MULTICAST_ALL, 0)
        .sys("IP_MULTICAST_ALL")?;
    s.set(c::IPPROTO_IP, c::IP_RECVTTL, 1).sys("IP_RECVTTL")?;
    let mreq = [GROUP.octets(), on.octets()].concat();
    s.setsockopt(c::IPPROTO_IP, c::IP_ADD_MEMBERSHIP, &mreq)
        .sys("IP_ADD_MEMBERSHIP")?;
    Ok(s)
}

/// Members behind both of B's links.
fn members(far: &Namespace) -> Result<(Sock, Sock)> {
    Ok((
        member(far, Family::INET, Ipv4Addr::new(10, 79, 0, 2))?,
        member(far, Family::INET, Ipv4Addr::new(10, 80, 0, 2))?,
    ))
}

/// What a member hears next, and with which time to live.
fn heard(s: &Sock) -> Result<(String, i32)> {
    s.await_events(c::POLLIN).sys("poll of a member")?;
    let mut buf = [0; 5000];
    let m = s.recvmsg(&mut buf, 0).sys("recvmsg")?;
    let ttl = m
        .control
        .iter()
        .find(|(level, ty, _)| (*level, *ty) == (c::IPPROTO_IP, c::IP_TTL))
        .context("no IP_TTL")?;
    let word = ttl.2[..4].try_into()?;
    let text = String::from_utf8_lossy(&buf[..m.len.min(20)]).into_owned();
    Ok((text, i32::from_ne_bytes(word)))
}

fn sender(ns: &Namespace, family: Family, from: Ipv4Addr) -> Result<Sock> {
    let s = ns.enter(|| Sock::udp(family)).sys("socket")?;
    s.bind(SocketAddrV4::new(from, 0)).sys("bind")?;
    s.setsockopt(c::IPPROTO_IP, c::IP_MULTICAST_IF, &from.octets())
        .sys("IP_MULTICAST_IF")?;
    Ok(s)
}

fn send(s: &Sock, ttl: i32, what: &[u8]) -> Result<()> {
    s.set(c::IPPROTO_IP, c::IP_MULTICAST_TTL, ttl)
        .sys("IP_MULTICAST_TTL")?;
    s.sendto(what, 0, SocketAddrV4::new(GROUP, PORT))
        .sys("sendto the group")?;
    Ok(())
}

fn thresholds(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let d = Daemon::new(ctx)?;
    d.vif(0, "vb")?;
    // By an address on it, and by its number.
    d.say(MRT_ADD_VIF, &vifctl(1, 0, [10, 79, 0, 1]))
        .sys("MRT_ADD_VIF by address")?;
    d.vif(2, "w2")?;
    d.route(a.ip, 0, &[(1, 1), (2, 10), (0, 0)])?;
    let (near, wide) = members(&far)?;
    let here = member(&b.ns, ctx.family(), b.ip)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    let forwarded = || kstate::snmp(&b.ns, "Ip", "ForwDatagrams");
    let before = forwarded()?;
    for (ttl, what) in [(1, "one"), (2, "two"), (10, "ten"), (11, "eleven")] {
        send(&s, ttl, what.as_bytes())?;
        check_eq!(heard(&here)?, (what.into(), ttl), "what the router hears");
    }
    check_eq!(heard(&near)?, ("two".into(), 1), "the first link");
    check_eq!(heard(&near)?, ("ten".into(), 9), "the first link");
    check_eq!(heard(&near)?, ("eleven".into(), 10), "the first link");
    check_eq!(heard(&wide)?, ("eleven".into(), 10), "the second link");
    check_eq!(forwarded()? - before, 4, "packets sent on");
    // 3 + 3 + 3 + 6 bytes, and two headers each.
    let headers = 4 * 28;
    check_eq!(d.mfc_counts()?, [4, headers + 15, 0], "the entry");
    check_eq!(d.vif_counts(0)?, [headers + 15, 4, 0, 0], "the vif in");
    check_eq!(d.vif_counts(1)?, [0, 0, 3 * 28 + 12, 3], "the first out");
    check_eq!(d.vif_counts(2)?, [0, 0, 28 + 6, 1], "the second out");
    // A filter between them sees and stops it.
    let rule = format!("ip daddr {GROUP} iif vb oif w2 counter drop");
    let hook = "filter hook forward priority 0";
    crate::cases::netfilter::chain(&b.ns, "gate", hook, &rule)?;
    send(&s, 20, b"stopped")?;
    check_eq!(heard(&near)?.0, "stopped", "the first link");
    let seen = || crate::cases::netfilter::counters(&b.ns, "gate").ok();
    wait::until("the filter's counter", || (seen()? == [1]).then_some(()))?;
    b.ns.run(&["nft", "delete table ip gate"]).map(drop).ok();
    Ok(())
}

fn upcalls(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let a = &ctx.lab.a;
    let d = Daemon::new(ctx)?;
    for (n, dev) in [(0, "vb"), (1, "w"), (2, "w2")] {
        d.vif(n, dev)?;
    }
    let (near, _wide) = members(&far)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    // What comes before the daemon has answered waits: four of them do.
    for n in 0..6u8 {
        send(&s, 5, &[b'0' + n])?;
    }
    check_eq!(d.asked()?, (NOCACHE, 0, a.ip, GROUP), "the question");
    d.route(a.ip, 0, &[(1, 1)])?;
    for n in 0..4u8 {
        check_eq!(heard(&near)?, (n.to_string(), 4), "what had waited");
    }
    send(&s, 5, b"after")?;
    check_eq!(heard(&near)?.0, "after", "what did not wait");
    check_eq!(d.mfc_counts()?[0], 5, "packets of the entry");
    // By a link that packets of the group go out by, from A's address.
    d.say(MRT_ASSERT, &1i32.to_ne_bytes()).sys("MRT_ASSERT")?;
    let x = End {
        ns: far.into(),
        ip: Ipv4Addr::new(10, 79, 0, 2),
        dev: "x".into(),
        mac: [2, 0, 0, 0, 0, 0x77],
    };
    let tap = Tap::new(&x, ETH_P_ALL)?;
    let packet = Ipv4::new(a.ip.octets(), GROUP.octets(), 17);
    let udp = [0x1b, 0x58, 0x1b, 0x58, 0, 9, 0, 0, b'!'];
    let frame = ethernet([1, 0, 0x5e, 1, 2, 3], x.mac, ETH_P_IP, &packet.build(&udp));
    tap.send(&frame).sys("send(AF_PACKET)")?;
    check_eq!(d.asked()?, (WRONGVIF, 1, a.ip, GROUP), "the question");
    check_eq!(d.mfc_counts()?[2], 1, "packets by a wrong vif");
    check_eq!(d.vif_counts(2)?, [0; 4], "the vif that leads nowhere");
    // Forgotten: asked again.
    let gone = mfcctl(a.ip, GROUP, 0, &[]);
    d.say(MRT_DEL_MFC, &gone).sys("MRT_DEL_MFC")?;
    want_errno("twice", d.say(MRT_DEL_MFC, &gone), c::ENOENT)?;
    send(&s, 5, b"again")?;
    check_eq!(d.asked()?, (NOCACHE, 0, a.ip, GROUP), "the question");
    Ok(())
}

fn own(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let b = &ctx.lab.b;
    let d = Daemon::new(ctx)?;
    d.vif(0, "vb")?;
    d.vif(1, "w")?;
    d.route(b.ip, 0, &[(1, 1)])?;
    let (near, _wide) = members(&far)?;
    let there = member(&ctx.lab.a.ns, Family::INET, ctx.lab.a.ip)?;
    let s = sender(&b.ns, ctx.family(), b.ip)?;
    send(&s, 5, b"own")?;
    check_eq!(heard(&there)?, ("own".into(), 5), "the link it left by");
    check_eq!(heard(&near)?, ("own".into(), 4), "the other link");
    // What leaves by another link than the group comes in by stays there.
    let other = sender(&b.ns, ctx.family(), router::OUTSIDE)?;
    d.route(router::OUTSIDE, 0, &[(0, 1)])?;
    send(&other, 5, b"aside")?;
    check_eq!(heard(&near)?, ("aside".into(), 5), "the link it left by");
    send(&s, 5, b"marker")?;
    check_eq!(heard(&there)?.0, "marker", "what A hears next");
    Ok(())
}

fn ends(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let all = |dev: &str, n: u32| -> Result<()> {
        let text = b.ns.run(&["ip", "-d", "link", "show", "dev", dev])?;
        let want = format!("allmulti {n} ");
        check!(text.contains(&want), "{dev} has no {want:?}: {text}");
        Ok(())
    };
    let d = Daemon::new(ctx)?;
    for (n, dev) in [(0, "vb"), (1, "w"), (2, "w2")] {
        d.vif(n, dev)?;
        all(dev, 1)?;
    }
    d.say(MRT_DEL_VIF, &vifctl(1, 0, [0; 4]))
        .sys("MRT_DEL_VIF")?;
    all("w", 0)?;
    d.vif(1, "w")?;
    d.route(a.ip, 0, &[(1, 1), (2, 1)])?;
    let (near, _wide) = members(&far)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    send(&s, 5, b"before")?;
    check_eq!(heard(&near)?.0, "before", "what the far end hears");
    // A device goes, and its vif with it.
    b.ns.ip("link del w2")?;
    check!(d.vif_counts(2).is_err(), "vif 2 is there without a device");
    send(&s, 5, b"between")?;
    check_eq!(heard(&near)?.0, "between", "what the far end hears");
    drop(d);
    for dev in ["vb", "w"] {
        wait::until("the end of allmulti", || all(dev, 0).ok())?;
    }
    send(&s, 5, b"lost")?;
    // A new daemon finds nothing, and is asked.
    let d = Daemon::new(ctx)?;
    check_eq!(d.file("ip_mr_cache")?.len(), 0, "entries");
    d.vif(7, "vb")?;
    d.vif(1, "w")?;
    send(&s, 5, b"asked")?;
    check_eq!(d.asked()?, (NOCACHE, 7, a.ip, GROUP), "the question");
    d.route(a.ip, 7, &[(1, 1)])?;
    check_eq!(heard(&near)?.0, "asked", "what the far end hears next");
    d.say(MRT_DONE, &[]).sys("MRT_DONE")?;
    all("vb", 0)?;
    // The socket stays, and may begin anew.
    d.sock.set(c::IPPROTO_IP, MRT_INIT, 1).sys("MRT_INIT")?;
    Ok(())
}

fn errnos(ctx: &Ctx) -> Result<()> {
    let ip = c::IPPROTO_IP;
    if ctx.family().is_rustnet() {
        // There the host sends on.
        let s = raw(ctx, c::IPPROTO_IGMP)?;
        want_errno("coexist", s.set(ip, MRT_INIT, 1), c::ENOPROTOOPT)?;
    }
    let _far = lay(ctx)?;
    let other = raw(ctx, c::IPPROTO_ICMP)?;
    want_errno("ICMP", other.set(ip, MRT_INIT, 1), c::EOPNOTSUPP)?;
    let d = Daemon::new(ctx)?;
    let second = raw(ctx, c::IPPROTO_IGMP)?;
    want_errno("another", second.set(ip, MRT_INIT, 1), c::EADDRINUSE)?;
    want_errno("not its own", second.set(ip, MRT_DONE, 1), c::EACCES)?;
    check_eq!(
        d.sock.get(ip, MRT_VERSION).sys("MRT_VERSION")?,
        0x305,
        "version"
    );
    check_eq!(d.sock.get(ip, MRT_ASSERT).sys("MRT_ASSERT")?, 0, "assert");
    d.sock.set(ip, MRT_ASSERT, 1).sys("MRT_ASSERT")?;
    check_eq!(d.sock.get(ip, MRT_ASSERT).sys("MRT_ASSERT")?, 1, "assert");
    d.vif(0, "vb")?;
    let add = |v: &[u8]| d.say(MRT_ADD_VIF, v);
    let index = |n: i32| n.to_ne_bytes();
    for (what, vif, errno) in [
        (
            "twice",
            vifctl(0, VIFF_USE_IFINDEX, index(1)),
            c::EADDRINUSE,
        ),
        ("too high", vifctl(32, 0, [10, 77, 0, 2]), c::ENFILE),
        (
            "no device",
            vifctl(1, VIFF_USE_IFINDEX, index(9999)),
            c::EADDRNOTAVAIL,
        ),
        ("not ours", vifctl(1, 0, [10, 77, 0, 1]), c::EADDRNOTAVAIL),
        ("odd flags", vifctl(1, 2, [10, 77, 0, 2]), c::EINVAL),
        ("too short", vec![0; 15], c::EINVAL),
    ] {
        want_errno(what, add(&vif), errno)?;
    }
    let del = d.say(MRT_DEL_VIF, &vifctl(1, 0, [0; 4]));
    want_errno("no such vif", del, c::EADDRNOTAVAIL)?;
    let add = |group, parent| d.say(MRT_ADD_MFC, &mfcctl(ctx.lab.a.ip, group, parent, &[]));
    want_errno("no group", add(ctx.lab.a.ip, 0), c::EINVAL)?;
    want_errno("no such parent", add(GROUP, 32), c::ENFILE)?;
    want_errno("no such option", d.say(299, &[0; 4]), c::ENOPROTOOPT)
}
