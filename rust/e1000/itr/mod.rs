// SPDX-License-Identifier: GPL-2.0
//! How many interrupts a second are right for the traffic there is: pure arithmetic.
//!
//! Few packets between two interrupts want a quick answer, many want few interrupts. Each direction is in
//! one of three classes and moves by what the last interval brought; the card gets the calmer of the two.

/// What an interval brought in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Frames, segments counted singly.
    pub(crate) packets: u32,
    /// Bytes of them.
    pub(crate) bytes: u32,
}

/// A class of traffic, from the one that must not wait to the one that may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Latency {
    /// 70,000 interrupts a second.
    Lowest,
    /// 20,000.
    Low,
    /// 4,000.
    Bulk,
}

impl Latency {
    /// The class after an interval. Means are compared by products, which is exact and needs no division.
    ///
    /// Mirrors [`e1000_update_itr`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    #[inline]
    pub(crate) fn after(self, load: Load) -> Latency {
        let Load { packets, bytes } = load;
        if packets == 0 {
            return self;
        }
        let mean_above = |n: u32| u64::from(bytes) >= u64::from(packets) * (u64::from(n) + 1);
        match self {
            Latency::Lowest if mean_above(8000) => Latency::Bulk,
            Latency::Lowest if packets < 5 && bytes > 512 => Latency::Low,
            Latency::Low if bytes > 10_000 => {
                if packets < 10 || mean_above(1200) {
                    Latency::Bulk
                } else if packets > 35 {
                    Latency::Lowest
                } else {
                    self
                }
            }
            Latency::Low if mean_above(2000) => Latency::Bulk,
            Latency::Low if packets <= 2 && bytes < 512 => Latency::Lowest,
            Latency::Bulk if bytes > 25_000 && packets > 35 => Latency::Low,
            Latency::Bulk if bytes < 6000 => Latency::Low,
            _ => self,
        }
    }

    const fn rate(self) -> u32 {
        match self {
            Latency::Lowest => 70_000,
            Latency::Low => 20_000,
            Latency::Bulk => 4_000,
        }
    }
}

/// How the rate of interrupts is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No limit.
    Off,
    /// By the traffic.
    Adaptive,
    /// By the traffic, but never above 20,000.
    Conservative,
    /// This many a second.
    Fixed(u32),
}

impl Mode {
    /// From what `ethtool -C rx-usecs` says: 0 is off, 1 and 3 adapt, 4 is a fixed simple rate of 8,000,
    /// and from 10 on it is the time between two interrupts in microseconds. `None` for all else.
    ///
    /// Mirrors [`e1000_set_coalesce`](srctree/drivers/net/ethernet/intel/e1000/e1000_ethtool.c)
    pub(crate) const fn from_usecs(usecs: u32) -> Option<Mode> {
        match usecs {
            0 => Some(Mode::Off),
            1 => Some(Mode::Adaptive),
            3 => Some(Mode::Conservative),
            4 => Some(Mode::Fixed(8000)),
            10..=10_000 => Some(Mode::Fixed(1_000_000 / usecs)),
            _ => None,
        }
    }

    /// The reverse of [`Mode::from_usecs`].
    pub(crate) const fn usecs(self) -> u32 {
        match self {
            Mode::Off => 0,
            Mode::Adaptive => 1,
            Mode::Conservative => 3,
            Mode::Fixed(8000) => 4,
            Mode::Fixed(rate) => 1_000_000 / if rate == 0 { 1 } else { rate },
        }
    }

    /// The rate to start with, in interrupts a second; 0 is no limit.
    const fn initial(self) -> u32 {
        match self {
            Mode::Off => 0,
            Mode::Adaptive | Mode::Conservative => 20_000,
            Mode::Fixed(rate) => rate,
        }
    }
}

/// The value of the throttling register for a rate: units of 256 ns between two interrupts, 0 for none.
pub(crate) const fn interval(rate: u32) -> u32 {
    if rate == 0 {
        return 0;
    }
    let n = 1_000_000_000 / (rate as u64 * 256);
    if n > 0xffff {
        0xffff
    } else {
        n as u32
    }
}

/// The rate of interrupts, adapted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throttle {
    mode: Mode,
    tx: Latency,
    rx: Latency,
    rate: u32,
}

impl Throttle {
    /// A throttle that knows no traffic yet.
    pub(crate) const fn new(mode: Mode) -> Self {
        Throttle {
            mode,
            tx: Latency::Low,
            rx: Latency::Low,
            rate: mode.initial(),
        }
    }

    /// Interrupts a second, 0 for no limit.
    pub(crate) const fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes notice of an interval. The new rate if it changes, else `None`.
    ///
    /// Mirrors [`e1000_set_itr`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    #[inline]
    pub(crate) fn update(&mut self, tx: Load, rx: Load, gigabit: bool) -> Option<u32> {
        let floor = match self.mode {
            Mode::Adaptive => Latency::Lowest,
            Mode::Conservative => Latency::Low,
            Mode::Off | Mode::Fixed(_) => return None,
        };
        let wanted = if gigabit {
            self.tx = self.tx.after(tx).max(floor);
            self.rx = self.rx.after(rx).max(floor);
            self.tx.max(self.rx).rate()
        } else {
            Latency::Bulk.rate()
        };
        if wanted == self.rate {
            return None;
        }
        // Up in steps, down at once: a burst is not to be taken for a change of the traffic.
        self.rate = if wanted > self.rate {
            self.rate.wrapping_add(wanted / 4).min(wanted)
        } else {
            wanted
        };
        Some(self.rate)
    }
}

#[cfg(test)]
mod tests;
