// SPDX-License-Identifier: GPL-2.0
//! The table of socket options: what each does on AF_INET and on AF_RUSTNET.
//!
//! It is data, read by two: the cases of the group `options` compare it with the kernel, on either
//! family, and `rustnet-test option-table` prints it for the documentation. So the documentation
//! cannot say what is not so.

mod rst;
mod table;

pub use rst::rst;
pub use table::TABLE;

/// What setting an option returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Success.
    Ok,
    /// This errno.
    Err(i32),
    /// Not tried: there is no harmless value.
    Skip,
}

/// What getting an option returns, after the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Get {
    /// This number.
    Is(i32),
    /// Something.
    Ok,
    /// This errno.
    Err(i32),
}

/// The kind of socket on which the option is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// SOCK_STREAM.
    Tcp,
    /// SOCK_DGRAM.
    Udp,
}

/// How AF_RUSTNET stands to AF_INET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// The same results and the same effect.
    Done,
    /// Refused both ways with this errno.
    Refused(i32),
    /// Other results, for the reason given in the row's remark.
    Differs(Set, Get),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// SOL_SOCKET, IPPROTO_IP or IPPROTO_TCP.
    pub level: i32,
    /// Its number.
    pub number: i32,
    /// Its name.
    pub name: &'static str,
    /// The socket.
    pub on: On,
    /// The value set, in the machine's byte order.
    pub value: &'static [u8],
    /// AF_INET's answers.
    pub set: Set,
    /// AF_INET's answers.
    pub get: Get,
    /// AF_RUSTNET's.
    pub rustnet: Stand,
    /// What a reader should know.
    pub remark: &'static str,
}

impl Row {
    /// What a family is to answer.
    pub fn expected(&self, rustnet: bool) -> (Set, Get) {
        match (rustnet, self.rustnet) {
            (true, Stand::Refused(e)) => (Set::Err(e), Get::Err(e)),
            (true, Stand::Differs(set, get)) => (set, get),
            _ => (self.set, self.get),
        }
    }

    /// The level's name.
    pub fn level_name(&self) -> &'static str {
        match self.level {
            netlab::c::SOL_SOCKET => "SOL_SOCKET",
            netlab::c::IPPROTO_IP => "IPPROTO_IP",
            _ => "IPPROTO_TCP",
        }
    }
}
