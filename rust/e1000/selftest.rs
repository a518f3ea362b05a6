// SPDX-License-Identifier: GPL-2.0
//! The tests of `ethtool -t`.
//!
//! Offline ones take the card from the stack, spoil its registers and reset it; the online one looks at the
//! link.

use crate::abstractions::dma::Descriptors;
use crate::abstractions::io::{
    sleep,
    Offset,
    Register, //
};
use crate::abstractions::netdev::Rtnl;
use crate::filter;
use crate::hw::Hw;
use crate::netdev::{
    self,
    Adapter, //
};
use crate::regs::{
    self,
    phy,
    Fcah,
    Fcal,
    Fcrth,
    Fct,
    Fcttv,
    Icr,
    Ics,
    Imc,
    Rctl,
    Rdbah,
    Rdbal,
    Rdh,
    Rdlen,
    Rdt,
    Rdtr,
    Tctl,
    Tdbah,
    Tdbal,
    Tdh,
    Tdlen,
    Tdt,
    Tidv,
    Tipg,
    Vet, //
};
use crate::ring::desc::{
    RxWriteback,
    TxFlags,
    CMD_EOP,
    CMD_RS, //
};
use core::ffi::CStr;
use kernel::error::Result;

/// Names of the tests; those of the C driver.
pub(crate) const NAMES: &[&CStr] = &[
    c"Register test  (offline)",
    c"Eeprom test    (offline)",
    c"Interrupt test (offline)",
    c"Loopback test  (offline)",
    c"Link test   (on/offline)",
];

/// Runs them; 0 for each that passed or was not asked for. Whether all passed.
///
/// Mirrors [`e1000_diag_test`](srctree/drivers/net/ethernet/intel/e1000/e1000_ethtool.c)
pub(crate) fn run(ctx: &mut Rtnl<'_, Adapter>, offline: bool, put: &mut dyn FnMut(u64)) -> bool {
    // First, for a reset takes the link away for a while.
    let link = u64::from(!ctx.is_up() || !link(&ctx.hw));
    let mut results = [0, 0, 0, 0, if ctx.is_up() { link } else { 0 }];
    if offline {
        let running = Rtnl::is_running(ctx);
        if running {
            netdev::down(ctx);
            ctx.free_irq();
        }
        ctx.hw.power_phy(true);
        ctx.hw.reset();
        let register = registers(&ctx.hw);
        ctx.hw.reset();
        let eeprom = u64::from(ctx.hw.read_eeprom().is_err());
        let interrupt = interrupts(&ctx.hw);
        ctx.hw.reset();
        let loopback = u64::from(!loopback(ctx).unwrap_or(false));
        ctx.hw.reset();
        if running && netdev::bring_up(ctx).is_err() {
            // Said in the log; the device stays down until it is brought up again.
            results[4] = 1;
        }
        results = [register, eeprom, interrupt, loopback, results[4]];
    }
    results.into_iter().for_each(put);
    results == [0; 5]
}

/// Whether there is a link; one that is being negotiated gets its time.
fn link(hw: &Hw) -> bool {
    for _ in 0..50 {
        if hw.link().is_some() {
            return true;
        }
        let done = hw
            .phy_read(phy::STATUS)
            .is_ok_and(|s| s & phy::STATUS_AUTONEG_DONE != 0);
        if done {
            return false;
        }
        sleep(100_000);
    }
    false
}

/// Whether a register keeps what is written to it, as far as `mask` goes.
fn keeps(hw: &Hw, at: Offset, mask: u32, write: u32) -> bool {
    [0x5a5a_5a5a, 0xa5a5_a5a5, 0, !0]
        .into_iter()
        .all(|pattern| {
            hw.write_at(at, pattern & write);
            hw.read_at(at) & mask == pattern & write & mask
        })
}

