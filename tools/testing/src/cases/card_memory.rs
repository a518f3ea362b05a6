// SPDX-License-Identifier: GPL-2.0
//! The network card's driver when memory is short: on a kernel that fails allocations on request.

use std::fs;

use anyhow::Context as _;
use anyhow::Result;
use netlab::c;
use netlab::card;
use netlab::card::Card;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::skip;

use super::card::cards;
use super::card::driver;
use super::card::exchange_anew;
use super::card::give;
use super::card::G;
use crate::case::Case;
use crate::case::Ctx;
use crate::faults::Nth;

/// The cases.
pub const CASES: &[Case] = &[
    Case::nic(G, "probe_without_memory", probe_without_memory).secs(900),
    Case::nic(G, "up_without_memory", up_without_memory).secs(900),
];

/// The cards, if the driver in Rust has them, and what fails its allocations.
fn in_rust() -> Result<([Card; 2], Nth)> {
    let cards = cards()?;
    if driver(&cards)? != card::RUST {
        return Err(skip("of the driver in Rust"));
    }
    Ok((cards, Nth::of(card::RUST)?))
}

/// Each allocation of probing fails once: probing says so, and all that it had is free for the next.
fn probe_without_memory(ctx: &Ctx) -> Result<()> {
    let (cards, nth) = in_rust()?;
    let [card, _] = &cards;
    let mut failed = 0;
    // Most are the network device's, and much alike.
    for n in std::iter::successors(Some(1u64), |n| Some(n + 1 + n / 8)) {
        card.unbind()?;
        let bind = "/sys/bus/pci/drivers/rust_e1000/bind";
        let (bound, fired) = nth.during(n, || fs::write(bind, &card.place))?;
        let Err(e) = bound else {
            // It did without what failed, or there were no more.
            if fired {
                continue;
            }
            break;
        };
        check!(fired, "allocation {n} has not failed, and yet: {e}");
        // A region that could not be noted down is busy to the kernel (`__request_region`).
        check!(
            matches!(e.raw_os_error(), Some(c::ENOMEM | c::EBUSY)),
            "bind without allocation {n}: {e}"
        );
        check_eq!(card.driver(), None, "the driver without allocation {n}");
        failed += 1;
    }
    check!(failed > 5, "only {failed} allocations failed");
    give(&cards, [card::RUST; 2])?;
    exchange_anew(ctx)
}

/// Each allocation of bringing the device up fails once, rings and interrupt among them: it says so and stays down, or does
/// without, and comes up with the next.
fn up_without_memory(ctx: &Ctx) -> Result<()> {
    let (cards, nth) = in_rust()?;
    let [card, _] = &cards;
    // Bound anew it is in the first namespace.
    card.unbind()?;
    card.bind(card::RUST)?;
    let name = card.netdev().context("a name of the card")?;
    let flags = format!("/sys/class/net/{name}/flags");
    let is_up = || -> Result<bool> {
        let bits = fs::read_to_string(&flags)?;
        let bits = u32::from_str_radix(bits.trim().trim_start_matches("0x"), 16)?;
        Ok(bits & 1 != 0)
    };
    let mut failed = 0;
    // Most are pages of the ring, and much alike.
    for n in std::iter::successors(Some(1u64), |n| Some(n + 1 + n / 8)) {
        fs::write(&flags, "0x1002")?;
        check!(!is_up()?, "{name} is up before allocation {n}");
        let (done, fired) = nth.during(n, || fs::write(&flags, "0x1003"))?;
        check_eq!(
            is_up()?,
            done.is_ok(),
            "{name} is up without allocation {n}: {done:?}"
        );
        match done {
            Ok(()) if !fired => break,
            Ok(()) => (),
            Err(e) => {
                check!(fired, "allocation {n} has not failed, and yet: {e}");
                check_eq!(
                    e.raw_os_error(),
                    Some(c::ENOMEM),
                    "up without allocation {n}"
                );
                failed += 1;
            }
        }
    }
    check!(failed >= 3, "only {failed} allocations failed");
    give(&cards, [card::RUST; 2])?;
    exchange_anew(ctx)
}
