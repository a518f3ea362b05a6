// SPDX-License-Identifier: GPL-2.0
//! A multicast router: B sends on what A sends to groups, by the word of a daemon, which is the test.
//!
//! ```text
//!   A 10.77.0.1 va ═══ vb  0 B 1  w  ═══ x  10.79.0.2 far end
//!                            2  w2 ═══ x2 10.80.0.2
//! ```

mod change;
mod counts;
mod daemon;
mod proxy;
mod size;
mod smcroute;
mod traffic;
mod waiting;

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::ethernet;
use netlab::frame::udp;
use netlab::frame::Ipv4;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::ns::Namespace;
use netlab::tap::Tap;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::Family;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;
use crate::case::Test;
use crate::cases::router;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const PORT: u16 = 7000;
/// The addresses at the ends of B's two links.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 2);
const WIDE: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 2);

const fn case(name: &'static str, run: Test) -> Case {
    Case::one("router", name, run).veth().fresh()
}

/// The cases of this directory.
pub const CASES: &[Case] = &[
    case("multicast_by_thresholds_and_counters", traffic::thresholds),
    case("multicast_of_the_router_itself", traffic::own),
    case("multicast_to_a_narrow_link", size::narrow),
    case("multicast_of_several_segments", size::segments),
    case("multicast_counters_by_ioctl", counts::ioctls),
    case("multicast_asks_the_daemon", daemon::upcalls),
    case("multicast_ends_with_the_daemon", daemon::ends),
    case("multicast_errnos", daemon::errnos),
    case("multicast_that_waits_too_long", waiting::expiry).secs(60),
    case("multicast_of_any_source", proxy::any_source),
    case(
        "multicast_routes_change_under_traffic",
        change::under_traffic,
    ),
    case("multicast_flush", change::flush),
    case("multicast_of_others_than_the_daemon", change::fixed),
    case("multicast_by_smcroute", smcroute::smcroute).secs(60),
];

const MRT_INIT: i32 = 200;
const MRT_DONE: i32 = 201;
const MRT_ADD_VIF: i32 = 202;
const MRT_DEL_VIF: i32 = 203;
const MRT_ADD_MFC: i32 = 204;
const MRT_DEL_MFC: i32 = 205;
const MRT_VERSION: i32 = 206;
const MRT_ASSERT: i32 = 207;
const MRT_ADD_MFC_PROXY: i32 = 210;
const MRT_DEL_MFC_PROXY: i32 = 211;
const MRT_FLUSH: i32 = 212;
const VIFF_USE_IFINDEX: u8 = 8;
const NOCACHE: u8 = 1;
const WRONGVIF: u8 = 2;

/// Another group than [`GROUP`].
fn other_group(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(239, 1, 3, n)
}

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

/// The routing daemon, or somebody else who has a raw socket for IGMP.
struct Daemon {
    sock: Sock,
    ns: Arc<Namespace>,
    family: Family,
}

fn raw(ctx: &Ctx, protocol: i32) -> Result<Sock> {
    let b = &ctx.lab.b.ns;
    b.enter(|| Sock::new(ctx.family(), c::SOCK_RAW, protocol))
        .sys("socket(RAW)")
}

impl Daemon {
    fn new(ctx: &Ctx) -> Result<Daemon> {
        let d = Daemon::other(ctx)?;
        d.sock.set(c::IPPROTO_IP, MRT_INIT, 1).sys("MRT_INIT")?;
        Ok(d)
    }

