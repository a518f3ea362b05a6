// SPDX-License-Identifier: GPL-2.0
//! Receiving: pages that the card fills become packets, and others take their places.
//!
//! A place of the ring is the card's from the write of the tail until the card marks it as done. The driver
//! counts the places it has given away and takes back no more than that, whatever the marks say.

use crate::abstractions::dma::Descriptors;
use crate::abstractions::io::Register;
use crate::abstractions::memory::Array;
use crate::abstractions::netdev::{
    Device,
    Napi, //
};
use crate::abstractions::page_pool::{
    Page,
    PagePool,
    HEADROOM,
    PAGE_SIZE,
    TAILROOM, //
};
use crate::abstractions::skb::RxSkb;
use crate::itr::Load;
use crate::netdev::Adapter;
use crate::regs::{
    Radv,
    Rdbah,
    Rdbal,
    Rdh,
    Rdlen,
    Rdt,
    Rdtr,
    Rxcsum, //
};
use crate::ring::desc::{
    Checksum,
    RxWriteback, //
};
use crate::ring::receive::{
    Fault,
    Receiver,
    Verdict, //
};
use crate::ring::Size;
use kernel::error::{
    code::ENOMEM,
    Result, //
};

/// What the card writes to one buffer at most, in bytes: the size that `RCTL` says.
pub(crate) const BUFFER: usize = 2048;
/// The longest frame without `RCTL.LPE`, in bytes, check sequence included.
const MAX_FRAME: usize = 1522;
/// The longest frame with it.
const MAX_JUMBO: usize = 16384;
/// Places that are refilled at a time, so that the tail is written once for many.
const REFILL: u32 = 16;

const _: () = assert!(HEADROOM + BUFFER + TAILROOM <= PAGE_SIZE);
const _: () = assert!(HEADROOM + MAX_FRAME + TAILROOM <= PAGE_SIZE / 2);

/// The receive ring, in NAPI.
pub(crate) struct Ring {
    desc: Descriptors,
    pages: Array<Option<Page>>,
    pool: PagePool,
    size: Size,
    /// The next place that the card will be done with.
    clean: u32,
    /// The next place to give to the card: its tail.
    fill: u32,
    /// How many places the card has.
    given: u32,
    receiver: Receiver,
    /// A frame of which more is to come.
    partial: Option<RxSkb>,
    /// What the card may write to one buffer, in bytes.
    buffer: usize,
    max_frame: usize,
}

