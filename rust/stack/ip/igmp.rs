// SPDX-License-Identifier: GPL-2.0
//! Membership in groups, and IGMP, the host's side (RFC 3376, RFC 2236, RFC 1112).
//!
//! In: what sockets join and leave ([`Interface::change`]), what is heard on the link ([`Interface::heard`]), the time
//! ([`Interface::expire`]). Out: reports, as messages without an IP header, and when to come again.
//!
//! | file | holds |
//! |---|---|
//! | [`membership`] | the groups of one socket, with its filters |
//! | [`group`] | a group on a device: what all sockets want together, and what of it is still to be told |
//! | `talk` | hearing questions, giving answers |
//! | `report` | records become messages |
//!
//! A device's groups are read without a lock, for each packet to a group asks for its own; everything else is under the
//! device's lock. What is to be told stands with the group it is about, so that questions take no memory, and groups
//! about which nothing is to be told cost nothing.
//!
//! Context: softirq or process; nothing here sleeps.
//!
//! Mirrors [`struct in_device`, `struct ip_mc_list`](srctree/include/linux/igmp.h)

use crate::platform::{
    AllocError,
    Arc,
    Lock,
    Rcu,
    RcuBox, //
};
use crate::stack::ip::route::trie::Trie;
use crate::stack::time::{
    Duration,
    Instant, //
};
use crate::stack::wire::igmp::{
    Version,
    ALL_HOSTS, //
};
use crate::stack::wire::ipv4::Addr;

pub mod group;
pub mod membership;
mod report;
mod talk;

use self::group::Group;
use self::membership::Filter;

/// How often a router asks, if it does not say (RFC 3376, 8.2).
const QUERY_INTERVAL: Duration = Duration::from_secs(125);
/// How long it waits for answers (RFC 3376, 8.3).
const QUERY_RESPONSE_INTERVAL: Duration = Duration::from_secs(10);
/// Of so many groups that were left routers are told. Of what a user leaves beyond that in a second they hear by asking.
const MOST_LEFT: u32 = 1024;
/// The length of a prefix that is one address.
const HOST: u8 = 32;

/// What the administrator says.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often changes are told, unless a router says how often (`igmp_qrv`).
    pub qrv: u8,
    /// The version that is spoken whatever routers speak (`force_igmp_version`).
    pub force: Option<Version>,
    /// Whether groups that no router sends on are reported, too (`igmp_link_local_mcast_reports`).
    pub link_local: bool,
    /// Changes are told again within this time (`igmpv2_unsolicited_report_interval`), in versions 1 and 2,
    pub unsolicited_v2: Duration,
    /// and in version 3 (`igmpv3_unsolicited_report_interval`).
    pub unsolicited_v3: Duration,
}

/// What a call is told of the world.
pub struct Ctx<'a> {
    /// The time.
    pub now: Instant,
    /// What the administrator says.
    pub settings: &'a Settings,
    /// Makes random numbers.
    pub random: &'a mut dyn FnMut() -> u32,
}

impl Ctx<'_> {
    /// A random time of less than `most` from now on: one of 64, so that the timer is not due more often than that for one
    /// question, however many groups have an answer to give.
    fn within(&mut self, most: Duration) -> Instant {
        let slot = u64::from((self.random)() >> 26);
        let nanos = (most.as_nanos() / 64).saturating_mul(slot);
        self.now.plus(Duration::from_nanos(nanos))
    }

    /// Whether anybody is told of a group.
    fn reports(&self, group: Addr) -> bool {
        group != ALL_HOSTS && (self.settings.link_local || !group.is_local_multicast())
    }
}

impl Settings {
    /// What the administrator says if he says nothing.
    pub const DEFAULT: Settings = Settings {
        qrv: 2,
        force: None,
        link_local: true,
        unsolicited_v2: Duration::from_secs(10),
        unsolicited_v3: Duration::from_secs(1),
    };
}

/// What a change did to a device's groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The group is new here: the device must be made to hear it.
    pub first: bool,
    /// Nobody is in the group any more.
    pub last: bool,
    /// Whether the device is up.
    pub up: bool,
    /// When there is something to do.
    pub next: Option<Instant>,
}

/// The groups of a device.
#[derive(Debug, Default)]
pub struct Interface {
    groups: Rcu<Trie<Arc<Group>>>,
    control: Lock<Control>,
}

