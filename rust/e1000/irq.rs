// SPDX-License-Identifier: GPL-2.0
//! The card's interrupt, and the watchdog that looks after what no interrupt tells.

use crate::abstractions::netdev::Device;
use crate::abstractions::pci::HZ;
use crate::hw::LinkState;
use crate::netdev::Adapter;
use crate::regs::{
    Bits,
    Icr,
    Ics,
    Imc,
    Ims, //
};

/// Ticks between two looks at what no interrupt tells.
const WATCHDOG: usize = 2 * HZ as usize;

/// An interrupt, perhaps another device's. Masks the card's and calls for NAPI.
///
/// Mirrors [`e1000_intr`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
#[inline]
pub(crate) fn interrupt(dev: &Device<Adapter>) -> bool {
    let cause = dev.hw.read::<Icr>();
    if cause.is_clear() || cause.is_gone() {
        return false;
    }
    // Reading has cleared the cause; on the way down there is nothing more to do.
    if !dev.is_running() {
        return true;
    }
    if cause.has(Icr::LSC | Icr::RXSEQ) {
        dev.watchdog_in(1);
    }
    // Not flushed: the read above has taken the line down, and should the write be late, an interrupt more
    // finds NAPI scheduled already.
    dev.hw.write(Imc::ALL);
    dev.schedule_poll();
    true
}

/// Lets the card interrupt again.
#[inline]
pub(crate) fn enable(dev: &Adapter) {
    dev.hw.write(Ims::WANTED);
}

/// Looks at the link, gathers the counters, and makes an interrupt in case the receive ring waits for
/// memory. Process context.
///
/// Mirrors [`e1000_watchdog`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
pub(crate) fn watchdog(dev: &Device<Adapter>) {
    if !dev.is_running() {
        return;
    }
    let (before, now) = (dev.link_state(), dev.hw.link());
    if now != before {
        dev.set_link_state(now);
        match now {
            Some(LinkState { speed, full }) => {
                let duplex = if full { "full" } else { "half" };
                kernel::dev_info!(
                    dev.parent(),
                    "{}: link is up, {speed} Mbit/s, {duplex} duplex\n",
                    *dev
                );
                dev.carrier_on();
            }
            None => {
                kernel::dev_info!(dev.parent(), "{}: link is down\n", *dev);
                dev.carrier_off();
                // What is in the ring will not be sent any more, and its senders wait for it.
                dev.schedule_reset();
            }
        }
    }
    dev.gather();
    dev.hw.write(Ics::RXDMT0);
    dev.watchdog_in(WATCHDOG);
}
