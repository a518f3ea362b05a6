// SPDX-License-Identifier: GPL-2.0
//! What goes on by which vif.

use anyhow::Result;
use netlab::check_eq;
use netlab::kstate;
use netlab::ktap::Sysc;
use netlab::wait;
use netlab::Family;

use super::*;

pub(super) fn thresholds(ctx: &Ctx) -> Result<()> {
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

pub(super) fn own(ctx: &Ctx) -> Result<()> {
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
