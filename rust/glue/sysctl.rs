// SPDX-License-Identifier: GPL-2.0
//! `net.rustnet.mode`: who owns the packets of a namespace.

use super::net::{
    Mode,
    State, //
};
use crate::abstractions::sysctl::{
    self,
    Word, //
};
use kernel::error::{
    code::EINVAL,
    Result, //
};

/// The file of a namespace.
pub(crate) type Registration = sysctl::Registration<State>;

/// Makes `/proc/sys/net/rustnet/mode`.
pub(crate) fn register(state: &'static State) -> Result<Registration> {
    Registration::new(state.net, c"net/rustnet", c"mode", state)
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
