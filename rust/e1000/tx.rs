// SPDX-License-Identifier: GPL-2.0
//! Sending: from a packet to descriptors, and from descriptors that are done back to free memory.
//!
//! The two halves run at the same time: [`Sender`] under the transmit lock, [`Cleaner`] in NAPI's poll
//! function. Between them lie the ring of descriptors and a ring of what they stand for, with equal
//! indices.

use crate::abstractions::dma::{
    self,
    Descriptors,
    Mapping, //
};
use crate::abstractions::io::Register;
use crate::abstractions::memory::Arc;
use crate::abstractions::netdev::{
    Device,
    Napi, //
};
use crate::abstractions::skb::{
    Offload,
    TxSkb, //
};
use crate::abstractions::spsc::{
    self,
    Batch,
    Consumer,
    Producer, //
};
use crate::itr::Load;
use crate::netdev::Adapter;
use crate::regs::{
    Tadv,
    Tctl,
    Tdbah,
    Tdbal,
    Tdh,
    Tdlen,
    Tdt,
    Tidv,
    Tipg, //
};
use crate::ring::desc::{
    TxFlags,
    Words,
    CMD_EOP,
    CMD_RS,
    TX_DONE, //
};
use crate::ring::offload::{
    self,
    Segmented, //
};
use crate::ring::{
    Size,
    MAX_DATA,
    MAX_TX_DESCRIPTORS, //
};
use core::sync::atomic::{
    fence,
    Ordering, //
};
use kernel::error::Result;

/// Free descriptors at which a stopped queue goes on: room for any frame, and some more, so that it does
/// not stop again at once.
const WAKE: u32 = MAX_TX_DESCRIPTORS + 5;

/// What one descriptor stands for.
#[derive(Default)]
struct Slot {
    /// What the card reads, at the first of the mapping's descriptors.
    map: Option<Mapping>,
    /// The packet, at the first of the frame's descriptors. Behind the mapping: it is freed after it.
    frame: Option<Frame>,
}

/// A frame in the ring.
struct Frame {
    skb: TxSkb,
    /// Descriptors it has.
    descriptors: u32,
    /// Frames that the card makes of it.
    segs: u16,
    /// Bytes of all of them.
    bytes: u32,
}

/// The half that sends, under the transmit lock.
pub(crate) struct Sender {
    ring: Producer<Slot>,
    desc: Arc<Descriptors>,
    dma: dma::Device,
    /// The checksum context that the card has, as it stood in its descriptor: it holds for all frames until
    /// there is another.
    context: Option<Words>,
}

/// The half that cleans up, in NAPI.
pub(crate) struct Cleaner {
    ring: Consumer<Slot>,
    desc: Arc<Descriptors>,
    size: Size,
}

/// Makes a transmit ring. Process context: may sleep.
pub(crate) fn ring(dma: dma::Device, size: Size) -> Result<(Sender, Cleaner)> {
    let desc = Arc::try_new(Descriptors::new(dma, size.get() as usize)?)?;
    let (producer, consumer) = spsc::ring(size.get())?;
    Ok((
        Sender {
            ring: producer,
            desc: desc.clone(),
            dma,
            context: None,
        },
        Cleaner {
            ring: consumer,
            desc,
            size,
        },
    ))
}

/// What the card is to do with a frame.
struct Plan {
    flags: TxFlags,
    context: Option<Words>,
    /// The context is of this frame alone, not one for many.
    once: bool,
    segs: u16,
    bytes: u32,
}