    /// Not the daemon, but somebody who may administer the network.
    fn other(ctx: &Ctx) -> Result<Daemon> {
        Ok(Daemon {
            sock: raw(ctx, c::IPPROTO_IGMP)?,
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

    /// Makes vifs 0, 1 and 2 of the devices towards A, `NEAR` and `WIDE`.
    fn vifs(&self) -> Result<()> {
        for (n, dev) in [(0, "vb"), (1, "w"), (2, "w2")] {
            self.vif(n, dev)?;
        }
        Ok(())
    }

    fn route(&self, origin: Ipv4Addr, parent: u16, out: &[(usize, u8)]) -> Result<()> {
        self.route_of(origin, GROUP, parent, out)
    }

    fn route_of(
        &self,
        origin: Ipv4Addr,
        group: Ipv4Addr,
        parent: u16,
        out: &[(usize, u8)],
    ) -> Result<()> {
        self.say(MRT_ADD_MFC, &mfcctl(origin, group, parent, out))
            .sys("MRT_ADD_MFC")
    }

    /// The next question: what it is about, the vif, and whose packet to which group.
    fn asked(&self) -> Result<(u8, u8, Ipv4Addr, Ipv4Addr)> {
        loop {
            self.sock.await_events(c::POLLIN).sys("poll")?;
            if let Some(question) = self.next()? {
                return Ok(question);
            }
        }
    }

    /// Checks that it has not been asked anything that it does not know.
    fn not_asked(&self) -> Result<()> {
        while self.sock.poll(c::POLLIN, Default::default()).sys("poll")? != 0 {
            if let Some(question) = self.next()? {
                anyhow::bail!("a question that should not be: {question:?}");
            }
        }
        Ok(())
    }

    /// What the socket has, if it is a question: the rest is IGMP.
    fn next(&self) -> Result<Option<(u8, u8, Ipv4Addr, Ipv4Addr)>> {
        let mut m = [0; 100];
        let n = self.sock.recv(&mut m, 0).sys("recv")?;
        if m[9] != 0 {
            return Ok(None);
        }
        check_eq!(n, 28, "bytes of a question");
        check_eq!(m[20], m[8], "the type of IGMP");
        let ip = |at: usize| Ipv4Addr::new(m[at], m[at + 1], m[at + 2], m[at + 3]);
        Ok(Some((m[8], m[10], ip(12), ip(16))))
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

    /// The numbers of the vifs.
    fn vifs_there(&self) -> Result<Vec<String>> {
        Ok(self
            .file("ip_mr_vif")?
            .iter()
            .map(|l| l[0].clone())
            .collect())
    }

    /// Packets, bytes and packets by a wrong vif of the only entry.
    fn mfc_counts(&self) -> Result<Vec<u64>> {
        let lines = self.file("ip_mr_cache")?;
        check_eq!(lines.len(), 1, "entries");
        lines[0][3..6].iter().map(|w| Ok(w.parse()?)).collect()
    }

    /// Packets of the entry of a source and a group; `None` if there is none. What waits for an answer has a line, too.
    fn mfc_packets(&self, origin: Ipv4Addr, group: Ipv4Addr) -> Result<Option<u64>> {
        let word = |a: Ipv4Addr| format!("{:08X}", u32::from_ne_bytes(a.octets()));
        let lines = self.file("ip_mr_cache")?;
        let line = lines
            .iter()
            .find(|l| l[0] == word(group) && l[1] == word(origin) && l[2] != "-1");
        Ok(line.map(|l| l[3].parse()).transpose()?)
    }

    /// The groups whose packets wait for an answer.
    fn groups_waiting(&self) -> Result<Vec<Ipv4Addr>> {
        let lines = self.file("ip_mr_cache")?;
        let waiting = lines.iter().filter(|l| l[2] == "-1");
        waiting
            .map(|l| Ok(u32::from_str_radix(&l[0], 16)?.to_ne_bytes().into()))
            .collect()
    }
}

fn ifindex(ns: &Namespace, dev: &str) -> Result<i32> {
    let text = ns.run(&["ip", "-o", "link", "show", "dev", dev])?;
    Ok(text.split(':').next().unwrap_or("").trim().parse()?)
}

/// Checks how many want `dev` to take packets to all groups.
fn allmulti(ns: &Namespace, dev: &str, n: u32) -> Result<()> {
    let text = ns.run(&["ip", "-d", "link", "show", "dev", dev])?;
    let want = format!("allmulti {n} ");
    check!(text.contains(&want), "{dev} has no {want:?}: {text}");
    Ok(())
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
    join(&s, GROUP, on)?;
    Ok(s)
}

/// Makes a socket a member of a group on the device with the address `on`.
fn join(s: &Sock, group: Ipv4Addr, on: Ipv4Addr) -> Result<()> {
    let mreq = [group.octets(), on.octets()].concat();
    s.setsockopt(c::IPPROTO_IP, c::IP_ADD_MEMBERSHIP, &mreq)
        .sys("IP_ADD_MEMBERSHIP")
}

/// Members behind both of B's links.
fn members(far: &Namespace) -> Result<(Sock, Sock)> {
    Ok((
        member(far, Family::INET, NEAR)?,
        member(far, Family::INET, WIDE)?,
    ))
}

/// What a member hears next, and with which time to live.
fn heard_bytes(s: &Sock) -> Result<(Vec<u8>, i32)> {
    s.await_events(c::POLLIN).sys("poll of a member")?;
    let mut buf = [0; 5000];
    let m = s.recvmsg(&mut buf, 0).sys("recvmsg")?;
    let ttl = m
        .control
        .iter()
        .find(|(level, ty, _)| (*level, *ty) == (c::IPPROTO_IP, c::IP_TTL))
        .context("no IP_TTL")?;
    let word = ttl.2[..4].try_into()?;
    Ok((buf[..m.len].to_vec(), i32::from_ne_bytes(word)))
}

/// The same of a short text.
fn heard(s: &Sock) -> Result<(String, i32)> {
    let (bytes, ttl) = heard_bytes(s)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), ttl))
}

fn sender(ns: &Namespace, family: Family, from: Ipv4Addr) -> Result<Sock> {
    let s = ns.enter(|| Sock::udp(family)).sys("socket")?;
    s.bind(SocketAddrV4::new(from, 0)).sys("bind")?;
    s.setsockopt(c::IPPROTO_IP, c::IP_MULTICAST_IF, &from.octets())
        .sys("IP_MULTICAST_IF")?;
    Ok(s)
}

fn send(s: &Sock, ttl: i32, what: &[u8]) -> Result<()> {
    send_to(s, GROUP, ttl, what)
}

fn send_to(s: &Sock, group: Ipv4Addr, ttl: i32, what: &[u8]) -> Result<()> {
    s.set(c::IPPROTO_IP, c::IP_MULTICAST_TTL, ttl)
        .sys("IP_MULTICAST_TTL")?;
    s.sendto(what, 0, SocketAddrV4::new(group, PORT))
        .sys("sendto the group")?;
    Ok(())
}

/// A link at the far end, where packets of anybody's are put on the wire.
struct Stray(Tap);

impl Stray {
    fn new(far: Arc<Namespace>, dev: &str, ip: Ipv4Addr) -> Result<Stray> {
        let end = End {
            ns: far,
            ip,
            dev: dev.into(),
            mac: [2, 0, 0, 0, 0, 0x77],
        };
        Ok(Stray(Tap::new(&end, ETH_P_ALL)?))
    }

    /// Sends a datagram of `from`'s to [`GROUP`].
    fn send(&self, from: Ipv4Addr, what: &[u8]) -> Result<()> {
        let at = |ip| SocketAddrV4::new(ip, PORT);
        let datagram = udp(at(from), at(GROUP), what, None, None);
        let packet = Ipv4::new(from.octets(), GROUP.octets(), 17).build(&datagram);
        let to = [1, 0, 0x5e, 1, 2, 3];
        let frame = ethernet(to, self.0.end.mac, ETH_P_IP, &packet);
        self.0.send(&frame).sys("send(AF_PACKET)")
    }
}
