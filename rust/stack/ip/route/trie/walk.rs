// SPDX-License-Identifier: GPL-2.0
//! The prefixes of a trie one after the other.
//!
//! Each is looked up as what follows the one before. That costs a path for each of them and no memory
//! at all: a stack of what is still to be visited would have, below wide nodes, hundreds of entries.

use super::{
    Below,
    Link,
    Node,
    Trie, //
};
use crate::stack::wire::ipv4::Addr;

impl<V> Node<V> {
    /// Prefixes in their order: by addresses and, of one address, by lengths.
    fn order(&self) -> (u32, u8) {
        (self.key, self.len)
    }

    /// The children by address, without those that end within a wide node's stride.
    fn children(&self) -> &[Link<V>] {
        match &self.below {
            Below::Two(child) => child,
            Below::Wide(wide) => wide.slots(),
        }
    }
}

/// The first of the nodes with a value at `from` or behind it.
///
/// Calls itself for what ends within the stride of a wide node. There is no wide node among that.
fn first<'a, V>(link: &'a Link<V>, from: (u32, u8)) -> Option<&'a Node<V>> {
    let mut best: Option<&Node<V>> = None;
    let mut earlier = |node: &'a Node<V>| match best {
        Some(b) if b.order() < node.order() => (),
        _ => best = Some(node),
    };
    let mut link = link;
    // What is beside the way, and behind all that is on it.
    let mut beside = &None;
    while let Some(node) = link.as_ref().or(beside.as_ref()) {
        if link.is_none() {
            beside = &None;
        }
        let comes = node.order() >= from;
        if comes && node.value.is_some() {
            earlier(node);
            break;
        }
        if let Below::Wide(wide) = &node.below {
            if let Some(short) = first(wide.short(), from) {
                earlier(short);
            }
        }
        // A node that comes before the start has it in one of its children, or lies before it as a whole.
        let at = match node.behind(from.0) >> 32 {
            _ if comes => Some(0),
            0 => Some(node.way(from.0, 32)),
            _ => None,
        };
        let mut rest = at
            .and_then(|at| node.children().get(at..))
            .unwrap_or(&[])
            .iter()
            .filter(|c| c.is_some());
        link = rest.next().unwrap_or(&None);
        beside = rest.next().unwrap_or(beside);
    }
    best
}

impl<V> Trie<V> {
    /// Calls `f` with each prefix from `from` on, in the order of addresses and, within one, of
    /// lengths, until it says `false`.
    pub fn walk<'a>(&'a self, from: (Addr, u8), mut f: impl FnMut(Addr, u8, &'a V) -> bool) {
        let mut from = (from.0.to_u32(), from.1);
        while let Some(node) = first(&self.root, from) {
            let Some(value) = &node.value else {
                return;
            };
            if !f(Addr::from_u32(node.key), node.len, value) {
                return;
            }
            from = (node.key, node.len.saturating_add(1));
        }
    }
}