impl Sender {
    /// Tells the card of the ring, and lets it send.
    ///
    /// Mirrors [`e1000_configure_tx`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    pub(crate) fn configure(&self, dev: &Adapter) {
        let (hw, addr) = (&dev.hw, self.desc.addr());
        hw.write(Tdbal::from_bits(addr as u32));
        hw.write(Tdbah::from_bits((addr >> 32) as u32));
        hw.write(Tdlen::from_bits((self.desc.len() as u32).wrapping_mul(16)));
        hw.write(Tdh::from_bits(0));
        hw.write(Tdt::from_bits(0));
        hw.write(Tipg::COPPER);
        hw.write(Tidv::from_bits(0));
        hw.write(Tadv::from_bits(0));
        hw.write(Tctl::EN | Tctl::PSP | Tctl::COLLISIONS | Tctl::RTLC);
    }

    /// Puts a packet into the ring and, unless more follows, tells the card.
    ///
    /// Mirrors [`e1000_xmit_frame`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    ///
    /// # Errors
    ///
    /// The packet, if there is no room; the queue is stopped then.
    #[inline]
    pub(crate) fn xmit(
        &mut self,
        dev: &Device<Adapter>,
        skb: TxSkb,
        more: bool,
    ) -> Result<(), TxSkb> {
        if self.ring.free() < MAX_TX_DESCRIPTORS {
            dev.stop_queue();
            return Err(skb);
        }
        // Cards have been seen to damage what they pad themselves.
        let queued = skb
            .pad()
            .and_then(|mut skb| Some((plan(&mut skb)?, skb)))
            .and_then(|(plan, skb)| self.put(skb, plan));
        let Some(bytes) = queued else {
            dev.soft.tx_dropped.add(1);
            if !more {
                self.ring_doorbell(dev);
            }
            return Ok(());
        };
        if self.ring.free() < MAX_TX_DESCRIPTORS {
            self.stop(dev);
        }
        if dev.sent_queue(bytes, more) {
            self.ring_doorbell(dev);
        }
        Ok(())
    }

    #[inline]
    fn ring_doorbell(&self, dev: &Adapter) {
        dev.hw.write(Tdt::from_bits(self.ring.tail()));
    }

    /// Stops the queue, unless the other half has just made room.
    ///
    /// Mirrors [`__e1000_maybe_stop_tx`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    #[cold]
    fn stop(&self, dev: &Device<Adapter>) {
        dev.stop_queue();
        // The other half looks at the queue after it made room, with the same fence between: one of the
        // two sees what the other did.
        fence(Ordering::SeqCst);
        if self.ring.free() >= MAX_TX_DESCRIPTORS {
            dev.start_queue();
            dev.soft.tx_restart.add(1);
        }
    }

    /// Maps a packet and describes it to the card. Bytes that will be on the wire; `None` if it could not
    /// be mapped, and is gone.
    ///
    /// Mirrors [`e1000_tx_map`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c) and
    /// [`e1000_tx_queue`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    #[inline]
    fn put(&mut self, skb: TxSkb, plan: Plan) -> Option<u32> {
        let mut batch = self.ring.batch();
        let fresh = plan
            .context
            .filter(|c| plan.once || self.context != Some(*c));
        if let Some(context) = fresh {
            let i = batch.push(Slot::default())?;
            self.desc.set(i, context);
        }
        let mut last = describe(&mut batch, &self.desc, plan.flags, skb.map_head(self.dma)?)?;
        for i in 0..skb.fragments() {
            if skb.fragment_len(i) != 0 {
                let map = skb.map_fragment(self.dma, i)?;
                last = describe(&mut batch, &self.desc, plan.flags, map)?;
            }
        }
        let (i, word) = last;
        self.desc.set_second(i, word | CMD_EOP | CMD_RS);
        skb.timestamp();
        let descriptors = batch.len();
        batch.first_mut()?.frame = Some(Frame {
            skb,
            descriptors,
            segs: plan.segs,
            bytes: plan.bytes,
        });
        batch.commit();
        if fresh.is_some() && !plan.once {
            self.context = fresh;
        }
        Some(plan.bytes)
    }
}

/// Describes one mapping, in as many pieces as it needs. The last piece's index and second word.
#[inline]
fn describe(
    batch: &mut Batch<'_, Slot>,
    desc: &Descriptors,
    flags: TxFlags,
    map: Mapping,
) -> Option<(u32, u64)> {
    let (mut addr, mut left) = (map.addr(), map.len());
    let mut map = Some(map);
    loop {
        let len = left.min(MAX_DATA);
        let i = batch.push(Slot {
            map: map.take(),
            frame: None,
        })?;
        let words = flags.data(addr, len);
        desc.set(i, words);
        left = left.wrapping_sub(len);
        if left == 0 {
            return Some((i, words[1]));
        }
        addr = addr.wrapping_add(len as u64);
    }
}

