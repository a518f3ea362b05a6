// SPDX-License-Identifier: GPL-2.0
//! The network device: what the kernel asks of it, and how it is brought up and down.
//!
//! Up: rings are made, then the card is told of them, then the interrupt is asked for, then NAPI and the
//! queue run. Down: the reverse. Whatever changes the rings (their size, the MTU, a reset) makes new ones
//! first, so that a lack of memory leaves the device as it was.

use crate::abstractions::dma;
use crate::abstractions::io::Register;
use crate::abstractions::netdev::{
    feature,
    Addresses,
    Device,
    Driver,
    Napi,
    Rtnl,
    Stats, //
};
use crate::abstractions::skb::TxSkb;
use crate::eeprom::Eeprom;
use crate::filter;
use crate::hw::{
    Hw,
    LinkState, //
};
use crate::itr::{
    self,
    Load,
    Mode,
    Throttle, //
};
use crate::regs::{
    self,
    Bits,
    Ctrl,
    Fcah,
    Fcal,
    Fcrth,
    Fcrtl,
    Fct,
    Fcttv,
    Ics,
    Imc,
    Itr,
    Pba,
    Rctl,
    Tctl,
    Vet, //
};
use crate::ring::Size;
use crate::stats::{
    self,
    Hard,
    Soft, //
};
use crate::{
    irq,
    rx,
    tx, //
};
use core::ops::RangeInclusive;
use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    AtomicU64,
    Ordering, //
};
use kernel::error::Result;

/// Features that can be switched.
pub(crate) const HW_FEATURES: u64 = feature::SG
    | feature::HW_CSUM
    | feature::TSO
    | feature::TSO6
    | feature::VLAN_RX
    | feature::RXCSUM
    | feature::RXALL
    | feature::RXFCS;
/// Features that are on at first.
pub(crate) const FEATURES: u64 = feature::SG
    | feature::HW_CSUM
    | feature::TSO
    | feature::TSO6
    | feature::VLAN_RX
    | feature::VLAN_TX
    | feature::VLAN_FILTER
    | feature::HIGHDMA;
/// Features of devices of VLANs on top.
pub(crate) const VLAN_FEATURES: u64 = feature::SG | feature::HW_CSUM | feature::TSO | feature::TSO6;

/// Headers around what the MTU counts: Ethernet and a VLAN tag, and the check sequence.
const OVERHEAD: u32 = 14 + 4 + 4;
/// Limits of the MTU, in bytes: what IPv6 needs less than anybody, and the longest frame of the card.
pub(crate) const MTU: RangeInclusive<u32> = 46..=(0x3f00 - 18);
/// Descriptors of a ring at first.
const RING: u32 = 256;
/// Frames up to this many bytes are copied, so that their pages stay in the ring.
const COPYBREAK: u32 = 256;

/// The driver's shared part of a device.
pub(crate) struct Adapter {
    pub(crate) hw: Hw,
    pub(crate) dma: dma::Device,
    pub(crate) soft: Soft,
    hard: Hard,
    irq: u32,
    running: AtomicBool,
    /// Mbit/s, and in the highest bit full duplex; 0 for no link.
    link: AtomicU32,
    /// What stands in `RCTL` beside the filters; [`Rctl::OFF`] while the card does not receive.
    rctl: AtomicU32,
    features: AtomicU64,
    /// How many VLANs there are.
    vlans: AtomicU32,
    copybreak: AtomicU32,
}

/// What the RTNL guards.
pub(crate) struct Admin {
    pub(crate) eeprom: Eeprom,
    pub(crate) rx: Size,
    pub(crate) tx: Size,
    pub(crate) mode: Mode,
    vlans: [u32; filter::VLAN_WORDS],
}

/// What NAPI's poll function has.
pub(crate) struct Poll {
    tx: tx::Cleaner,
    rx: rx::Ring,
    throttle: Throttle,
}