impl Ring {
    /// A ring with a page at every place but one. Process context: may sleep.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new(dev: &Device<Adapter>, size: Size, jumbo: bool) -> Result<Self> {
        let n = size.get() as usize;
        // Without `RCTL.LPE` and `RCTL.SBP` the card drops what is longer than a frame may be.
        let buffer = if jumbo || dev.keeps_bad() {
            BUFFER
        } else {
            MAX_FRAME
        };
        let mut ring = Ring {
            desc: Descriptors::new(dev.dma, n)?,
            pages: Array::try_from_fn_sleeping(n, |_| None)?,
            pool: PagePool::new(dev.dma, dev, size.get(), buffer)?,
            size,
            clean: 0,
            fill: 0,
            given: 0,
            receiver: Receiver::default(),
            partial: None,
            buffer,
            max_frame: if jumbo { MAX_JUMBO } else { MAX_FRAME },
        };
        ring.fill();
        if ring.given == 0 {
            return Err(ENOMEM);
        }
        Ok(ring)
    }

    /// Tells the card of the ring and of the places it has.
    ///
    /// Mirrors [`e1000_configure_rx`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    pub(crate) fn configure(&self, dev: &Adapter) {
        let (hw, addr) = (&dev.hw, self.desc.addr());
        hw.write(Rdtr::from_bits(0));
        hw.write(Radv::from_bits(0));
        hw.write(Rdbal::from_bits(addr as u32));
        hw.write(Rdbah::from_bits((addr >> 32) as u32));
        hw.write(Rdlen::from_bits((self.desc.len() as u32).wrapping_mul(16)));
        hw.write(Rdh::from_bits(0));
        hw.write(Rdt::from_bits(0));
        hw.write(if dev.wants_checksum() {
            Rxcsum::TUOFL
        } else {
            Rxcsum::OFF
        });
    }

    /// Lets the card have the places that were filled.
    pub(crate) fn ring_doorbell(&self, dev: &Adapter) {
        dev.hw.write(Rdt::from_bits(self.fill));
    }

    /// How many places are free to be given to the card, all but one: equal head and tail mean that it has
    /// none.
    #[inline]
    fn missing(&self) -> u32 {
        self.size.get().wrapping_sub(1).wrapping_sub(self.given)
    }

    /// Fills the places that are free.
    fn fill(&mut self) {
        let (mut at, mut filled) = (self.fill, 0u32);
        for _ in 0..self.missing() {
            let Some(place) = self.pages.get_mut(at as usize) else {
                break;
            };
            let addr = match place {
                // What was copied out of stays.
                Some(page) => page.addr(),
                None => {
                    let Some(page) = self.pool.alloc() else {
                        break;
                    };
                    place.insert(page).addr()
                }
            };
            self.desc.set(at, [addr, 0]);
            at = self.size.next(at);
            filled = filled.wrapping_add(1);
        }
        self.fill = at;
        self.given = self.given.wrapping_add(filled);
    }

    /// Fills what is free and tells the card.
    #[inline]
    fn refill(&mut self, dev: &Adapter) {
        let before = self.fill;
        self.fill();
        if self.fill != before {
            self.ring_doorbell(dev);
        }
        if self.missing() != 0 {
            dev.soft.rx_no_page.add(1);
            if self.given == 0 {
                // Without a place there is no interrupt either: the watchdog makes one, every two seconds.
                dev.soft.rx_starved.add(1);
            }
        }
    }

    /// Takes in what the card has received, at most as much as NAPI allows.
    ///
    /// Mirrors [`e1000_clean_rx_irq`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    #[inline]
    pub(crate) fn clean(&mut self, dev: &Device<Adapter>, napi: &Napi) -> (Load, i32) {
        let (mut work, mut bytes) = (0, 0u32);
        let (checksums, keeps_bad) = (dev.wants_checksum(), dev.keeps_bad());
        while work < napi.budget() && self.given != 0 {
            let d = RxWriteback(self.desc.second(self.clean));
            if !d.done() {
                break;
            }
            let place = self.clean;
            self.clean = self.size.next(place);
            self.given = self.given.wrapping_sub(1);
            let verdict = self
                .receiver
                .step(d, self.buffer, self.max_frame, keeps_bad);
            if let Some(skb) = self.take(dev, napi, place, verdict) {
                work += 1;
                bytes = bytes.wrapping_add(skb.len() as u32);
                deliver(dev, napi, skb, d, checksums);
            }
            if self.missing() >= REFILL {
                self.refill(dev);
            }
        }
        if self.missing() >= REFILL {
            self.refill(dev);
        }
        let packets = work.unsigned_abs();
        if packets != 0 {
            dev.soft.rx_packets.add(packets.into());
            dev.soft.rx_bytes.add(bytes.into());
        }
        (Load { packets, bytes }, work)
    }

    /// Makes of the buffer at `place` what the verdict says. The packet, if one is whole now.
    #[inline]
    fn take(
        &mut self,
        dev: &Device<Adapter>,
        napi: &Napi,
        place: u32,
        verdict: Verdict,
    ) -> Option<RxSkb> {
        let page = self.pages.get_mut(place as usize)?;
        match verdict {
            Verdict::Whole { len } => {
                let held = page.as_ref()?;
                self.pool.sync_for_cpu(held, len);
                let skb = if len <= dev.copybreak() {
                    // Only read here, so the card may have it again as it is (dma-api-howto).
                    napi.copy(held, len)
                } else {
                    page.take()?.into_skb(len)
                };
                if skb.is_none() {
                    dev.soft.rx_dropped.add(1);
                }
                skb
            }
            Verdict::Part { len, first, last } => {
                let page = page.take()?;
                self.pool.sync_for_cpu(&page, len);
                if first {
                    self.partial = page.into_skb(len);
                } else if let Some(skb) = &mut self.partial {
                    page.add_to(skb, len);
                }
                if !last {
                    return None;
                }
                let skb = self.partial.take();
                if skb.is_none() {
                    dev.soft.rx_dropped.add(1);
                }
                skb
            }
            Verdict::Discard(fault) => {
                self.partial = None;
                match fault {
                    None => (),
                    Some(Fault::Frame) => dev.soft.rx_bad_frames.add(1),
                    Some(Fault::Length) => dev.soft.rx_bad_lengths.add(1),
                    Some(Fault::Endless) => dev.soft.rx_endless.add(1),
                }
                None
            }
        }
    }
}

/// Notes what the card said of a frame and hands it to the stack.
#[inline]
fn deliver(dev: &Device<Adapter>, napi: &Napi, mut skb: RxSkb, d: RxWriteback, checksums: bool) {
    if checksums {
        match d.checksum() {
            Checksum::Unknown => (),
            Checksum::Good => {
                skb.set_checksum_good();
                dev.soft.rx_csum_good.add(1);
            }
            Checksum::Bad => dev.soft.rx_csum_bad.add(1),
        }
    }
    if let Some(tci) = d.vlan() {
        skb.set_vlan_tag(tci);
    }
    napi.receive(skb);
}
