// SPDX-License-Identifier: GPL-2.0
//! Blind attacks on an established connection, and the challenge that answers them (RFC 5961).

use anyhow::Result;
use netlab::c;
use netlab::check_eq;
use netlab::frame::flag;
use netlab::frame::Tcp;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::tap::Way;

use super::Attack;
use super::G;
use crate::case::Case;
use crate::case::Ctx;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "blind_RST_in_window_is_challenged", rst_in_window).veth(),
    Case::two(G, "RST_with_the_exact_number_resets", rst_exact).veth(),
    Case::two(G, "RST_out_of_window_is_dropped", rst_outside).veth(),
    Case::two(G, "blind_SYN_is_challenged", syn).veth(),
    Case::two(G, "data_with_an_old_ACK_is_dropped", old_ack).veth(),
    Case::two(G, "ACK_of_unsent_data_is_dropped", unsent).veth(),
];

/// Shoots, and requires a bare ACK from the attacked end: the challenge.
fn challenged(attack: &Attack<'_>, shot: &Tcp) -> Result<()> {
    drop(attack.tap.drain()?);
    attack.shoot(&shot.packet())?;
    let answer = attack.tap.find("a challenge ACK", |way, f| {
        f.tcp()
            .filter(|s| way == Way::In && s.dst == shot.src && s.src == shot.dst)
    })?;
    check_eq!(
        (answer.flags & 0x17, answer.len),
        (flag::ACK, 0),
        "flags and length of the answer"
    );
    Ok(())
}

fn rst_in_window(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let mut rst = attack.forged()?;
    rst.flags = flag::RST;
    rst.seq = rst.seq.wrapping_add(100);
    challenged(&attack, &rst)?;
    attack.survived(&["TCP_RESET", "TCP_INVALID_SEQUENCE", "NOT_SPECIFIED"], 0)
}

fn rst_exact(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let mut rst = attack.forged()?;
    rst.flags = flag::RST;
    attack.shoot(&rst.packet())?;
    attack.server.await_events(c::POLLIN).sys("poll")?;
    want_errno("recv", attack.server.recv(&mut [0; 1], 0), c::ECONNRESET)
}

fn rst_outside(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    for distance in [0x4000_0000, 0x7fff_ffff, 0x8000_0001, 0xffff_0000u32] {
        let mut rst = t.clone();
        rst.flags = flag::RST;
        rst.seq = rst.seq.wrapping_add(distance);
        attack.shoot(&rst.packet())?;
    }
    attack.survived(
        &[
            "TCP_INVALID_SEQUENCE",
            "TCP_INVALID_END_SEQUENCE",
            "TCP_OLD_SEQUENCE",
        ],
        4,
    )
}

fn syn(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let mut syn = attack.forged()?;
    syn.flags = flag::SYN;
    syn.ack = 0;
    challenged(&attack, &syn)?;
    attack.survived(&[], 0)
}

fn old_ack(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let mut data = attack.forged()?;
    data.data = b"injected".to_vec();
    data.ack = data.ack.wrapping_sub(0x4000_0000);
    attack.shoot(&data.packet())?;
    attack.survived(&["TCP_TOO_OLD_ACK"], 1)
}

fn unsent(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let mut data = attack.forged()?;
    data.data = b"injected".to_vec();
    data.ack = data.ack.wrapping_add(100_000);
    attack.shoot(&data.packet())?;
    attack.survived(&["TCP_ACK_UNSENT_DATA"], 1)
}
