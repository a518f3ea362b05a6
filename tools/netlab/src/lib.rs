// SPDX-License-Identifier: GPL-2.0
//! The laboratory: everything that the test, bench and demonstration programs share.
//!
//! Outside in, in the order in which a program meets it:
//!
//! * [`ktap`] says what happened, in the format that the kernel's own selftests use;
//! * [`ns`] and [`lab`] make network namespaces and the links between them;
//! * [`family`] and [`sock`] give a socket of any family with the calls spelled as in the manual pages;
//! * [`wait`] bounds every wait by a deadline;
//! * [`frame`] and [`tap`] write and read raw Ethernet frames;
//! * [`payload`] makes data that can be checked at the far end;
//! * [`tcpinfo`] and [`kstate`] read what the kernel says about itself;
//! * [`module`] loads and unloads `rustnet.ko`, [`card`] chooses the drivers of e1000s, [`monitor`] speaks to
//!   QEMU.
//!
//! Nothing here is specific to RustNet: the family is always a parameter, so that every program can
//! be proven on `AF_INET` first.

pub mod card;
pub mod family;
pub mod frame;
pub mod kstate;
pub mod ktap;
pub mod lab;
pub mod module;
pub mod monitor;
pub mod ns;
pub mod payload;
pub mod rtnl;
pub mod sock;
pub mod tap;
pub mod tcpinfo;
pub mod wait;

pub use family::Family;
pub use sock::Sock;
pub use uapi::c;
pub use uapi::Errno;