/// What a device has to tell, and whom.
#[derive(Debug, Default)]
struct Control {
    /// Whether the device is up: nothing is told by one that is not.
    up: bool,
    /// Until when a router of version 1 is held to be there,
    v1_until: Instant,
    /// and one of version 2.
    v2_until: Instant,
    /// How often changes are told, if a router has said so; else zero.
    qrv: u8,
    /// How often a router asks, if it has said so; else zero.
    interval: Duration,
    /// When everything is told.
    general: Option<Instant>,
    /// When changes are told, in version 3.
    change: Option<Instant>,
    /// The groups of which there are changes to tell; some of them were left.
    changed: Trie<Arc<Group>>,
    /// How many those were at the most.
    left: u32,
    /// The groups that have an answer of their own to give.
    asked: Trie<Arc<Group>>,
}

impl Control {
    /// The version that is spoken.
    ///
    /// Mirrors [`IGMP_V1_SEEN`, `IGMP_V2_SEEN`](srctree/net/ipv4/igmp.c)
    fn version(&self, ctx: &Ctx<'_>) -> Version {
        match ctx.settings.force {
            Some(version @ (Version::V1 | Version::V2)) => version,
            _ if ctx.now < self.v1_until => Version::V1,
            _ if ctx.now < self.v2_until => Version::V2,
            _ => Version::V3,
        }
    }

    fn qrv(&self, ctx: &Ctx<'_>) -> u8 {
        match self.qrv {
            0 => ctx.settings.qrv.max(1),
            n => n,
        }
    }

    /// A router of an old version has been heard. It does not understand changes.
    fn old_router(&mut self, version: Version, ctx: &Ctx<'_>) {
        let interval = match self.interval {
            Duration::ZERO => QUERY_INTERVAL,
            known => known,
        };
        // RFC 3376, 8.12.
        let all = interval
            .times(self.qrv(ctx).into())
            .plus(QUERY_RESPONSE_INTERVAL);
        let until = ctx.now.plus(all);
        match version {
            Version::V1 => self.v1_until = until,
            _ => self.v2_until = until,
        }
        self.change = None;
        each(&self.changed, |g| g.state.lock().forget_changes());
        self.changed = Trie::default();
    }