impl Admin {
    /// As a card is at first.
    pub(crate) fn new(eeprom: Eeprom) -> Self {
        Admin {
            eeprom,
            rx: Size::rounded(RING),
            tx: Size::rounded(RING),
            mode: Mode::Conservative,
            vlans: [0; filter::VLAN_WORDS],
        }
    }
}

impl Adapter {
    /// A card that is reset.
    pub(crate) fn new(hw: Hw, dma: dma::Device, irq: u32) -> Result<Self> {
        Ok(Adapter {
            hw,
            dma,
            soft: Soft::default(),
            hard: Hard::default(),
            irq,
            running: AtomicBool::new(false),
            link: AtomicU32::new(0),
            rctl: AtomicU32::new(Rctl::OFF.bits()),
            features: AtomicU64::new(FEATURES),
            vlans: AtomicU32::new(0),
            copybreak: AtomicU32::new(COPYBREAK),
        })
    }

    /// Whether the card is to work.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// The link as it was last seen.
    #[inline]
    pub(crate) fn link_state(&self) -> Option<LinkState> {
        let bits = self.link.load(Ordering::Relaxed);
        (bits != 0).then_some(LinkState {
            speed: bits & !(1 << 31),
            full: bits & (1 << 31) != 0,
        })
    }

    /// The link is as this says; by the watchdog.
    pub(crate) fn set_link_state(&self, link: Option<LinkState>) {
        let bits = link.map_or(0, |l| l.speed | u32::from(l.full) << 31);
        self.link.store(bits, Ordering::Relaxed);
    }

    #[inline]
    fn feature(&self, bits: u64) -> bool {
        self.features.load(Ordering::Relaxed) & bits != 0
    }

    /// Whether the card's verdict on checksums is wanted.
    #[inline]
    pub(crate) fn wants_checksum(&self) -> bool {
        self.feature(feature::RXCSUM)
    }

    /// Whether damaged frames are wanted.
    #[inline]
    pub(crate) fn keeps_bad(&self) -> bool {
        self.feature(feature::RXALL)
    }

    /// Frames up to this many bytes are copied.
    #[inline]
    pub(crate) fn copybreak(&self) -> usize {
        self.copybreak.load(Ordering::Relaxed) as usize
    }

    /// Sets it.
    pub(crate) fn set_copybreak(&self, bytes: u32) {
        // A page must take what is not copied, and the copy what is.
        let most = rx::BUFFER as u32;
        self.copybreak.store(bytes.min(most), Ordering::Relaxed);
    }

    /// Adds up what the card has counted.
    pub(crate) fn gather(&self) {
        self.hard.gather(&self.hw);
    }

    /// The driver's counters for `ethtool -S`.
    pub(crate) fn counters(&self, put: &mut dyn FnMut(u64)) {
        self.gather();
        stats::ethtool(&self.soft, &self.hard, put);
    }
}

/// What a running device has.
type Rings = (tx::Sender, Poll);

/// Makes rings of the sizes that are wanted.
fn make(ctx: &mut Rtnl<'_, Adapter>, rx: Size, tx: Size, mtu: u32) -> Result<Rings> {
    let mode = ctx.admin().mode;
    let (sender, cleaner) = tx::ring(ctx.dma, tx)?;
    let poll = Poll {
        tx: cleaner,
        rx: rx::Ring::new(ctx, rx, is_jumbo(mtu))?,
        throttle: Throttle::new(mode),
    };
    Ok((sender, poll))
}

fn is_jumbo(mtu: u32) -> bool {
    mtu > 1500
}

/// Brings the device up: rings, interrupt, card.
pub(crate) fn bring_up(ctx: &mut Rtnl<'_, Adapter>) -> Result {
    let (rx, tx, mtu) = (ctx.admin().rx, ctx.admin().tx, ctx.mtu());
    let rings = make(ctx, rx, tx, mtu).inspect_err(|e| {
        kernel::dev_err!(
            ctx.parent(),
            "{}: no memory for the rings ({e:?}): make them smaller by ethtool -G\n",
            **ctx
        );
    })?;
    ctx.hw.power_phy(true);
    let irq = ctx.irq;
    ctx.request_irq(irq).inspect_err(|e| {
        kernel::dev_err!(
            ctx.parent(),
            "{}: no interrupt {irq} ({e:?}): see /proc/interrupts for who has it\n",
            **ctx
        );
    })?;
    run(ctx, rings, mtu);
    Ok(())
}

