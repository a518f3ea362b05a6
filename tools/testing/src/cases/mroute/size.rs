// SPDX-License-Identifier: GPL-2.0
//! Packets that are larger than the link that they go on by.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::kstate;
use netlab::ktap::Sysc;
use netlab::payload;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::wait;
use netlab::Family;
use netlab::Sock;

use super::*;

/// The UDP and IP headers.
const HEADERS: usize = 28;

/// The first link is narrower than the packets: they are cut, or are lost without a word if they must not be.
pub(super) fn narrow(ctx: &Ctx) -> Result<()> {
    const MTU: usize = 1300;
    let far = Arc::new(lay(ctx)?);
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    b.ip(&format!("link set w mtu {MTU}"))?;
    far.ip(&format!("link set x mtu {MTU}"))?;
    let d = Daemon::new(ctx)?;
    d.vifs()?;
    d.route(a.ip, 0, &[(1, 1), (2, 1)])?;
    let (near, wide) = members(&far)?;
    let here = member(b, ctx.family(), ctx.lab.b.ip)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    s.set(c::IPPROTO_IP, c::IP_RECVERR, 1).sys("IP_RECVERR")?;
    let all = || -> Result<_> { Ok((sizes(b)?, kstate::snmp(b, "Icmp", "OutMsgs")?)) };
    let forbid = |on| dont_fragment(&s, on);
    let data = |len: usize| payload::Stream::new(len as u64).bytes(len);
    let everybody = [(&near, 4), (&wide, 4), (&here, 5)];
    let hear = |len: usize, who: &[(&Sock, i32)]| -> Result<()> {
        for (i, (member, ttl)) in who.iter().enumerate() {
            let (got, with) =
                heard_bytes(member).with_context(|| format!("{len} bytes to member {i}"))?;
            let want = data(len);
            check!(
                got == want,
                "{len} bytes came to member {i} as {}, or changed",
                got.len()
            );
            check_eq!(with, *ttl, "time to live of {len} bytes at member {i}");
        }
        Ok(())
    };
    let wire = Stray::new(far.clone(), "x", NEAR)?.0;
    let back = Tap::new(a, ETH_P_ALL)?;

    // As large as the wide link takes: two pieces on the narrow one.
    let (before, icmp) = all()?;
    forbid(false)?;
    send(&s, 5, &data(1500 - HEADERS))?;
    hear(1500 - HEADERS, &everybody)?;
    let since = |before: &[u64]| -> Result<Vec<u64>> {
        Ok(sizes(b)?.iter().zip(before).map(|(n, b)| n - b).collect())
    };
    check_eq!(
        since(&before)?,
        [2, 1, 2, 0],
        "sent on, cut, pieces, not cut"
    );
    check_eq!(d.vif_counts(1)?, [0, 0, 1500, 1], "the narrow vif");
    check_eq!(d.vif_counts(2)?, [0, 0, 1500, 1], "the wide vif");
    let pieces: Vec<_> = wire.drain()?.iter().filter_map(piece).collect();
    // The header, 1280 of 1480 bytes, and what is left.
    let id = pieces.first().map_or(0, |p| p.id);
    let want = [(MTU, 0x2000, 4, id), (220, 1280 / 8, 4, id)];
    let got: Vec<_> = pieces
        .iter()
        .map(|p| (p.len, p.frag, p.ttl, p.id))
        .collect();
    check_eq!(got, want, "length, flags and offset, time to live, number");

    // What comes in pieces is cut again where it is too long: two of three are. By one link alone, for both end in one
    // host, which would put the pieces of both together.
    d.route(a.ip, 0, &[(1, 1)])?;
    let (before, _) = all()?;
    send(&s, 5, &data(4000))?;
    hear(4000, &[everybody[0], everybody[2]])?;
    check_eq!(
        since(&before)?,
        [3, 2, 4, 0],
        "sent on, cut, pieces, not cut"
    );
    d.route(a.ip, 0, &[(1, 1), (2, 1)])?;

    // What must not be cut goes as far as it fits.
    forbid(true)?;
    let (before, _) = all()?;
    let (narrow, wide_before) = (d.vif_counts(1)?, d.vif_counts(2)?);
    let entry = d.mfc_counts()?;
    send(&s, 5, &data(MTU - HEADERS + 1))?;
    hear(MTU - HEADERS + 1, &everybody[1..])?;
    check_eq!(
        since(&before)?,
        [1, 0, 0, 1],
        "sent on, cut, pieces, not cut"
    );
    check_eq!(d.vif_counts(1)?, narrow, "the narrow vif");
    check_eq!(d.vif_counts(2)?[3], wide_before[3] + 1, "the wide vif");
    check_eq!(d.mfc_counts()?[0], entry[0] + 1, "packets of the entry");
    send(&s, 5, &data(MTU - HEADERS))?;
    // The next that the narrow link's member hears.
    hear(MTU - HEADERS, &everybody)?;
    check_eq!(
        since(&before)?,
        [3, 0, 0, 1],
        "sent on, cut, pieces, not cut"
    );

    // RFC 1122, 3.2.2: no error about what went to a group.
    check_eq!(all()?.1, icmp, "ICMP messages of the router");
    let told = back.drain()?.iter().any(|(_, f)| f.icmp().is_some());
    check!(!told, "A was sent an ICMP message");
    let error = s.poll(c::POLLERR, Duration::ZERO).sys("poll")?;
    check_eq!(error & c::POLLERR, 0, "POLLERR of the sender");
    Ok(())
}

