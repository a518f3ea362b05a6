// SPDX-License-Identifier: GPL-2.0
//! The table of socket options.

/// The table as reStructuredText.
pub fn rst() -> String {
    String::new()
}
