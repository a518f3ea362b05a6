// SPDX-License-Identifier: GPL-2.0
//! What `ethtool` shows and sets.

use crate::abstractions::ethtool::{
    Link,
    Ops,
    Pause,
    Rings, //
};
use crate::abstractions::io::Register;
use crate::abstractions::netdev::Rtnl;
use crate::eeprom;
use crate::itr::Mode;
use crate::netdev::{
    self,
    Adapter, //
};
use crate::regs::{
    phy,
    Bits,
    Ctrl,
    Rctl,
    Rdh,
    Rdlen,
    Rdt,
    Rdtr,
    Status,
    Tctl,
    Tdh,
    Tdlen,
    Tdt,
    Tidv, //
};
use crate::ring::{
    self,
    Size, //
};
use crate::selftest;
use crate::stats;
use core::ffi::CStr;
use kernel::error::{
    code::{
        EAGAIN,
        EINVAL, //
    },
    Result, //
};

impl Ops for Adapter {
    const STATS: &'static [&'static CStr] = stats::NAMES;
    const TESTS: &'static [&'static CStr] = selftest::NAMES;
    const REGS: usize = 12;
    const EEPROM: usize = 2 * eeprom::WORDS;
    const MAX_RINGS: Rings = Rings {
        rx: ring::MAX,
        tx: ring::MAX,
    };

    fn rings(ctx: &mut Rtnl<'_, Self>) -> Rings {
        let admin = ctx.admin();
        Rings {
            rx: admin.rx.get(),
            tx: admin.tx.get(),
        }
    }

    /// Mirrors [`e1000_set_ringparam`](srctree/drivers/net/ethernet/intel/e1000/e1000_ethtool.c)
    fn set_rings(ctx: &mut Rtnl<'_, Self>, rings: Rings) -> Result {
        let (rx, tx, mtu) = (Size::rounded(rings.rx), Size::rounded(rings.tx), ctx.mtu());
        if (rx, tx) != (ctx.admin().rx, ctx.admin().tx) {
            netdev::restart(ctx, rx, tx, mtu)?;
            ctx.admin().rx = rx;
            ctx.admin().tx = tx;
        }
        Ok(())
    }

    fn stats(ctx: &mut Rtnl<'_, Self>, put: &mut dyn FnMut(u64)) {
        ctx.counters(put);
    }

    fn rx_usecs(ctx: &mut Rtnl<'_, Self>) -> u32 {
        ctx.admin().mode.usecs()
    }

    fn set_rx_usecs(ctx: &mut Rtnl<'_, Self>, usecs: u32) -> Result {
        let mode = Mode::from_usecs(usecs).ok_or(EINVAL)?;
        let old = core::mem::replace(&mut ctx.admin().mode, mode);
        netdev::restart_same(ctx).inspect_err(|_| ctx.admin().mode = old)
    }

    fn rx_copybreak(ctx: &mut Rtnl<'_, Self>) -> u32 {
        ctx.copybreak() as u32
    }

    fn set_rx_copybreak(ctx: &mut Rtnl<'_, Self>, bytes: u32) {
        ctx.set_copybreak(bytes);
    }

    fn nway_reset(ctx: &mut Rtnl<'_, Self>) -> Result {
        // As in C, where a device that is down has no link to negotiate.
        if !Rtnl::is_running(ctx) {
            return Err(EAGAIN);
        }
        ctx.hw.restart_autoneg()
    }

    fn link(ctx: &mut Rtnl<'_, Self>) -> Link {
        Link {
            speed: ctx.hw.link().map(|l| (l.speed, l.full)),
            autoneg: ctx
                .hw
                .phy_read(phy::CTRL)
                .is_ok_and(|ctrl| ctrl & phy::CTRL_AUTONEG != 0),
        }
    }

    fn pause(ctx: &mut Rtnl<'_, Self>) -> Pause {
        let ctrl = ctx.hw.read::<Ctrl>();
        Pause {
            rx: ctrl.has(Ctrl::RFCE),
            tx: ctrl.has(Ctrl::TFCE),
        }
    }

    fn self_test(ctx: &mut Rtnl<'_, Self>, offline: bool, put: &mut dyn FnMut(u64)) -> bool {
        selftest::run(ctx, offline, put)
    }

    /// Mirrors [`e1000_get_regs`](srctree/drivers/net/ethernet/intel/e1000/e1000_ethtool.c)
    fn regs(ctx: &mut Rtnl<'_, Self>, put: &mut dyn FnMut(u32)) {
        let hw = &ctx.hw;
        for bits in [
            hw.read::<Ctrl>().bits(),
            hw.read::<Status>().bits(),
            hw.read::<Rctl>().bits(),
            hw.read::<Rdlen>().bits(),
            hw.read::<Rdh>().bits(),
            hw.read::<Rdt>().bits(),
            hw.read::<Rdtr>().bits(),
            hw.read::<Tctl>().bits(),
            hw.read::<Tdlen>().bits(),
            hw.read::<Tdh>().bits(),
            hw.read::<Tdt>().bits(),
            hw.read::<Tidv>().bits(),
        ] {
            put(bits);
        }
    }

    fn eeprom(ctx: &mut Rtnl<'_, Self>, put: &mut dyn FnMut(u8)) {
        ctx.admin().eeprom.bytes().for_each(put);
    }
}