/// What the header of a datagram's piece says.
struct Piece {
    len: usize,
    frag: u16,
    ttl: u8,
    id: u16,
}

fn piece((way, frame): &(Way, netlab::frame::Frame)) -> Option<Piece> {
    if *way != Way::In || frame.ethertype() != Some(ETH_P_IP) {
        return None;
    }
    let (header, payload) = frame.ipv4()?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    (header[9] == 17).then(|| Piece {
        len: header.len() + payload.len(),
        frag: word(6),
        ttl: header[8],
        id: word(4),
    })
}

/// Packets sent on, those cut, their pieces, and those that could not be cut.
fn sizes(ns: &Namespace) -> Result<Vec<u64>> {
    let names = ["ForwDatagrams", "FragOKs", "FragCreates", "FragFails"];
    names
        .into_iter()
        .map(|n| kstate::snmp(ns, "Ip", n))
        .collect()
}

/// Says whether a socket's packets may be cut.
fn dont_fragment(s: &Sock, on: bool) -> Result<()> {
    s.set(c::IPPROTO_IP, c::IP_MTU_DISCOVER, if on { 2 } else { 0 })
        .sys("IP_MTU_DISCOVER")
}

/// Packets that stand for several: each of those is measured.
pub(super) fn segments(ctx: &Ctx) -> Result<()> {
    const SOL_UDP: i32 = 17;
    const UDP_SEGMENT: i32 = 103;
    const SEGMENT: usize = 1000;
    let far = lay(ctx)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b.ns);
    let d = Daemon::new(ctx)?;
    d.vifs()?;
    d.route(a.ip, 0, &[(1, 1), (2, 1)])?;
    let (near, wide) = members(&far)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    s.set(SOL_UDP, UDP_SEGMENT, SEGMENT as i32)
        .sys("UDP_SEGMENT")?;
    let data = payload::Stream::new(3).bytes(3 * SEGMENT);
    let hear = |member: &Sock, name: &str| -> Result<()> {
        for part in data.chunks(SEGMENT) {
            let (got, ttl) = heard_bytes(member).with_context(|| format!("the {name} end"))?;
            check!(got == part, "a segment came to the {name} end changed");
            check_eq!(ttl, 4, "time to live");
        }
        Ok(())
    };
    // They fit.
    dont_fragment(&s, false)?;
    let before = sizes(b)?;
    send(&s, 5, &data)?;
    hear(&near, "near")?;
    hear(&wide, "wide")?;
    check_eq!(sizes(b)?[1..], before[1..], "cut, pieces, not cut");
    // Those that must not be cut need not be. Linux takes them for one packet of their whole length here.
    dont_fragment(&s, true)?;
    send(&s, 5, &data)?;
    let lost = match ctx.family().is_rustnet() {
        true => {
            hear(&near, "near")?;
            hear(&wide, "wide")?;
            0
        }
        false => 2,
    };
    wait::until("both links", || {
        (sizes(b).ok()?[3] == before[3] + lost).then_some(())
    })?;
    // They do not: each is cut in two.
    b.ip("link set w mtu 900")?;
    let before = sizes(b)?;
    if ctx.family().is_rustnet() {
        send(&s, 5, &data)?;
        hear(&wide, "wide")?;
        wait::until("the narrow link", || {
            (sizes(b).ok()?[3] == before[3] + 1).then_some(())
        })?;
    }
    let before = sizes(b)?;
    dont_fragment(&s, false)?;
    send(&s, 5, &data)?;
    hear(&near, "near")?;
    hear(&wide, "wide")?;
    wait::until("the pieces' counter", || {
        (sizes(b).ok()?[1..] == [before[1] + 3, before[2] + 6, before[3]]).then_some(())
    })
}
