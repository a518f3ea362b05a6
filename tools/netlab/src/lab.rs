// SPDX-License-Identifier: GPL-2.0
//! Two ends and a link between them.
//!
//! ```text
//!   lo:    one namespace                    127.0.0.1 ──── 127.0.0.1
//!   veth:  namespace A  10.77.0.1  va ═════════════ vb  10.77.0.2  namespace B
//!   nic:   namespace A  10.78.0.1  e1000 ══ hub ══ e1000  10.78.0.2  namespace B
//! ```

use std::fmt;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;

use crate::card::Card;
use crate::family::Family;
use crate::ktap::skip;
use crate::ktap::Sysc;
use crate::ns::Namespace;
use crate::rtnl::Rtnl;
use crate::rtnl::Veth;
use crate::sock::Sock;

/// Which link to lay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// The loopback device of one namespace.
    Lo,
    /// A veth pair between two namespaces.
    Veth,
    /// Two e1000s of the guest on one hub.
    Nic,
}

impl FromStr for Link {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "lo" => Ok(Link::Lo),
            "veth" => Ok(Link::Veth),
            "nic" => Ok(Link::Nic),
            _ => Err(format!("{s:?} is no link: lo, veth or nic")),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Link::Lo => "lo",
            Link::Veth => "veth",
            Link::Nic => "nic",
        })
    }
}

/// One end of a link: a place to make sockets.
#[derive(Clone, Debug)]
pub struct End {
    /// Where its sockets live.
    pub ns: Arc<Namespace>,
    /// Its address.
    pub ip: Ipv4Addr,
    /// The device that leads to the other end.
    pub dev: String,
    /// That device's Ethernet address; zeros on loopback.
    pub mac: [u8; 6],
}

impl End {
    /// A TCP socket of the family, here.
    pub fn tcp(&self, family: Family) -> Result<Sock> {
        self.ns
            .enter(|| Sock::tcp(family))
            .sys(&format!("socket({family}, STREAM)"))
    }

    /// A UDP socket of the family, here.
    pub fn udp(&self, family: Family) -> Result<Sock> {
        self.ns
            .enter(|| Sock::udp(family))
            .sys(&format!("socket({family}, DGRAM)"))
    }

    /// This end's address with a port.
    pub fn at(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, port)
    }
}

/// Two ends joined by a link.
#[derive(Clone, Debug)]
pub struct Lab {
    /// The link between them.
    pub link: Link,
    /// Where clients usually sit.
    pub a: End,
    /// Where servers usually sit.
    pub b: End,
}

impl Lab {
    /// Lays the link in namespaces of its own.
    pub fn new(link: Link) -> Result<Lab> {
        match link {
            Link::Lo => Lab::lo(),
            Link::Veth => Lab::veth(),
            Link::Nic => Lab::nic(),
        }
    }

    fn lo() -> Result<Lab> {
        let ns = Arc::new(Namespace::new()?);
        let end = End {
            ns,
            ip: Ipv4Addr::LOCALHOST,
            dev: "lo".into(),
            mac: [0; 6],
        };
        Ok(Lab {
            link: Link::Lo,
            a: end.clone(),
            b: end,
        })
    }

    fn veth() -> Result<Lab> {
        let (a, b) = (Namespace::new()?, Namespace::new()?);
        // Fixed addresses make captures from two runs comparable.
        let (mac_a, mac_b) = ([2, 0, 0, 0, 0, 0x0a], [2, 0, 0, 0, 0, 0x0b]);
        let (ip_a, ip_b) = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2));
        let (at_a, at_b) = (Rtnl::of(&a)?, Rtnl::of(&b)?);
        at_a.veth(
            &Veth {
                dev: "va",
                mac: mac_a,
                ns: &a,
            },
            &Veth {
                dev: "vb",
                mac: mac_b,
                ns: &b,
            },
        )?;
        at_a.up_with("va", ip_a)?;
        at_b.up_with("vb", ip_b)?;
        at_a.carries("va")?;
        at_b.carries("vb")?;
        let end = |ns, ip, dev: &str, mac| End {
            ns: Arc::new(ns),
            ip,
            dev: dev.into(),
            mac,
        };
        Ok(Lab {
            link: Link::Veth,
            a: end(a, ip_a, "va", mac_a),
            b: end(b, ip_b, "vb", mac_b),
        })
    }

    fn nic() -> Result<Lab> {
        let cards = Card::all();
        let [.., one, two] = cards.as_slice() else {
            return Err(skip("needs two e1000s on one hub"));
        };
        // The kernel hands physical devices back to the first namespace some time after the last one is gone.
        let name = |card: &Card| crate::wait::until("an e1000 in this namespace", || card.netdev());
        let (one, two) = (&name(one)?, &name(two)?);
        let (a, b) = (Namespace::new()?, Namespace::new()?);
        let host = Namespace::current()?;
        host.ip(&format!(
            "link set {one} netns {}\nlink set {two} netns {}",
            a.path(),
            b.path()
        ))?;
        let (ip_a, ip_b) = (Ipv4Addr::new(10, 78, 0, 1), Ipv4Addr::new(10, 78, 0, 2));
        let (at_a, at_b) = (Rtnl::of(&a)?, Rtnl::of(&b)?);
        at_a.up_with(one, ip_a)?;
        at_b.up_with(two, ip_b)?;
        let end = |ns: Namespace, ip, dev: &str| -> Result<End> {
            let mac = ns.enter(|| mac_of(dev))?;
            Ok(End {
                ns: Arc::new(ns),
                ip,
                dev: dev.into(),
                mac,
            })
        };
        let lab = Lab {
            link: Link::Nic,
            a: end(a, ip_a, one)?,
            b: end(b, ip_b, two)?,
        };
        // The cards negotiate, which takes seconds.
        at_a.carries(one)?;
        at_b.carries(two)?;
        Ok(lab)
    }
}

/// The Ethernet address of a device in the calling thread's namespace.
fn mac_of(dev: &str) -> Result<[u8; 6]> {
    let out = std::process::Command::new("ip")
        .args(["-o", "link", "show", "dev", dev])
        .output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let word = text
        .split_whitespace()
        .skip_while(|w| *w != "link/ether")
        .nth(1);
    let word = word.with_context(|| format!("no link/ether in {text:?}"))?;
    let mut mac = [0; 6];
    for (byte, hex) in mac.iter_mut().zip(word.split(':')) {
        *byte = u8::from_str_radix(hex, 16)?;
    }
    Ok(mac)
}
