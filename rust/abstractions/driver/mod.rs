// SPDX-License-Identifier: GPL-2.0
//! What a driver of a network card needs of the kernel, in safe types: the only hand-written `unsafe` of
//! that module.
//!
//! In the order in which a driver meets them: the bus finds the card ([`pci`]), its registers are mapped
//! ([`io`]), descriptors and buffers become visible to it ([`dma`], [`page_pool`]), a device stands for it
//! ([`netdev`], [`ethtool`]), and packets go ([`skb`], [`spsc`]) and come.
//!
//! Who may touch what is not said by locks of the driver's own but by those that the kernel holds when it
//! calls: the transmit lock, NAPI, the RTNL and the address lock each guard one value of the driver, and
//! [`netdev::Driver`] gets it as `&mut` there and only there.

pub(crate) mod dma;
pub(crate) mod ethtool;
pub(crate) mod io;
#[path = "../lock.rs"]
pub(crate) mod lock;
#[path = "../memory.rs"]
pub(crate) mod memory;
pub(crate) mod netdev;
pub(crate) mod page_pool;
pub(crate) mod pci;
pub(crate) mod skb;
pub(crate) mod spsc;
