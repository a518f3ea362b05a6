// SPDX-License-Identifier: GPL-2.0
//! Options of a run: the same names on the command line and at the head of a script, where the command
//! line wins.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use clap::Args;
use clap::Parser;

use crate::net::Addresses;
use crate::script::Script;
use crate::script::Usec;

/// Options that a script may hold too.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// Only `ipv4` can be run; a script that asks for another is skipped.
    #[arg(long = "ip_version", value_name = "VERSION")]
    pub ip_version: Option<String>,
    /// Address of the stack under test [default: 192.168.0.1].
    #[arg(long = "local_ip", value_name = "ADDRESS")]
    pub local_ip: Option<Ipv4Addr>,
    /// What leads to the remote host [default: the local address].
    #[arg(long = "gateway_ip", value_name = "ADDRESS")]
    pub gateway_ip: Option<Ipv4Addr>,
    /// Mask of the local network [default: 255.255.0.0].
    #[arg(long = "netmask_ip", value_name = "MASK")]
    pub netmask_ip: Option<Ipv4Addr>,
    /// Address of the host that is played [default: 192.0.2.1].
    #[arg(long = "remote_ip", value_name = "ADDRESS")]
    pub remote_ip: Option<Ipv4Addr>,
    /// Port for bind() [default: 8080].
    #[arg(long = "bind_port", value_name = "PORT")]
    pub bind_port: Option<u16>,
    /// Port for connect() [default: 8080].
    #[arg(long = "connect_port", value_name = "PORT")]
    pub connect_port: Option<u16>,
    /// Largest packet of the device.
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,
    /// Segment size of injected packets that are longer: they come in as receive offload makes them.
    #[arg(long, value_name = "BYTES")]
    pub mss: Option<u16>,
    /// By how much times may be wrong [default: 4000].
    #[arg(long = "tolerance_usecs", value_name = "MICROSECONDS")]
    pub tolerance_usecs: Option<u32>,
    /// Unit of outbound TS values: they are only compared if it is given.
    #[arg(long = "tcp_ts_tick_usecs", value_name = "MICROSECONDS")]
    pub tcp_ts_tick_usecs: Option<u32>,
    /// Injected packets may echo timestamps that were never expected.
    #[arg(long = "tcp_ts_ecr_scaled")]
    pub tcp_ts_ecr_scaled: bool,
    /// Expected packets must be sent as they are, not in several segments.
    #[arg(long = "strict_segments")]
    pub strict_segments: bool,
    /// Buffers that were sent are not used again.
    #[arg(long = "send_omit_free")]
    pub send_omit_free: bool,
}

/// The options at the head of a script.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Head {
    #[command(flatten)]
    settings: Settings,
}

impl Settings {
    /// What holds for a script.
    pub fn with_script(&self, script: &Script) -> Result<Settings> {
        let lines = script.options.iter().map(|(name, value)| match value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        });
        let head = Head::try_parse_from(lines).context("an option of the script")?;
        let theirs = head.settings;
        Ok(Settings {
            ip_version: self.ip_version.clone().or(theirs.ip_version),
            local_ip: self.local_ip.or(theirs.local_ip),
            gateway_ip: self.gateway_ip.or(theirs.gateway_ip),
            netmask_ip: self.netmask_ip.or(theirs.netmask_ip),
            remote_ip: self.remote_ip.or(theirs.remote_ip),
            bind_port: self.bind_port.or(theirs.bind_port),
            connect_port: self.connect_port.or(theirs.connect_port),
            mtu: self.mtu.or(theirs.mtu),
            mss: self.mss.or(theirs.mss),
            tolerance_usecs: self.tolerance_usecs.or(theirs.tolerance_usecs),
            tcp_ts_tick_usecs: self.tcp_ts_tick_usecs.or(theirs.tcp_ts_tick_usecs),
            tcp_ts_ecr_scaled: self.tcp_ts_ecr_scaled || theirs.tcp_ts_ecr_scaled,
            strict_segments: self.strict_segments || theirs.strict_segments,
            send_omit_free: self.send_omit_free || theirs.send_omit_free,
        })
    }

    /// The IP version if a script asks for one that is not IPv4.
    pub fn foreign_version(script: &Script) -> Option<&str> {
        let (_, version) = script
            .options
            .iter()
            .find(|(name, _)| name == "ip_version")?;
        version.as_deref().filter(|v| *v != "ipv4")
    }

    /// Addresses of both hosts.
    pub fn addresses(&self) -> Result<Addresses> {
        let local = self.local_ip.unwrap_or(Ipv4Addr::new(192, 168, 0, 1));
        let mask = self.netmask_ip.unwrap_or(Ipv4Addr::new(255, 255, 0, 0));
        let prefix = u32::from(mask).leading_ones();
        if u32::from(mask).count_ones() != prefix {
            bail!("{mask} is no network mask");
        }
        Ok(Addresses {
            local,
            prefix: prefix as u8,
            gateway: self.gateway_ip.unwrap_or(local),
            remote: self.remote_ip.unwrap_or(Ipv4Addr::new(192, 0, 2, 1)),
        })
    }

    /// By how much times may be wrong.
    pub fn tolerance(&self) -> Usec {
        self.tolerance_usecs.unwrap_or(4000).into()
    }
}

/// Words that have a value in every run; a `-D` of the same name wins. The cookies are those of the key
/// that `defaults.sh` sets, for the default addresses.
const DEFINES: [(&str, &str); 4] = [
    ("TFO_COOKIE", "3021b9d889017eeb"),
    ("TFO_COOKIE_ZERO", "b7c12350a90dc8f5"),
    ("CMSG_LEVEL_IP", "SOL_IP"),
    ("CMSG_TYPE_RECVERR", "IP_RECVERR"),
];

/// All words with a value.
pub fn defines(given: &[String]) -> Result<HashMap<String, String>> {
    let mut all: HashMap<String, String> = DEFINES
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    for define in given {
        let Some((name, value)) = define.split_once('=') else {
            bail!("-D {define}: NAME=VALUE expected");
        };
        all.insert(name.to_string(), value.to_string());
    }
    Ok(all)
}
