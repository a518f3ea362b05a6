// SPDX-License-Identifier: GPL-2.0
//! The settings of a namespace: Linux's defaults, which a test may change.

use crate::stack::{
    sysctl::{
        sysctl_value,
        sysctls, //
    },
    time::Duration, //
};

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $kind:ident = $default:expr, $($field:ident).+;)*) => {
        /// The settings of a namespace (`struct netns_ipv4`).
        #[derive(Clone, Debug)]
        pub struct Sysctl {
            $($(#[$doc])* pub $name: sysctl_value!($kind),)*
            /// The congestion control of new sockets.
            pub tcp_congestion_control: &'static str,
        }

        impl Default for Sysctl {
            fn default() -> Self {
                Sysctl {
                    $($name: $default,)*
                    tcp_congestion_control: "cubic",
                }
            }
        }

        impl Sysctl {
            /// The name of new sockets' congestion control, filled up with zeroes.
            pub fn tcp_congestion_control(&self) -> [u8; 16] {
                let mut name = [0; 16];
                for (to, from) in name.iter_mut().zip(self.tcp_congestion_control.bytes()) {
                    *to = from;
                }
                name
            }

            /// The largest receive buffer that a user may ask for (`net.core.rmem_max`), in bytes.
            pub fn rmem_max(&self) -> u32 {
                4 << 20
            }

            $(
                $(#[$doc])*
                pub fn $name(&self) -> sysctl_value!($kind) {
                    self.$name
                }
            )*
        }
    };
}

sysctls!(settings);
