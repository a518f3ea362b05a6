// SPDX-License-Identifier: GPL-2.0
//! The card seen through its registers: reset, EEPROM, PHY, link.
//!
//! The card may vanish at any time, by hot unplug or by a fault of the bus. Everything here ends then, for
//! each wait has an end, and what is read as all ones is taken for what it is.

use crate::abstractions::io::{
    sleep,
    Bar,
    Register, //
};
use crate::abstractions::lock::Lock;
use crate::abstractions::pci::Device;
use crate::eeprom::{
    Eeprom,
    WORDS, //
};
use crate::regs::{
    phy,
    Bits,
    Ctrl,
    Eerd,
    Icr,
    Imc,
    Mdic,
    Rctl,
    Status,
    Tctl,
    Wuc, //
};
use core::ops::Deref;
use kernel::error::{
    code::{
        EIO,
        ENODEV, //
    },
    Result, //
};

/// How often a register is looked at before its answer is given up, 50 µs apart.
const PATIENCE: u32 = 200;

/// The registers, and the way to the PHY behind one of them.
pub(crate) struct Hw {
    bar: Bar,
    /// One access to the PHY at a time: it takes several to the register. Never slept under.
    mdio: Lock<()>,
}

impl Deref for Hw {
    type Target = Bar;

    #[inline]
    fn deref(&self) -> &Bar {
        &self.bar
    }
}

/// What the link is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkState {
    /// Mbit/s.
    pub(crate) speed: u32,
    /// Both directions at once.
    pub(crate) full: bool,
}

impl Hw {
    /// Maps the registers of a card.
    ///
    /// # Errors
    ///
    /// As [`Bar::map`]; ENODEV if nobody answers there.
    pub(crate) fn map(dev: &Device) -> Result<Self> {
        let bar = Bar::map(dev, 0)?;
        if bar.read::<Status>().is_gone() {
            return Err(ENODEV);
        }
        Ok(Hw {
            bar,
            mdio: Lock::new(()),
        })
    }

    /// Stops everything and brings the card into the state that it is switched on with. Process context;
    /// sleeps.
    ///
    /// Mirrors [`e1000_reset_hw`](srctree/drivers/net/ethernet/intel/e1000/e1000_hw.c)
    pub(crate) fn reset(&self) {
        self.write(Imc::ALL);
        self.write(Rctl::OFF);
        self.write(Tctl::OFF | Tctl::PSP);
        // Transfers on the bus must have ended, or the card may hang.
        self.flush();
        sleep(10_000);
        let ctrl = self.read::<Ctrl>();
        self.write(ctrl | Ctrl::RST);
        // The card reads its EEPROM again; the manual says 1 µs until registers may be touched, 2 ms in all.
        sleep(5_000);
        self.write(Imc::ALL);
        let _ = self.read::<Icr>();
        self.write(Wuc::OFF);
    }

    /// Waits until what was written has reached the card.
    pub(crate) fn flush(&self) {
        let _ = self.read::<Status>();
    }

    /// Reads the EEPROM. Process context; sleeps.
    ///
    /// # Errors
    ///
    /// EIO if it does not answer or its sum is wrong.
    pub(crate) fn read_eeprom(&self) -> Result<Eeprom> {
        let mut words = [0; WORDS];
        for (i, word) in (0u32..).zip(words.iter_mut()) {
            self.write(Eerd::from_bits(Eerd::START.bits() | i << 8));
            let answer = self.wait::<Eerd>(|r| r.has(Eerd::DONE))?;
            *word = (answer.bits() >> 16) as u16;
        }
        Eeprom::new(words).map_err(|_| EIO)
    }

    /// Looks at a register until `f` holds.
    fn wait<R: Register>(&self, f: impl Fn(R) -> bool) -> Result<R> {
        for _ in 0..PATIENCE {
            let value = self.read::<R>();
            if value.is_gone() {
                return Err(ENODEV);
            }
            if f(value) {
                return Ok(value);
            }
            sleep(50);
        }
        Err(EIO)
    }

    /// One access to the PHY; its answer.
    ///
    /// Mirrors [`e1000_read_phy_reg_ex`](srctree/drivers/net/ethernet/intel/e1000/e1000_hw.c)
    fn mdic(&self, command: u32) -> Result<u16> {
        let _one = self.mdio.lock();
        self.write(Mdic::from_bits(command));
        // The management bus takes 64 µs; under the lock the register is looked at instead of slept.
        for _ in 0..2000 {
            let value = self.read::<Mdic>();
            if value.is_gone() {
                return Err(ENODEV);
            }
            if value.has(Mdic::READY) {
                return if value.has(Mdic::ERROR) {
                    Err(EIO)
                } else {
                    Ok(value.bits() as u16)
                };
            }
        }
        Err(EIO)
    }

    /// Reads a register of the PHY.
    pub(crate) fn phy_read(&self, reg: u32) -> Result<u16> {
        self.mdic(Mdic::READ.bits() | (reg & 31) << 16)
    }

    /// Writes a register of the PHY.
    pub(crate) fn phy_write(&self, reg: u32, value: u16) -> Result {
        self.mdic(Mdic::WRITE.bits() | (reg & 31) << 16 | u32::from(value))?;
        Ok(())
    }

    /// Makes the card link up by what the PHY negotiates.
    ///
    /// Mirrors [`e1000_setup_copper_link`](srctree/drivers/net/ethernet/intel/e1000/e1000_hw.c)
    pub(crate) fn setup_link(&self) {
        let ctrl = self
            .read::<Ctrl>()
            .without(Ctrl::FRCSPD | Ctrl::FRCDPX | Ctrl::ILOS);
        self.write(ctrl | Ctrl::SLU | Ctrl::ASDE | Ctrl::FD);
    }

    /// Switches the PHY on, or off to save power and to let the other end see that there is no link.
    pub(crate) fn power_phy(&self, on: bool) {
        let Ok(ctrl) = self.phy_read(phy::CTRL) else {
            return;
        };
        let wanted = if on {
            ctrl & !phy::CTRL_POWER_DOWN
        } else {
            ctrl | phy::CTRL_POWER_DOWN
        };
        if wanted != ctrl {
            let _ = self.phy_write(phy::CTRL, wanted);
        }
    }

    /// Negotiates the link anew.
    pub(crate) fn restart_autoneg(&self) -> Result {
        let ctrl = self.phy_read(phy::CTRL)?;
        self.phy_write(phy::CTRL, ctrl | phy::CTRL_AUTONEG | phy::CTRL_RESTART)
    }

    /// The link; `None` if there is none.
    pub(crate) fn link(&self) -> Option<LinkState> {
        let status = self.read::<Status>();
        if status.is_gone() || !status.has(Status::LU) {
            return None;
        }
        let speed = if status.has(Status::SPEED_1000) {
            1000
        } else if status.has(Status::SPEED_100) {
            100
        } else {
            10
        };
        Some(LinkState {
            speed,
            full: status.has(Status::FD),
        })
    }
}