/// The first register that does not keep what it should, as the test's result; 0 if all do.
///
/// Mirrors [`e1000_reg_test`](srctree/drivers/net/ethernet/intel/e1000/e1000_ethtool.c)
fn registers(hw: &Hw) -> u64 {
    let table = [
        (Fcal::OFFSET, !0, !0),
        (Fcah::OFFSET, 0xffff, !0),
        (Fct::OFFSET, 0xffff, !0),
        (Vet::OFFSET, 0xffff, !0),
        (Rdtr::OFFSET, 0xffff, !0),
        (Rdbah::OFFSET, !0, !0),
        (Rdlen::OFFSET, 0xf_ff80, 0xf_ffff),
        (Rdh::OFFSET, 0xffff, 0xffff),
        (Rdt::OFFSET, 0xffff, 0xffff),
        (Fcrth::OFFSET, 0xfff8, 0xfff8),
        (Fcttv::OFFSET, 0xffff, 0xffff),
        (Tipg::OFFSET, 0x3fff_ffff, 0x3fff_ffff),
        (Tdbah::OFFSET, !0, !0),
        (Tdlen::OFFSET, 0xf_ff80, 0xf_ffff),
        (Rdbal::OFFSET, 0xffff_fff0, !0),
        (Tdbal::OFFSET, 0xffff_fff0, !0),
        (Tidv::OFFSET, 0xffff, 0xffff),
    ];
    let exact = (0..filter::EXACT).map(|i| (regs::exact(i).1, 0x8003_ffff, !0));
    let multicast = (0..filter::MULTICAST_WORDS).map(|i| (regs::multicast(i), !0, !0));
    table
        .into_iter()
        .chain(exact)
        .chain(multicast)
        .find(|(at, mask, write)| !keeps(hw, *at, *mask, *write))
        .map_or(0, |(at, _, _)| u64::from(at.get()) | 1)
}

/// Whether each cause can be made and seen. The line itself is shared, and was proved by the traffic.
fn interrupts(hw: &Hw) -> u64 {
    hw.write(Imc::ALL);
    for i in 0..10 {
        let _ = hw.read::<Icr>();
        hw.write(Ics::from_bits(1 << i));
        hw.flush();
        if hw.read::<Icr>().bits() & (1 << i) == 0 {
            return 4;
        }
    }
    let _ = hw.read::<Icr>();
    0
}

/// Sends a frame to the PHY, which sends it back, and compares.
///
/// Mirrors [`e1000_loopback_test`](srctree/drivers/net/ethernet/intel/e1000/e1000_ethtool.c)
fn loopback(ctx: &mut Rtnl<'_, Adapter>) -> Result<bool> {
    /// Words of 64 bits in a frame.
    const WORDS: u32 = 128;
    let (dma, hw) = (ctx.dma, &ctx.hw);
    // Coherent memory is what descriptors are made of; frames of words fit in, too.
    let (tx, rx) = (Descriptors::new(dma, 8)?, Descriptors::new(dma, 8)?);
    let (out, back) = (Descriptors::new(dma, 128)?, Descriptors::new(dma, 128)?);
    for i in 0..WORDS / 2 {
        let n = u64::from(i).wrapping_mul(0x0101_0101_0101_0101);
        out.set(i, [if i == 0 { !0 } else { n }, n]);
    }
    hw.setup_link();
    hw.phy_write(phy::CTRL, phy::CTRL_LOOPBACK | phy::CTRL_1000_FULL)?;

    for (base, low, high, len, head, tail) in [
        (
            &rx,
            Rdbal::OFFSET,
            Rdbah::OFFSET,
            Rdlen::OFFSET,
            Rdh::OFFSET,
            Rdt::OFFSET,
        ),
        (
            &tx,
            Tdbal::OFFSET,
            Tdbah::OFFSET,
            Tdlen::OFFSET,
            Tdh::OFFSET,
            Tdt::OFFSET,
        ),
    ] {
        hw.write_at(low, base.addr() as u32);
        hw.write_at(high, (base.addr() >> 32) as u32);
        hw.write_at(len, 128);
        hw.write_at(head, 0);
        hw.write_at(tail, 0);
    }
    rx.set(0, [back.addr(), 0]);
    let [addr, word] = TxFlags::plain().data(out.addr(), (WORDS * 8) as usize);
    for i in 0..8 {
        tx.set(i, [addr, word | CMD_EOP | CMD_RS]);
    }
    hw.write(Rctl::EN | Rctl::UPE | Rctl::MPE | Rctl::BAM | Rctl::SECRC);
    hw.write(Rdt::from_bits(1));
    hw.write(Tctl::EN | Tctl::PSP | Tctl::COLLISIONS);
    // An emulated card is deaf for a second after it was told to receive.
    for i in 0..20 {
        hw.write(Tdt::from_bits((i + 1) % 8));
        sleep(100_000);
        if RxWriteback(rx.second(0)).done() {
            break;
        }
    }
    let d = RxWriteback(rx.second(0));
    let same = d.done()
        && d.len() == (WORDS * 8) as usize
        && (0..WORDS / 2).all(|i| back.second(i) == out.second(i));
    hw.write(Rctl::OFF);
    hw.write(Tctl::OFF);
    hw.phy_write(phy::CTRL, phy::CTRL_AUTONEG | phy::CTRL_1000_FULL)?;
    // The card must be at rest before the memory goes.
    hw.reset();
    Ok(same)
}
