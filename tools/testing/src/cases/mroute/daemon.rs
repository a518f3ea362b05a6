// SPDX-License-Identifier: GPL-2.0
//! What the daemon is asked and answered, and what its end undoes.

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::wait;
use netlab::Family;

use super::*;

pub(super) fn upcalls(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let a = &ctx.lab.a;
    let d = Daemon::new(ctx)?;
    d.vifs()?;
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
    let x = Stray::new(far.into(), "x", NEAR)?;
    x.send(a.ip, b"!")?;
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

pub(super) fn ends(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let all = |dev: &str, n: u32| allmulti(&b.ns, dev, n);
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

pub(super) fn errnos(ctx: &Ctx) -> Result<()> {
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
