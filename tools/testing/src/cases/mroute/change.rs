// SPDX-License-Identifier: GPL-2.0
//! Routes that change, and go all at once.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::kstate;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::wait;
use netlab::Family;
use netlab::Sock;

use super::*;
use crate::cases::as_nobody;

const MRT_FLUSH_MFC: i32 = 1;
const MRT_FLUSH_MFC_STATIC: i32 = 2;
const MRT_FLUSH_VIFS: i32 = 4;
const MRT_FLUSH_VIFS_STATIC: i32 = 8;

/// What a member hears until it is told to stop: the numbers of the packets.
fn listen(s: &Sock, count: &AtomicU64) -> Result<Vec<u64>> {
    let mut all = Vec::new();
    loop {
        let (bytes, _) = heard_bytes(s)?;
        match u64::from_ne_bytes(bytes[..].try_into()?) {
            u64::MAX => return Ok(all),
            n => all.push(n),
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A route leads now by the one link, now by the other, while packets come without end.
pub(super) fn under_traffic(ctx: &Ctx) -> Result<()> {
    const CHANGES: u64 = 50;
    const EACH: u64 = 8;
    const AHEAD: u64 = 500;
    let far = lay(ctx)?;
    let a = &ctx.lab.a;
    let d = Daemon::new(ctx)?;
    d.vifs()?;
    let (near, wide) = members(&far)?;
    for s in [&near, &wide] {
        // What is lost shall be the router's loss.
        s.set(c::SOL_SOCKET, c::SO_RCVBUFFORCE, 16 << 20)
            .sys("SO_RCVBUFFORCE")?;
    }
    let s = sender(&a.ns, Family::INET, a.ip)?;
    s.set(c::IPPROTO_IP, c::IP_MULTICAST_TTL, 5)
        .sys("IP_MULTICAST_TTL")?;
    let to = SocketAddrV4::new(GROUP, PORT);
    let say = |n: u64| s.sendto(&n.to_ne_bytes(), 0, to).sys("sendto the group");
    d.route(a.ip, 0, &[(1, 1)])?;
    let mcast = |name| kstate::netstat(&ctx.lab.b.ns, "IpExt", name);
    let before = (mcast("InMcastPkts")?, mcast("OutMcastPkts")?);
    let counts = [AtomicU64::new(0), AtomicU64::new(0)];
    let over = AtomicBool::new(false);
    let (sent, heard) = std::thread::scope(|scope| -> Result<_> {
        let flow = scope.spawn(|| -> Result<u64> {
            let mut n = 0;
            let heard = || -> u64 { counts.iter().map(|c| c.load(Ordering::Relaxed)).sum() };
            while !over.load(Ordering::Relaxed) {
                say(n)?;
                n += 1;
                // Fewer on their way than a CPU's queue holds, which would drop them before the router sees them.
                wait::until("what was sent", || (n - heard() < AHEAD).then_some(()))?;
            }
            Ok(n)
        });
        let listeners = [
            scope.spawn(|| listen(&near, &counts[0])),
            scope.spawn(|| listen(&wide, &counts[1])),
        ];
        let change = || -> Result<()> {
            for n in 0..CHANGES {
                let vif = 1 + (n % 2) as usize;
                d.route(a.ip, 0, &[(vif, 1)])?;
                let count = &counts[vif - 1];
                let enough = count.load(Ordering::Relaxed) + EACH;
                wait::until("packets by the new way", || {
                    (count.load(Ordering::Relaxed) >= enough).then_some(())
                })?;
            }
            Ok(())
        };
        let changed = change();
        over.store(true, Ordering::Relaxed);
        let sent = flow.join().expect("no panic");
        // Both are told to stop, whatever went wrong.
        d.route(a.ip, 0, &[(1, 1), (2, 1)])?;
        say(u64::MAX)?;
        let heard: Result<Vec<_>> = listeners
            .into_iter()
            .map(|l| l.join().expect("no panic"))
            .collect();
        changed?;
        Ok((sent?, heard?))
    })?;
    let mut all = heard.concat();
    let total = all.len() as u64;
    all.sort_unstable();
    all.dedup();
    check_eq!(total, all.len() as u64, "packets heard, and those but once");
    check!(all.iter().all(|n| *n < sent), "a packet that nobody sent");
    // A change may cost the packet that is on its way on each of two CPUs.
    check!(
        sent - total <= 2 * CHANGES,
        "{} of {sent} packets were lost in {CHANGES} changes",
        sent - total
    );
    // The entry is the same all the while: it counts on, and nobody is asked.
    check_eq!(d.mfc_counts()?, [sent + 1, (sent + 1) * 36, 0], "the entry");
    check_eq!(d.vif_counts(0)?[1], sent + 1, "packets in");
    for (vif, heard) in heard.iter().enumerate() {
        let out = d.vif_counts(1 + vif as u16)?[3];
        check_eq!(out, heard.len() as u64 + 1, "packets out by {}", 1 + vif);
    }
    // The namespace's counters know them, too; hosts speak of their groups meanwhile.
    let since = (
        mcast("InMcastPkts")? - before.0,
        mcast("OutMcastPkts")? - before.1,
    );
    let few = 50;
    check!(
        (sent + 1..sent + few).contains(&since.0) && (total + 2..total + few).contains(&since.1),
        "{since:?} counted of {sent} packets to groups that came and {total} that went"
    );
    d.not_asked()
}

/// Vifs 0 and 1 and a route by the daemon, vif 2 and a route of another group's by somebody else.
fn two_sorts(ctx: &Ctx) -> Result<(Daemon, Daemon)> {
    let (d, other) = (Daemon::new(ctx)?, Daemon::other(ctx)?);
    d.vif(0, "vb")?;
    d.vif(1, "w")?;
    other.vif(2, "w2")?;
    d.route(ctx.lab.a.ip, 0, &[(1, 1)])?;
    other.route_of(ctx.lab.a.ip, other_group(1), 0, &[(2, 1)])?;
    Ok((d, other))
}

pub(super) fn flush(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    let (d, other) = two_sorts(ctx)?;
    let flush = |what: i32| {
        d.say(MRT_FLUSH, &what.to_ne_bytes())
            .sys(&format!("MRT_FLUSH {what}"))
    };
    let there = |vifs: &[&str], own: bool, others: bool| -> Result<()> {
        check_eq!(d.vifs_there()?, vifs, "vifs");
        let own_there = d.mfc_packets(a.ip, GROUP)?.is_some();
        let others_there = d.mfc_packets(a.ip, other_group(1))?.is_some();
        check_eq!((own_there, others_there), (own, others), "entries");
        for (dev, vif) in [("vb", "0"), ("w", "1"), ("w2", "2")] {
            allmulti(b, dev, u32::from(vifs.contains(&vif)))?;
        }
        Ok(())
    };
    // Nobody but the daemon and who may administer the network.
    let zero = 0i32.to_ne_bytes();
    want_errno("too short", d.say(MRT_FLUSH, &[0; 3]), c::EINVAL)?;
    want_errno("too long", d.say(MRT_FLUSH, &[0; 8]), c::EINVAL)?;
    let refused = as_nobody(|| other.say(MRT_FLUSH, &zero))?;
    want_errno("nobody", refused, c::EACCES)?;
    as_nobody(|| d.say(MRT_FLUSH, &zero))?.sys("MRT_FLUSH of the daemon without rights")?;
    flush(0)?;
    there(&["0", "1", "2"], true, true)?;
    // The daemon's routes go, and with them the questions, so that they are asked anew at once.
    let s = sender(&a.ns, Family::INET, a.ip)?;
    let question = (NOCACHE, 0, a.ip, other_group(2));
    send_to(&s, other_group(2), 5, b"gone")?;
    check_eq!(d.asked()?, question, "the question");
    flush(MRT_FLUSH_VIFS_STATIC | MRT_FLUSH_MFC_STATIC)?;
    there(&["0", "1"], true, false)?;
    check_eq!(d.groups_waiting()?, [other_group(2)], "groups that wait");
    flush(MRT_FLUSH_MFC)?;
    there(&["0", "1"], false, false)?;
    check_eq!(d.groups_waiting()?.len(), 0, "groups that wait");
    send_to(&s, other_group(2), 5, b"heard")?;
    check_eq!(d.asked()?, question, "the question");
    let near = member(&far, Family::INET, NEAR)?;
    join(&near, other_group(2), NEAR)?;
    d.route_of(a.ip, other_group(2), 0, &[(1, 1)])?;
    check_eq!(heard(&near)?, ("heard".into(), 4), "what is heard");
    // Each sort by its own bit.
    flush(MRT_FLUSH_MFC | MRT_FLUSH_VIFS)?;
    there(&[], false, false)?;
    drop((d, other));
    let (d, _other) = two_sorts(ctx)?;
    let flush = |what: i32| d.say(MRT_FLUSH, &what.to_ne_bytes()).sys("MRT_FLUSH");
    flush(MRT_FLUSH_VIFS)?;
    check_eq!(d.vifs_there()?, ["2"], "vifs");
    flush(MRT_FLUSH_VIFS_STATIC)?;
    check_eq!(d.vifs_there()?.len(), 0, "vifs");
    check_eq!(d.file("ip_mr_cache")?.len(), 2, "entries");
    flush(MRT_FLUSH_MFC)?;
    check!(
        d.mfc_packets(a.ip, GROUP)?.is_none(),
        "the daemon's is there"
    );
    check!(
        d.mfc_packets(a.ip, other_group(1))?.is_some(),
        "the other's is gone"
    );
    flush(MRT_FLUSH_MFC_STATIC)?;
    check_eq!(d.file("ip_mr_cache")?.len(), 0, "entries");
    Ok(())
}

/// What others have made outlives the daemon, but without one nothing is sent on.
pub(super) fn fixed(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    let (d, other) = two_sorts(ctx)?;
    let wide = member(&far, Family::INET, WIDE)?;
    join(&wide, other_group(1), WIDE)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    let say = |what: &str| send_to(&s, other_group(1), 5, what.as_bytes());
    say("before")?;
    check_eq!(heard(&wide)?, ("before".into(), 4), "what is heard");
    drop(d);
    wait::until("the daemon's vifs to go", || {
        (other.vifs_there().ok()? == ["2"]).then_some(())
    })?;
    for (dev, n) in [("vb", 0), ("w", 0), ("w2", 1)] {
        allmulti(b, dev, n)?;
    }
    check_eq!(other.mfc_packets(a.ip, GROUP)?, None, "the daemon's entry");
    check_eq!(
        other.mfc_packets(a.ip, other_group(1))?,
        Some(1),
        "the other's entry"
    );
    say("lost")?;
    let d = Daemon::new(ctx)?;
    d.vif(0, "vb")?;
    say("after")?;
    check_eq!(heard(&wide)?, ("after".into(), 4), "what is heard next");
    d.not_asked()?;
    check_eq!(
        d.mfc_packets(a.ip, other_group(1))?,
        Some(2),
        "packets of the other's entry"
    );
    // The daemon may take it away all the same.
    d.say(MRT_DEL_MFC, &mfcctl(a.ip, other_group(1), 0, &[]))
        .sys("MRT_DEL_MFC")?;
    d.say(MRT_DEL_VIF, &vifctl(2, 0, [0; 4]))
        .sys("MRT_DEL_VIF")?;
    check_eq!(wide.poll(c::POLLIN, Duration::ZERO).sys("poll")?, 0, "more");
    Ok(())
}