/// Configures the card and lets it work on `rings`.
///
/// Mirrors [`e1000_configure`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c) and
/// [`e1000_up`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
fn run(ctx: &mut Rtnl<'_, Adapter>, rings: Rings, mtu: u32) {
    let (sender, poll) = rings;
    let jumbo = is_jumbo(mtu);
    configure(ctx, mtu);
    sender.configure(ctx);
    poll.rx.configure(ctx);
    ctx.hw
        .write(Itr::from_bits(itr::interval(poll.throttle.rate())));

    let mut rctl = Rctl::EN | Rctl::BAM;
    if jumbo {
        rctl = rctl | Rctl::LPE;
    }
    if ctx.feature(feature::RXALL) {
        rctl = rctl | Rctl::SBP;
    }
    if !ctx.feature(feature::RXFCS) {
        rctl = rctl | Rctl::SECRC;
    }
    ctx.rctl.store(rctl.bits(), Ordering::Relaxed);
    ctx.refresh_rx_mode();
    // The card may write from here on, to buffers that it has; nobody looks before NAPI runs.
    poll.rx.ring_doorbell(ctx);

    ctx.running.store(true, Ordering::Relaxed);
    ctx.start(sender, poll);
    ctx.wake_queue();
    irq::enable(ctx);
    // The watchdog looks for the link as after any change of it.
    ctx.hw.write(Ics::LSC);
}

/// Sets what a reset has cleared and what does not depend on the rings.
///
/// Mirrors [`e1000_reset`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
fn configure(ctx: &mut Rtnl<'_, Adapter>, mtu: u32) {
    let frame = mtu.wrapping_add(OVERHEAD);
    let (pba, kib) = if frame > 8192 {
        (Pba::RX_40K, 40)
    } else {
        (Pba::RX_48K, 48)
    };
    let hw = &ctx.hw;
    hw.write(pba);
    // Pause frames (IEEE 802.3x): sent while less room is left than a frame needs, or a tenth.
    let room: u32 = kib << 10;
    let high = (room / 10).max(frame).min(room);
    let high = room.wrapping_sub(high) & !7;
    hw.write(Fcal::from_bits(0x00c2_8001));
    hw.write(Fcah::from_bits(0x0000_0100));
    hw.write(Fct::from_bits(0x8808));
    hw.write(Fcttv::from_bits(0xffff));
    hw.write(Fcrtl::from_bits(high.wrapping_sub(8) | 1 << 31));
    hw.write(Fcrth::from_bits(high));
    hw.write(Vet::DOT1Q);
    hw.setup_link();
    set_vlan_stripping(ctx);
    for (i, word) in ctx.admin().vlans.into_iter().enumerate() {
        ctx.hw.write_at(regs::vlan(i), word);
    }
}

fn set_vlan_stripping(dev: &Adapter) {
    // The bit also lets transmit descriptors insert tags; the card has no other for that. Without it the
    // stack inserts them itself: see `fix_features`.
    let ctrl = dev.hw.read::<Ctrl>();
    dev.hw.write(if dev.feature(feature::VLAN_RX) {
        ctrl | Ctrl::VME
    } else {
        ctrl.without(Ctrl::VME)
    });
}

