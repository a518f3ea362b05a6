// SPDX-License-Identifier: GPL-2.0
//! Packets that wait for the daemon's answer: how many, and how long.

use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use netlab::check;
use netlab::check_eq;
use netlab::wait;
use netlab::Family;

use super::*;

/// How long they wait.
const LIFETIME: Duration = Duration::from_secs(10);

pub(super) fn expiry(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let a = &ctx.lab.a;
    let d = Daemon::new(ctx)?;
    d.vifs()?;
    let (near, _wide) = members(&far)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    let start = Instant::now();
    for n in 0..6u8 {
        send(&s, 5, &[b'0' + n])?;
    }
    check_eq!(d.asked()?, (NOCACHE, 0, a.ip, GROUP), "the question");
    check_eq!(d.groups_waiting()?, [GROUP], "groups that wait");
    // Nobody answers. That others wait, too, and ask later, does not prolong it.
    let mut last = 0;
    wait::until_at_last("the end of the wait", || {
        last += 1;
        let group = other_group(last);
        let asked = send_to(&s, group, 5, b"other").and_then(|()| d.asked());
        if asked.is_err() || asked.is_ok_and(|q| q != (NOCACHE, 0, a.ip, group)) {
            return Some(Err(anyhow::anyhow!("no question about {group}")));
        }
        match d.groups_waiting() {
            Ok(all) if all.contains(&GROUP) => None,
            other => Some(other.map(drop)),
        }
    })??;
    let took = start.elapsed();
    // A timer is a tick early at the most, and late by how coarse such long ones are.
    let slack = Duration::from_millis(20);
    check!(
        (LIFETIME - slack..LIFETIME * 3 / 2).contains(&took),
        "they waited for {took:?}"
    );
    let waiting = d.groups_waiting()?;
    check!(
        waiting.contains(&other_group(last)),
        "{} does not wait: {waiting:?}",
        other_group(last)
    );
    // Asked again; those that were given up are not sent with the new one.
    send(&s, 5, b"again")?;
    check_eq!(d.asked()?, (NOCACHE, 0, a.ip, GROUP), "the question");
    d.route(a.ip, 0, &[(1, 1)])?;
    check_eq!(heard(&near)?, ("again".into(), 4), "what is heard");
    send(&s, 5, b"after")?;
    check_eq!(heard(&near)?, ("after".into(), 4), "what is heard");
    check_eq!(d.mfc_packets(a.ip, GROUP)?, Some(2), "packets of the entry");
    // An answer sends the one that it is about, and no other.
    join(&near, other_group(last), NEAR)?;
    d.route_of(a.ip, other_group(last), 0, &[(1, 1)])?;
    check_eq!(heard(&near)?, ("other".into(), 4), "what is heard");
    check!(
        !d.groups_waiting()?.contains(&other_group(last)),
        "what was answered waits"
    );
    d.not_asked()
}
