// SPDX-License-Identifier: GPL-2.0
//! Socket families, as a parameter.

use std::fmt;
use std::str::FromStr;

/// A socket family, by its number in `<linux/socket.h>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Family(pub i32);

impl Family {
    /// The host's own stack.
    pub const INET: Family = Family(uapi::c::AF_INET);
    /// RustNet's default slot; `include/uapi/linux/rustnet.h` gives the reason for the number.
    pub const RUSTNET: Family = Family(19);

    /// Whether this is RustNet, wherever it was registered: everything that is not `AF_INET`.
    pub fn is_rustnet(self) -> bool {
        self != Family::INET
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Family::INET => f.pad("inet"),
            Family::RUSTNET => f.pad("rustnet"),
            Family(n) => f.pad(&n.to_string()),
        }
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "inet" => Ok(Family::INET),
            "rustnet" => Ok(Family::RUSTNET),
            n => n
                .parse()
                .map(Family)
                .map_err(|_| format!("{n:?} is no family: inet, rustnet or a number")),
        }
    }
}