/// Stops the card and takes it everything it had. `None` if it did not run.
///
/// Mirrors [`e1000_down`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
pub(crate) fn down(ctx: &mut Rtnl<'_, Adapter>) {
    if !ctx.is_running() {
        return;
    }
    ctx.running.store(false, Ordering::Relaxed);
    ctx.rctl.store(Rctl::OFF.bits(), Ordering::Relaxed);
    ctx.refresh_rx_mode();
    let rings = ctx.stop();
    ctx.hw.write(Tctl::OFF | Tctl::PSP);
    ctx.hw.write(Imc::ALL);
    ctx.hw.flush();
    ctx.synchronize_irq();
    ctx.cancel_watchdog();
    ctx.carrier_off();
    ctx.set_link_state(None);
    ctx.gather();
    // Only when the card has come to rest may what it reads and writes be freed.
    ctx.hw.reset();
    drop(rings);
}

/// Starts the device anew with other rings, if it runs. On an error nothing has changed.
pub(crate) fn restart(ctx: &mut Rtnl<'_, Adapter>, rx: Size, tx: Size, mtu: u32) -> Result {
    if !Rtnl::is_running(ctx) {
        return Ok(());
    }
    let rings = make(ctx, rx, tx, mtu)?;
    down(ctx);
    run(ctx, rings, mtu);
    Ok(())
}

/// Starts the device anew as it is.
pub(crate) fn restart_same(ctx: &mut Rtnl<'_, Adapter>) -> Result {
    let (rx, tx, mtu) = (ctx.admin().rx, ctx.admin().tx, ctx.mtu());
    restart(ctx, rx, tx, mtu)
}

impl Driver for Adapter {
    type Xmit = tx::Sender;
    type Poll = Poll;
    type Admin = Admin;

    fn open(ctx: &mut Rtnl<'_, Self>) -> Result {
        ctx.carrier_off();
        bring_up(ctx)
    }

    fn stop(ctx: &mut Rtnl<'_, Self>) {
        down(ctx);
        ctx.free_irq();
        ctx.hw.power_phy(false);
    }

    #[inline]
    fn xmit(
        dev: &Device<Self>,
        queue: &mut tx::Sender,
        skb: TxSkb,
        more: bool,
    ) -> Result<(), TxSkb> {
        queue.xmit(dev, skb, more)
    }

    #[inline]
    fn poll(dev: &Device<Self>, queue: &mut Poll, napi: &Napi) -> (i32, bool) {
        let (sent, all) = queue.tx.clean(dev, napi);
        let (received, work) = queue.rx.clean(dev, napi);
        let more = !all || work >= napi.budget().max(1);
        if !more {
            throttle(dev, &mut queue.throttle, sent, received);
        }
        (work, more)
    }

    #[inline]
    fn poll_done(dev: &Device<Self>) {
        if Adapter::is_running(dev) {
            irq::enable(dev);
        }
    }

    #[inline]
    fn interrupt(dev: &Device<Self>) -> bool {
        irq::interrupt(dev)
    }

    /// Mirrors [`e1000_set_rx_mode`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    fn set_rx_mode(dev: &Device<Self>, addresses: &Addresses<'_>) {
        let mut rctl = Rctl::from_bits(dev.rctl.load(Ordering::Relaxed)).without(Rctl::FILTER);
        let all = addresses.promiscuous();
        if rctl.is_clear() {
            // Not a filter's business: the card is to be deaf.
            dev.hw.write(Rctl::OFF);
            return;
        }
        // Unicast addresses have to be exact, multicast ones may be hashed.
        let exact = !all && addresses.unicast_count() < filter::EXACT;
        if !exact {
            rctl = rctl | Rctl::UPE;
        }
        if all || addresses.all_multicast() {
            rctl = rctl | Rctl::MPE;
        }
        if !all && dev.vlans.load(Ordering::Relaxed) != 0 {
            rctl = rctl | Rctl::VFE;
        }
        // Only if it changes: an emulated card is deaf for a second after it.
        if dev.hw.read::<Rctl>() != rctl {
            dev.hw.write(rctl);
        }