    /// When there is something to do.
    fn next(&self) -> Option<Instant> {
        let mut next = earlier(self.general, self.change);
        each(&self.asked, |g| {
            next = earlier(next, g.state.lock().answer_at());
        });
        next
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Calls `f` with all groups of a set.
fn each(groups: &Trie<Arc<Group>>, mut f: impl FnMut(&Arc<Group>)) {
    groups.walk((Addr::ANY, 0), |_, _, g| {
        f(g);
        true
    });
}

/// Takes a group out of a set. Without memory it stays, and whoever meets it there sees that it has nothing to say.
fn forget(groups: &mut Trie<Arc<Group>>, group: Addr) {
    if let Ok(without) = groups.remove(group, HOST) {
        *groups = without;
    }
}

impl Interface {
    /// Whether this host is in the group. Without a lock, in any context.
    ///
    /// Mirrors [`ip_check_mc_rcu`](srctree/net/ipv4/igmp.c)
    pub fn is_in(&self, group: Addr) -> bool {
        self.groups.read(|groups| {
            let found = groups.and_then(|g| g.get(group, HOST));
            found.is_some_and(|g| g.is_joined())
        })
    }

    /// Whether this host is in no group.
    pub fn is_empty(&self) -> bool {
        self.groups.read(|groups| groups.is_none_or(Trie::is_empty))
    }

    fn all(&self) -> Trie<Arc<Group>> {
        self.groups.read(|g| g.cloned()).unwrap_or_default()
    }

    /// Calls `f` with each group, in the order of addresses.
    pub fn for_each(&self, f: impl FnMut(&Arc<Group>)) {
        each(&self.all(), f);
    }

    /// The version that is spoken now.
    pub fn version(&self, ctx: &Ctx<'_>) -> Version {
        self.control.lock().version(ctx)
    }

    /// A socket that wanted `old` of the group now wants `new`; `None`: it was not or is no longer in the group. With no
    /// `new` it does not fail, though without memory nobody is told. Under the RTNL.
    ///
    /// Mirrors [`____ip_mc_inc_group`, `__ip_mc_dec_group`, `ip_mc_add_src`, `ip_mc_del_src`](srctree/net/ipv4/igmp.c)
    pub fn change(
        &self,
        addr: Addr,
        old: Option<&Filter>,
        new: Option<&Filter>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Changed, AllocError> {
        let mut control = self.control.lock();
        let mut groups = self.all();
        let known = groups.get(addr, HOST).or(control.changed.get(addr, HOST));
        let group = match known {
            Some(known) => known.clone(),
            None => Arc::try_new(Group::new(addr))?,
        };
        let mut state = group.state.lock();
        // Whatever may fail comes before what changes.
        if let Some(new) = new {
            state.make_room(new)?;
        }
        let there = groups.get(addr, HOST).is_some();
        let mut published = None;
        if new.is_some() && !there {
            groups = groups.insert(addr, HOST, group.clone())?;
            published = Some(RcuBox::try_new(groups.clone())?);
        }
        let version = control.version(ctx);
        let told = control.up && ctx.reports(addr) && (new.is_some() || control.left < MOST_LEFT);
        let noted = match version {
            _ if !told => None,
            Version::V3 => Some(control.changed.insert(addr, HOST, group.clone())),
            _ => Some(control.asked.insert(addr, HOST, group.clone())),
        };
        let noted = match noted {
            Some(Err(e)) if new.is_some() => return Err(e),
            Some(noted) => noted.ok(),
            None => None,
        };

        let (was, left_by_us) = (state.is_joined(), state.was_last_to_report());
        let changes = state.change(old, new, control.qrv(ctx));
        let is = state.is_joined();
        group.set_joined(is);
        if let Some(published) = published {
            self.groups.replace(Some(published));
        }
        if let Some(noted) = noted {
            match version {
                Version::V3 if changes => {
                    control.changed = noted;
                    control.change = earlier(control.change, Some(ctx.now));
                }
                Version::V3 => (),
                _ if is && !was => {
                    control.asked = noted;
                    state.forget_changes();
                    state.tell_unasked(control.qrv(ctx), ctx.now);
                }
                // RFC 2236, 3: whoever was not the last to report may go without a word.
                Version::V2 if was && !is && left_by_us => {
                    control.asked = noted;
                    state.forget_changes();
                    state.say_leave(ctx.now);
                }
                _ => state.forget_changes(),
            }
        } else {
            state.forget();
            forget(&mut control.changed, addr);
            forget(&mut control.asked, addr);
        }
        drop(state);
        if was && !is {
            control.left = control.left.saturating_add(1);
            forget(&mut groups, addr);
            if let Ok(published) = RcuBox::try_new(groups) {
                self.groups.replace(Some(published));
            }
        }
        Ok(Changed {
            first: is && !was,
            last: was && !is,
            up: control.up,
            next: control.next(),
        })
    }

    /// The device has come up: routers are told of all groups as if they were joined now.
    ///
    /// Mirrors [`ip_mc_up`](srctree/net/ipv4/igmp.c)
    pub fn up(&self, ctx: &mut Ctx<'_>) -> Option<Instant> {
        let mut control = self.control.lock();
        let all = self.all();
        *control = Control {
            up: true,
            ..Control::default()
        };
        let (version, qrv) = (control.version(ctx), control.qrv(ctx));
        each(&all, |g| {
            let mut state = g.state.lock();
            match (ctx.reports(g.addr()), version) {
                (true, Version::V3) => state.tell_all(qrv),
                (true, _) => state.tell_unasked(qrv, ctx.now),
                (false, _) => (),
            }
        });
        if !all.is_empty() {
            match version {
                Version::V3 => {
                    control.changed = all;
                    control.change = Some(ctx.now);
                }
                _ => control.asked = all,
            }
        }
        control.next()
    }

    /// The device has gone down: there is nobody to tell anything.
    ///
    /// Mirrors [`ip_mc_down`](srctree/net/ipv4/igmp.c)
    pub fn down(&self) {
        let mut control = self.control.lock();
        for set in [&control.changed, &control.asked] {
            each(set, |g| g.state.lock().forget());
        }
        *control = Control::default();
    }
}

#[cfg(test)]
mod tests;
