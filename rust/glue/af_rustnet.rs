// SPDX-License-Identifier: GPL-2.0
//! The family AF_RUSTNET: everything that sockets need, registered and taken back.
//!
//! Mirrors [`af_inet.c`](srctree/net/ipv4/af_inet.c)

use super::{
    inet_sock::{
        self,
        Secrets, //
    },
    inetsw,
    ping::{
        self,
        Ping, //
    },
    ports::{
        PortTable,
        Rules, //
    },
    raw::Raw,
    tcp::{
        self,
        Tcp, //
    },
    tcp_request::HalfOpen,
    tcp_timewait::{
        self,
        TimeWait, //
    },
    udp::{
        self,
        Udp, //
    },
};
use crate::abstractions::{
    ehash::TableGuard,
    inet::buffer_pages,
    minisock::{
        MiniCacheGuard,
        MiniKind, //
    },
    module_cell::Guard,
    proto::{
        ProtoRegistration, //
        Protocol,
    },
    socket::{
        Create,
        Family,
        FamilyRegistration, //
    },
};
use kernel::{
    error::Result,
    ffi::{
        c_int,
        c_long, //
    },
    ThisModule, //
};

/// AF_RUSTNET.
pub(crate) struct Rustnet;

impl Family for Rustnet {
    fn create(new: Create<'_>, ty: u16, protocol: c_int) -> Result {
        inetsw::create(new, ty, protocol)
    }
}

/// What is taken back before the objects that it uses.
struct Purge;

impl Drop for Purge {
    fn drop(&mut self) {
        tcp_timewait::purge(None);
    }
}

/// What sockets are made of, as long as this lives: the protocols, their tables, their ports. The fields
/// stand in the order in which they are taken back.
pub(crate) struct Protocols {
    _purge: Purge,
    _tcp: ProtoRegistration<Tcp>,
    _udp: ProtoRegistration<Udp>,
    _raw: ProtoRegistration<Raw>,
    _ping: ProtoRegistration<Ping>,
    _half_open: MiniCacheGuard,
    _time_wait: MiniCacheGuard,
    _tcp_table: TableGuard,
    _udp_table: TableGuard,
    _raw_table: TableGuard,
    _ping_table: TableGuard,
    _tcp_ports: Guard<PortTable>,
    _udp_ports: Guard<PortTable>,
    _ping_idents: Guard<PortTable>,
    _secrets: Guard<Secrets>,
}

impl Protocols {
    /// Registers the protocols for the family `family`. To be dropped after everything that hands packets
    /// to sockets.
    pub(crate) fn new(family: c_int, module: &'static ThisModule) -> Result<Self> {
        let pages = buffer_pages();
        // As `tcp_init`: a chain for each 128 KiB of memory, within bounds.
        let connected = (pages / 32).clamp(512, 512 * 1024).next_power_of_two();
        let ports = (connected / 2).min(16 * 1024);
        // As `tcp_init_mem`: pressure from a sixteenth of the memory on.
        let limit = (pages / 16).max(128);
        let mem = [limit / 4 * 3, limit, limit / 4 * 6].map(|n| n as c_long);
        let secrets = inet_sock::draw_secrets()?;
        let udp_ports = udp::PORTS.set(PortTable::new(ports, Rules::Udp)?)?;
        let tcp_ports = tcp::PORTS.set(PortTable::new(ports, Rules::Tcp)?)?;
        let ping_idents = ping::IDENTS.set(PortTable::new(256, Rules::Udp)?)?;
        // Few use these, and the connected part of their tables stays empty.
        let ping_table = Ping::table().create(1, 256)?;
        let raw_table = Raw::table().create(1, 256)?;
        let udp_table = Udp::table().create(ports, ports)?;
        let tcp_table = Tcp::table().create(connected, 256)?;
        let time_wait = TimeWait::cache().create()?;
        let half_open = HalfOpen::cache().create()?;
        let ping = Ping::proto().register(family, module, None)?;
        let raw = Raw::proto().register(family, module, None)?;
        let udp = Udp::proto().register(family, module, None)?;
        let tcp = Tcp::proto().register(family, module, Some(mem))?;
        Ok(Protocols {
            _purge: Purge,
            _tcp: tcp,
            _udp: udp,
            _raw: raw,
            _ping: ping,
            _half_open: half_open,
            _time_wait: time_wait,
            _tcp_table: tcp_table,
            _udp_table: udp_table,
            _raw_table: raw_table,
            _ping_table: ping_table,
            _tcp_ports: tcp_ports,
            _udp_ports: udp_ports,
            _ping_idents: ping_idents,
            _secrets: secrets,
        })
    }
}

/// Registers the family: from now on there are sockets, until the result is dropped.
pub(crate) fn register(family: c_int, module: &'static ThisModule) -> Result<FamilyRegistration> {
    FamilyRegistration::new::<Rustnet>(family, module)
}
