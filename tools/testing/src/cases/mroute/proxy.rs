// SPDX-License-Identifier: GPL-2.0
//! Routes of any source, and of any source to any group.
//!
//! Linux's `ip_mr_forward` calls the vifs that the (*,*) entry leads to the static tree, and its parent the way upstream:
//! packets of groups of which nothing else was said go there, and those of a (*,G) entry may come by any vif of the tree.

use anyhow::Result;
use netlab::c;
use netlab::check_eq;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::wait;
use netlab::Family;

use super::*;

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
/// Someone behind each of B's links.
const BEHIND_NEAR: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 77);
const BEHIND_WIDE: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 77);

pub(super) fn any_source(ctx: &Ctx) -> Result<()> {
    let far = Arc::new(lay(ctx)?);
    let a = &ctx.lab.a;
    let d = Daemon::new(ctx)?;
    d.vifs()?;
    let (near, wide) = members(&far)?;
    let there = member(&a.ns, Family::INET, a.ip)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    s.set(c::IPPROTO_IP, c::IP_MULTICAST_LOOP, 0)
        .sys("IP_MULTICAST_LOOP")?;
    let x = Stray::new(far.clone(), "x", NEAR)?;
    let x2 = Stray::new(far.clone(), "x2", WIDE)?;
    let proxy =
        |what, origin, group, parent, out: &[_]| d.say(what, &mfcctl(origin, group, parent, out));
    let add = |group, parent, out: &[_]| {
        proxy(MRT_ADD_MFC_PROXY, ANY, group, parent, out).sys("MRT_ADD_MFC_PROXY")
    };
    let del = |group, parent| proxy(MRT_DEL_MFC_PROXY, ANY, group, parent, &[]);
    // Who hears it, and nobody else: what the others hear next is something else.
    let hear = |what: &str, who: &[(&netlab::Sock, &str)]| -> Result<()> {
        for (member, name) in who {
            check_eq!(heard(member)?.0, what, "what the {name} hears");
        }
        Ok(())
    };
    let (n, w, t) = ((&near, "near end"), (&wide, "wide end"), (&there, "source"));
    let packets = |origin, group, count: u64| {
        wait::until("the entry's counter", || {
            (d.mfc_packets(origin, group).ok()? == Some(count)).then_some(())
        })
    };

    // (*,*): upstream, which is towards the near end, and from there nowhere.
    add(ANY, 1, &[(0, 1), (1, 1), (2, 1)])?;
    send(&s, 5, b"up")?;
    hear("up", &[n])?;
    x2.send(BEHIND_WIDE, b"up from the wide link")?;
    hear("up from the wide link", &[n])?;
    x.send(BEHIND_NEAR, b"down")?;
    packets(ANY, ANY, 3)?;
    // Not with a time to live that does not exceed the threshold.
    send(&s, 1, b"too short")?;
    packets(ANY, ANY, 4)?;
    check_eq!(d.vif_counts(1)?[3], 2, "packets out upstream");
    // Counted as the parent's, by whichever vif they came.
    check_eq!(d.vif_counts(1)?[1], 4, "packets in by the parent");
    check_eq!(d.vif_counts(0)?[1], 0, "packets in by A's vif");

    // (*,G): from anywhere in the tree to all but where it came from.
    add(GROUP, 1, &[(1, 1), (2, 1)])?;
    send(&s, 5, b"to both")?;
    hear("to both", &[n, w])?;
    x.send(BEHIND_NEAR, b"from the near link")?;
    hear("from the near link", &[w])?;
    x2.send(BEHIND_WIDE, b"from the wide link")?;
    hear("from the wide link", &[n])?;
    packets(ANY, GROUP, 3)?;

    // (S,G) is nearer.
    d.route(a.ip, 0, &[(2, 1)])?;
    send(&s, 5, b"of this source")?;
    hear("of this source", &[w])?;
    x2.send(BEHIND_WIDE, b"of another")?;
    hear("of another", &[n])?;
    d.say(MRT_DEL_MFC, &mfcctl(a.ip, GROUP, 0, &[]))
        .sys("MRT_DEL_MFC")?;
    send(&s, 5, b"to both again")?;
    hear("to both again", &[n, w])?;

    // One of another parent stands beside, and the last one is asked first.
    add(GROUP, 2, &[(0, 1)])?;
    x.send(BEHIND_NEAR, b"by the second")?;
    hear("by the second", &[t])?;
    // The same parent's is changed.
    add(GROUP, 2, &[(0, 1), (2, 1)])?;
    x.send(BEHIND_NEAR, b"by the changed one")?;
    hear("by the changed one", &[t, w])?;
    check_eq!(d.file("ip_mr_cache")?.len(), 3, "entries");
    want_errno("no such parent", del(GROUP, 0), c::ENOENT)?;
    del(GROUP, 2).sys("MRT_DEL_MFC_PROXY")?;
    want_errno("twice", del(GROUP, 2), c::ENOENT)?;
    send(&s, 5, b"by the first")?;
    hear("by the first", &[n, w])?;

    // Without the tree, (*,G) takes what comes by its own vifs.
    del(ANY, 1).sys("MRT_DEL_MFC_PROXY")?;
    send(&s, 5, b"from outside")?;
    check_eq!(d.asked()?, (NOCACHE, 0, a.ip, GROUP), "the question");
    x.send(BEHIND_NEAR, b"by the parent")?;
    hear("by the parent", &[w])?;
    // The other one leads there, but is not what its packets come by.
    x2.send(BEHIND_WIDE, b"by the other")?;
    wait::until("a packet by the wrong vif", || {
        let lines = d.file("ip_mr_cache").ok()?;
        lines.iter().any(|l| l[5] == "1").then_some(())
    })?;
    // An entry of all sources is no answer to what waits of one: it is asked about anew.
    del(GROUP, 1).sys("MRT_DEL_MFC_PROXY")?;
    d.route(a.ip, 0, &[(1, 1), (2, 1)])?;
    hear("from outside", &[n, w])?;
    send(&s, 5, b"the end")?;
    hear("the end", &[n, w])?;
    let last = there.poll(c::POLLIN, Default::default()).sys("poll")?;
    check_eq!(last, 0, "what the source can hear");
    d.not_asked()
}
