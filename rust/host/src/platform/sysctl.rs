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
        }

        impl Default for Sysctl {
            fn default() -> Self {
                Sysctl {
                    $($name: $default,)*
                }
            }
        }

        impl Sysctl {
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