        let mut i = 0;
        let mut put = |addr| {
            let ((low, high), (a, b)) = (regs::exact(i), filter::exact(addr));
            dev.hw.write_at(low, a);
            dev.hw.write_at(high, b);
            i += 1;
            i < filter::EXACT
        };
        let mut room = put(dev.addr());
        if exact {
            addresses.unicast(|addr| room = room && put(addr));
        }
        let mut hashes = [0; filter::MULTICAST_WORDS];
        addresses.multicast(|addr| {
            if room {
                room = put(addr);
            } else {
                let (word, bit) = filter::multicast(addr);
                if let Some(w) = hashes.get_mut(word) {
                    *w |= bit;
                }
            }
        });
        for i in i..filter::EXACT {
            let (low, high) = regs::exact(i);
            dev.hw.write_at(high, 0);
            dev.hw.write_at(low, 0);
        }
        // Backwards, for the 82544 writes the word in front of an odd one, too.
        for (i, word) in hashes.into_iter().enumerate().rev() {
            dev.hw.write_at(regs::multicast(i), word);
        }
        dev.hw.flush();
    }

    fn address_changed(ctx: &mut Rtnl<'_, Self>) {
        ctx.refresh_rx_mode();
    }

    fn change_mtu(ctx: &mut Rtnl<'_, Self>, mtu: u32) -> Result {
        let (rx, tx) = (ctx.admin().rx, ctx.admin().tx);
        restart(ctx, rx, tx, mtu)?;
        ctx.set_mtu(mtu);
        Ok(())
    }

    /// Mirrors [`e1000_fix_features`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    fn fix_features(features: u64) -> u64 {
        // One bit of the card switches both.
        if features & feature::VLAN_RX != 0 {
            features | feature::VLAN_TX
        } else {
            features & !feature::VLAN_TX
        }
    }

    /// Mirrors [`e1000_set_features`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    fn set_features(ctx: &mut Rtnl<'_, Self>, features: u64) -> Result {
        let old = ctx.features.swap(features, Ordering::Relaxed);
        let changed = old ^ features;
        if changed & feature::VLAN_RX != 0 {
            set_vlan_stripping(ctx);
        }
        if changed & (feature::RXCSUM | feature::RXALL | feature::RXFCS) != 0 {
            restart_same(ctx).inspect_err(|_| ctx.features.store(old, Ordering::Relaxed))?;
        }
        Ok(())
    }

    fn set_vlan(ctx: &mut Rtnl<'_, Self>, id: u16, on: bool) {
        let (word, bit) = filter::vlan(id);
        let vlans = &mut ctx.admin().vlans;
        let Some(w) = vlans.get_mut(word) else {
            return;
        };
        *w = if on { *w | bit } else { *w & !bit };
        let value = *w;
        let count = vlans
            .iter()
            .fold(0u32, |n, w| n.wrapping_add(w.count_ones()));
        ctx.vlans.store(count, Ordering::Relaxed);
        ctx.hw.write_at(regs::vlan(word), value);
        ctx.refresh_rx_mode();
    }

    fn tx_timeout(dev: &Device<Self>) {
        dev.soft.tx_timeouts.add(1);
        dev.schedule_reset();
    }

    fn stats(dev: &Device<Self>) -> Stats {
        stats::link(&dev.soft, &dev.hard)
    }

    fn watchdog(dev: &Device<Self>) {
        irq::watchdog(dev);
    }

    fn reset(ctx: &mut Rtnl<'_, Self>) {
        kernel::dev_info!(ctx.parent(), "{}: reset\n", **ctx);
        if let Err(e) = restart_same(ctx) {
            kernel::dev_err!(
                ctx.parent(),
                "{}: no memory for a reset ({e:?}): bring the device down and up\n",
                **ctx
            );
        }
    }
}

/// Adapts the rate of interrupts to what the last interval brought.
#[inline]
fn throttle(dev: &Adapter, throttle: &mut Throttle, sent: Load, received: Load) {
    let gigabit = dev.link_state().is_some_and(|l| l.speed == 1000);
    if let Some(rate) = throttle.update(sent, received, gigabit) {
        dev.hw.write(Itr::from_bits(itr::interval(rate)));
    }
}
