// SPDX-License-Identifier: GPL-2.0
//! A card on the bus: how it is found, put to sleep, woken, repaired and left.

use crate::abstractions::dma;
use crate::abstractions::netdev::{
    Config,
    Registration,
    Rtnl, //
};
use crate::abstractions::pci::{
    self,
    Device,
    Driver,
    Enabled,
    Recovery, //
};
use crate::hw::Hw;
use crate::netdev::{
    self,
    Adapter, //
};
use core::ffi::CStr;
use kernel::error::Result;

/// What a bound card owns. Fields are dropped in this order: first the network device, then the bus's
/// resources.
pub(crate) struct Card {
    netdev: Registration<Adapter>,
    _enabled: Enabled,
}

impl Driver for Card {
    const NAME: &'static CStr = c"rust_e1000";
    /// The cards of the family that QEMU has: 82544GC, 82540EM, 82545EM.
    const IDS: &'static [(u16, u16)] = &[(0x8086, 0x1008), (0x8086, 0x100e), (0x8086, 0x100f)];

    fn probe(dev: &Device) -> Result<Self> {
        let log: &kernel::device::Device = dev.as_ref();
        let enabled = Enabled::new(dev, Self::NAME).inspect_err(|e| {
            kernel::dev_err!(
                log,
                "no memory regions ({e:?}): see /proc/iomem for who has them\n"
            );
        })?;
        dev.set_dma_mask(64)
            .or_else(|_| dev.set_dma_mask(32))
            .inspect_err(|e| {
                kernel::dev_err!(
                    log,
                    "no memory that the card can reach ({e:?}): check the IOMMU\n"
                );
            })?;
        dev.set_master();
        dev.save_state();
        let hw = Hw::map(dev).inspect_err(|e| {
            kernel::dev_err!(
                log,
                "BAR 0 does not map ({e:?}): is there room below 4 GiB, or too small a window?\n"
            );
        })?;
        hw.reset();
        let eeprom = hw.read_eeprom().inspect_err(|e| {
            kernel::dev_err!(
                log,
                "the EEPROM cannot be trusted ({e:?}): its checksum is wrong or it does not answer; restore it\n"
            );
        })?;
        let addr = eeprom.mac();
        if addr == [0; 6] || addr[0] & 1 != 0 {
            kernel::dev_err!(log, "the EEPROM holds no station address: restore it\n");
            return Err(kernel::error::code::EIO);
        }
        let adapter = Adapter::new(hw, dma::Device::from(dev), dev.irq())?;
        let netdev = Registration::new(
            dev,
            adapter,
            netdev::Admin::new(eeprom),
            &Config {
                addr,
                features: netdev::FEATURES,
                hw_features: netdev::HW_FEATURES,
                vlan_features: netdev::VLAN_FEATURES,
                mtu: netdev::MTU,
                tx_timeout: 5 * pci::HZ as i32,
                unicast_filter: true,
            },
        )
        .inspect_err(|e| {
            kernel::dev_err!(log, "no network device ({e:?}): is there memory left?\n");
        })?;
        let [a, b, c, d, e, f] = addr;
        kernel::dev_info!(
            log,
            "{}: {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}\n",
            *netdev
        );
        Ok(Card {
            netdev,
            _enabled: enabled,
        })
    }

    fn shutdown(&self, _dev: &Device) {
        self.netdev.rtnl(quiesce);
    }

    fn suspend(&self, _dev: &Device) -> Result {
        self.netdev.rtnl(quiesce);
        Ok(())
    }

    fn resume(&self, dev: &Device) -> Result {
        dev.set_master();
        self.netdev.rtnl(revive)
    }

    fn error_detected(&self, _dev: &Device, permanent: bool) -> Recovery {
        self.netdev.rtnl(quiesce);
        if permanent {
            Recovery::Disconnect
        } else {
            Recovery::NeedReset
        }
    }

    fn slot_reset(&self, dev: &Device) -> Recovery {
        dev.restore_state();
        dev.set_master();
        self.netdev.hw.reset();
        Recovery::Recovered
    }

    fn error_resume(&self, dev: &Device) {
        if let Err(e) = self.netdev.rtnl(revive) {
            kernel::dev_err!(
                dev.as_ref(),
                "does not come up after a bus error ({e:?}): unbind and bind the driver\n"
            );
        }
    }
}

/// Takes the device from the stack and makes the card quiet.
fn quiesce(ctx: &mut Rtnl<'_, Adapter>) {
    ctx.detach();
    netdev::down(ctx);
    ctx.free_irq();
    ctx.hw.reset();
}

/// The reverse of [`quiesce`].
fn revive(ctx: &mut Rtnl<'_, Adapter>) -> Result {
    ctx.hw.reset();
    if ctx.is_up() {
        netdev::bring_up(ctx)?;
    }
    ctx.attach();
    Ok(())
}
