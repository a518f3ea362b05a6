// SPDX-License-Identifier: GPL-2.0
//! `net.rustnet.mode`: who owns the packets of a namespace. `net.rustnet.ip_local_port_range`: the ports
//! that are picked in `coexist`.

use super::net::{
    Mode,
    State, //
};
use crate::abstractions::sysctl::{
    self,
    Ports,
    Word, //
};
use crate::stack::socket::ports::PortRange;
use kernel::error::{
    code::EINVAL,
    Result, //
};

/// The files of a namespace.
pub(crate) struct Registration {
    _mode: sysctl::Registration<State>,
    _ports: sysctl::Registration<State>,
}

/// Makes `/proc/sys/net/rustnet/…`.
pub(crate) fn register(state: &'static State) -> Result<Registration> {
    let dir = c"net/rustnet";
    Ok(Registration {
        _mode: sysctl::Registration::word(state.net, dir, c"mode", state)?,
        _ports: sysctl::Registration::ports(state.net, dir, c"ip_local_port_range", state)?,
    })
}

impl Ports for State {
    fn get(&self) -> (u16, u16) {
        let range = self.port_range();
        (range.low, range.high)
    }

    fn set(&self, low: u16, high: u16) -> Result {
        self.set_port_range(PortRange { low, high });
        Ok(())
    }
}

impl Word for State {
    fn get(&self) -> &'static str {
        match self.mode() {
            Mode::Coexist => "coexist",
            Mode::Replace => "replace",
        }
    }

    fn set(&self, word: &str) -> Result {
        self.set_mode(match word {
            "coexist" | "0" => Mode::Coexist,
            "replace" | "1" => Mode::Replace,
            _ => return Err(EINVAL),
        })
    }
}
