// SPDX-License-Identifier: GPL-2.0
//! The e1000s of the guest and the drivers that they can have.

use std::fs;
use std::path::PathBuf;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;

use crate::wait;

/// The kernel's own driver.
pub const C: &str = "e1000";
/// Ours.
pub const RUST: &str = "rust_e1000";

/// An e1000 on the PCI bus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Card {
    /// Its place, as `0000:00:03.0`.
    pub place: String,
}

impl Card {
    /// All there are, in the order of their places.
    pub fn all() -> Vec<Card> {
        let mut found: Vec<Card> = fs::read_dir("/sys/bus/pci/devices")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| Card {
                place: entry.file_name().to_string_lossy().into_owned(),
            })
            .filter(|card| {
                let id = |file| fs::read_to_string(card.path().join(file)).unwrap_or_default();
                id("vendor").trim() == "0x8086"
                    && ["0x1008", "0x100e", "0x100f"].contains(&id("device").trim())
            })
            .collect();
        found.sort();
        found
    }

    /// Its directory in sysfs.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/sys/bus/pci/devices").join(&self.place)
    }

    /// The driver that it has.
    pub fn driver(&self) -> Option<String> {
        let link = fs::read_link(self.path().join("driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// Takes its driver away, if it has one.
    pub fn unbind(&self) -> Result<()> {
        if self.driver().is_some() {
            fs::write(self.path().join("driver/unbind"), &self.place)
                .with_context(|| format!("unbinding {}", self.place))?;
        }
        Ok(())
    }

    /// Gives it this driver, whichever it had, and waits for its network device.
    pub fn bind(&self, driver: &str) -> Result<()> {
        if self.driver().as_deref() == Some(driver) {
            return Ok(());
        }
        self.unbind()?;
        fs::write(self.path().join("driver_override"), driver)?;
        fs::write("/sys/bus/pci/drivers_probe", &self.place)?;
        ensure!(
            self.driver().as_deref() == Some(driver),
            "{} does not take {}: is {driver} loaded?",
            driver,
            self.place
        );
        // Its name appears in this namespace.
        wait::until("a network device of the card", || self.netdev())?;
        Ok(())
    }

    /// The name of its network device, as long as that is in the first namespace.
    pub fn netdev(&self) -> Option<String> {
        let entry = fs::read_dir(self.path().join("net")).ok()?.next()?.ok()?;
        Some(entry.file_name().to_string_lossy().into_owned())
    }
}