/// What the card has to do for a packet; `None` if it cannot.
#[inline]
fn plan(skb: &mut TxSkb) -> Option<Plan> {
    let mut plan = Plan {
        flags: TxFlags::plain(),
        context: None,
        once: false,
        segs: 1,
        bytes: skb.len() as u32,
    };
    match skb.offload() {
        Offload::None => (),
        Offload::Checksum { start, offset } => {
            plan.flags = plan.flags.checksum();
            plan.context = Some(offload::checksum(start, offset)?.words());
        }
        Offload::Segment {
            mss,
            segs,
            ipv4,
            network,
            transport,
        } => {
            let headers = prepare_segments(skb, ipv4, network, transport)?;
            plan.flags = plan.flags.segment(ipv4);
            let context = offload::segmentation(&Segmented {
                network,
                transport,
                headers,
                len: skb.len(),
                mss,
                ipv4,
            })?;
            plan.context = Some(context.words());
            plan.once = true;
            plan.segs = segs;
            let repeated = u32::from(segs).wrapping_sub(1).wrapping_mul(headers as u32);
            plan.bytes = plan.bytes.wrapping_add(repeated);
        }
    }
    if let Some(tci) = skb.vlan_tag() {
        plan.flags = plan.flags.vlan(tci);
    }
    Some(plan)
}

/// Clears what the card fills in for each segment, and leaves it the part of the checksum that is the same
/// for all. Bytes of headers; `None` if they are not what they should be.
fn prepare_segments(
    skb: &mut TxSkb,
    ipv4: bool,
    network: usize,
    transport: usize,
) -> Option<usize> {
    let fixed = transport.checked_add(20)?;
    let doff = *skb.headers(fixed)?.get(transport.checked_add(12)?)?;
    let headers = transport.checked_add(usize::from(doff >> 4) * 4)?;
    let bytes = skb.headers_mut(headers.max(fixed))?;
    let (ip, tcp) = bytes.split_at_mut_checked(transport)?;
    let ip = ip.get_mut(network..)?;
    let addresses = if ipv4 {
        // Total length and header checksum.
        ip.get_mut(2..4)?.fill(0);
        ip.get_mut(10..12)?.fill(0);
        ip.get(12..20)?
    } else {
        // Payload length.
        ip.get_mut(4..6)?.fill(0);
        ip.get(8..40)?
    };
    const TCP: u8 = 6;
    let sum = offload::pseudo_header(addresses, TCP);
    tcp.get_mut(16..18)?.copy_from_slice(&sum);
    Some(headers)
}

impl Cleaner {
    /// Frees what the card has sent, and lets the queue go on if there is room again. What that was, and
    /// whether all of the ring was looked at.
    ///
    /// Mirrors [`e1000_clean_tx_irq`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    #[inline]
    pub(crate) fn clean(&mut self, dev: &Device<Adapter>, napi: &Napi) -> (Load, bool) {
        let mut load = Load::default();
        let mut frames = 0u32;
        // One turn of the ring: nobody else may wait for longer.
        let mut left = self.size.get();
        while let Some(slot) = self.ring.front() {
            // A frame's first place always has it; whatever stands alone is taken out alone.
            let descriptors = slot.frame.as_ref().map_or(1, |f| f.descriptors);
            let last = self.size.add(self.ring.head(), descriptors.wrapping_sub(1));
            if self.desc.second(last) & TX_DONE == 0 {
                break;
            }
            let Some(rest) = left.checked_sub(descriptors) else {
                return (self.finish(dev, load, frames), false);
            };
            left = rest;
            let mut frame = None;
            for _ in 0..descriptors {
                if let Some(slot) = self.ring.pop() {
                    drop(slot.map);
                    frame = frame.or(slot.frame);
                }
            }
            if let Some(f) = frame {
                f.skb.consume(napi.budget());
                frames = frames.wrapping_add(1);
                load.packets = load.packets.wrapping_add(f.segs.into());
                load.bytes = load.bytes.wrapping_add(f.bytes);
            }
        }
        if frames != 0 {
            load = self.finish(dev, load, frames);
        }
        (load, true)
    }

    fn finish(&self, dev: &Device<Adapter>, load: Load, frames: u32) -> Load {
        dev.soft.tx_packets.add(load.packets.into());
        dev.soft.tx_bytes.add(load.bytes.into());
        dev.completed_queue(frames, load.bytes);
        // Behind it, what the other half did before it stopped the queue is seen: see `Sender::stop`.
        fence(Ordering::SeqCst);
        if dev.queue_stopped() && self.ring.free() >= WAKE && dev.is_running() {
            dev.wake_queue();
            dev.soft.tx_restart.add(1);
        }
        load
    }
}
