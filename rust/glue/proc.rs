// SPDX-License-Identifier: GPL-2.0
//! `/proc/net/rustnet`: what RustNet counts and what it knows of the host's routes.

use super::igmp;
use super::mib::{
    self,
    Place, //
};
use super::mroute;
use super::net::{
    Mode,
    State, //
};
use super::proc_net;
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::netns::Net;
use crate::abstractions::proc_fs::{
    Dir,
    Show, //
};
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::ip::route::{
    Flow,
    Kind, //
};
use crate::stack::neigh::Nud;
use crate::stack::wire::ipv4::Addr;
use kernel::error::Result;
use kernel::seq_file::SeqFile;

/// Prints to a file. The kernel's own macro only takes what implements the kernel's `Display`.
macro_rules! print {
    ($m:expr, $($args:tt)*) => { $m.call_printf(format_args!($($args)*)) };
}

/// The directory of a namespace.
pub(crate) struct Registration {
    _dir: Dir,
}

/// Makes `/proc/net/rustnet`.
pub(crate) fn register(state: &'static State) -> Result<Registration> {
    let dir = Dir::new(state.net, c"rustnet")?;
    dir.add::<Stat>(c"stat")?;
    dir.add::<Route>(c"route")?;
    dir.add::<Neighbours>(c"arp")?;
    proc_net::register(&dir)?;
    igmp::proc::register(&dir)?;
    mroute::proc::register(&dir)?;
    Ok(Registration { _dir: dir })
}

/// One `NAME VALUE` a line: settings first, then events that the host's MIBs do not count, then drops by
/// reason.
struct Stat;

impl Show for Stat {
    fn show(net: &Net, m: &SeqFile) -> Result {
        let Some(state) = State::of(net) else {
            return Ok(());
        };
        let mode = match state.mode() {
            Mode::Coexist => "coexist",
            Mode::Replace => "replace",
        };
        print!(m, "mode {}\nsockets {}\n", mode, state.users());
        print!(m, "route.genid {}\n", state.fib.genid());
        print!(
            m,
            "route.exact {}\n",
            u8::from(state.fib_state.exact(net, &Flow::default()))
        );
        for c in Counter::ALL {
            if matches!(mib::place(*c), Place::Own) {
                print!(m, "{} {}\n", c.name(), state.counts.sum_own(*c));
            }
        }
        for r in DropReason::ALL {
            print!(m, "drop.{} {}\n", r.name(), state.counts.sum_dropped(*r));
        }
        Ok(())
    }
}

/// The word of `ip route` for a kind of route.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unicast => "unicast",
        Kind::Local => "local",
        Kind::Broadcast => "broadcast",
        Kind::Anycast => "anycast",
        Kind::Multicast => "multicast",
        Kind::Blackhole => "blackhole",
        Kind::Unreachable => "unreachable",
        Kind::Prohibit => "prohibit",
        Kind::Throw => "throw",
    }
}

/// The neighbours, one a line, in the words of `ip neigh`.
struct Neighbours;

impl Show for Neighbours {
    fn show(net: &Net, m: &SeqFile) -> Result {
        let Some(state) = State::of(net) else {
            return Ok(());
        };
        state.neigh.for_each(|n| {
            let key = n.key();
            print!(m, "{}", key.addr);
            show_dev(net, m, key.ifindex as u32);
            if let Some(ha) = n.addr() {
                print!(m, " lladdr {}", ha);
            }
            let state = match n.state() {
                Nud::None => "NONE",
                Nud::Incomplete => "INCOMPLETE",
                Nud::Reachable => "REACHABLE",
                Nud::Stale => "STALE",
                Nud::Delay => "DELAY",
                Nud::Probe => "PROBE",
                Nud::Failed => "FAILED",
                Nud::Noarp => "NOARP",
                Nud::Permanent => "PERMANENT",
            };
            print!(m, " {}\n", state);
            true
        });
        Ok(())
    }
}

/// A device by its name, or by its number if it is gone.
fn show_dev(net: &Net, m: &SeqFile, ifindex: u32) {
    let named = NetDevice::with(net, ifindex, |dev| {
        dev.with_name(|name| print!(m, " dev {}", name.to_str().unwrap_or("?")))
    });
    if named.is_none() {
        print!(m, " dev if{}", ifindex);
    }
}

/// The mirror of the host's routes, one a line, in the words of `ip route`.
struct Route;

impl Show for Route {
    fn show(net: &Net, m: &SeqFile) -> Result {
        let Some(state) = State::of(net) else {
            return Ok(());
        };
        state.fib.walk((0, Addr::ANY, 0), |table, prefix, len, a| {
            print!(m, "{} {}/{}", kind(a.kind), prefix, len);
            if !a.gateway.is_any() {
                print!(m, " via {}", a.gateway);
            }
            if a.oif != 0 {
                show_dev(net, m, a.oif as u32);
            }
            print!(m, " table {}", table);
            if !a.prefsrc.is_any() {
                print!(m, " src {}", a.prefsrc);
            }
            if a.priority != 0 {
                print!(m, " metric {}", a.priority);
            }
            if a.mtu != 0 {
                print!(m, " mtu {}", a.mtu);
            }
            print!(m, " scope {}\n", a.scope.0);
            true
        });
        Ok(())
    }
}
