// SPDX-License-Identifier: GPL-2.0
//! Nodes of a trie that decide by four bits at once.
//!
//! Only a node whose length is a multiple of four may be wide: then no wide node lies within the
//! stride of another, and prefixes come and go without one having to be taken apart for another.
//!
//! Prefixes that end within the stride, one to three bits behind the node's own, are no slot's. They
//! are a small trie of their own, which a look-up asks on its way: fourteen prefixes at the most, and
//! never a wide node among theirs, for none reaches beyond the stride.
//!
//! Mirrors [`inflate`, `halve`](srctree/net/ipv4/fib_trie.c)

use super::{
    Below,
    Link,
    Node,
    Trie, //
};
use crate::platform::{
    AllocError,
    Arc, //
};
use crate::stack::wire::ipv4::Addr;

/// How many bits a wide node decides by.
pub(super) const BITS: u8 = 4;
const SLOTS: usize = 1 << BITS;
/// The way to the prefixes that end within the stride.
pub(super) const SHORT: usize = SLOTS;
/// With so many ways to go on a node becomes wide: forks for as many take more memory than the slots.
const DENSE: usize = SLOTS / 2;
/// With so few a wide node becomes a narrow one. Less than half of what made it wide, so that a
/// prefix that comes and goes does not change it each time.
const SPARSE: usize = SLOTS / 4;

/// What is below a wide node.
#[derive(Debug)]
pub(super) struct Wide<V> {
    /// Prefixes at least as long as the stride, by the bits of it.
    slots: [Link<V>; SLOTS],
    /// Shorter ones.
    short: Link<V>,
}

impl<V> Wide<V> {
    #[inline]
    pub(super) fn slots(&self) -> &[Link<V>; SLOTS] {
        &self.slots
    }

    #[inline]
    pub(super) fn short(&self) -> &Link<V> {
        &self.short
    }

    pub(super) fn link(&self, way: usize) -> &Link<V> {
        self.slots.get(way).unwrap_or(&self.short)
    }

    /// A copy of this one with another link.
    pub(super) fn with_link(&self, way: usize, link: Link<V>) -> Wide<V> {
        let mut new = Wide {
            slots: self.slots.clone(),
            short: self.short.clone(),
        };
        *new.slots.get_mut(way).unwrap_or(&mut new.short) = link;
        new
    }

    /// The node of the longest prefix that ends within the stride, contains `key` and has a length that `may` be.
    #[inline(never)]
    pub(super) fn longest_short(&self, key: u32, may: impl Fn(u8) -> bool) -> Option<&Node<V>> {
        let mut best = None;
        let mut link = self.short.as_deref();
        while let Some(node) = link.filter(|node| may(node.len)) {
            let Below::Two(child) = &node.below else {
                break;
            };
            let Some(next) = child.get((node.behind(key) >> 31) as usize) else {
                break;
            };
            if node.value.is_some() {
                best = Some(node);
            }
            link = next.as_deref();
        }
        best
    }

    fn is_sparse(&self) -> bool {
        self.slots.iter().flatten().count() <= SPARSE
    }
}

impl<V> Node<V> {
    /// The slot of a wide node in which the prefix is that begins with `key`.
    pub(super) fn slot(&self, key: u32) -> usize {
        (self.behind(key) >> (32 - BITS)) as usize
    }

    /// The first length behind the stride, if the node is or were wide.
    pub(super) const fn end(&self) -> u8 {
        self.len.saturating_add(BITS)
    }

    /// Whether there are but two ways on, and no value.
    pub(super) fn is_fork(&self) -> bool {
        self.value.is_none() && matches!(self.below, Below::Two(_))
    }

    /// Whether the node that decides by one bit should do so by four.
    pub(super) fn is_dense(&self) -> bool {
        if self.len % BITS != 0 {
            return false;
        }
        let mut n = 0;
        for node in Stride::of(self) {
            n += usize::from(node.len >= self.end());
        }
        n >= DENSE
    }
}

impl<V: Clone> Node<V> {
    /// This node, wide or narrow as what is below it asks for.
    ///
    /// The changes are calls of their own, that not each change of a trie takes the stack that they need.
    pub(super) fn settle(self) -> Result<Link<V>, AllocError> {
        match &self.below {
            Below::Wide(wide) if wide.is_sparse() => self.narrowed(wide),
            Below::Two(_) if self.is_dense() => self.widened().and_then(Arc::try_new).map(Some),
            _ => Arc::try_new(self).map(Some),
        }
    }

    /// This node with slots in place of the forks and prefixes within its stride.
    ///
    /// Calls [`Trie::insert`] for the latter, which comes here no more: their trie is never dense.
    #[inline(never)]
    fn widened(&self) -> Result<Node<V>, AllocError> {
        let mut slots = [const { None }; SLOTS];
        let mut short = Trie::default();
        for node in Stride::of(self) {
            if node.len < self.end() {
                if let Some(value) = &node.value {
                    short = short.insert(Addr::from_u32(node.key), node.len, value.clone())?;
                }
            } else if let Some(slot) = slots.get_mut(self.slot(node.key)) {
                *slot = Some(node.clone());
            }
        }
        let wide = Wide {
            slots,
            short: short.root,
        };
        Ok(Node {
            key: self.key,
            len: self.len,
            value: self.value.clone(),
            below: Below::Wide(Arc::try_new(wide)?),
        })
    }

    /// The prefixes of this node as those of one that was never wide.
    ///
    /// Calls [`Trie::insert`], which comes here no more: that trie is neither wide nor dense.
    #[inline(never)]
    fn narrowed(&self, wide: &Wide<V>) -> Result<Link<V>, AllocError> {
        let mut all = Trie {
            root: wide.short.clone(),
        };
        for node in wide.slots.iter().flatten() {
            all = all.graft(node)?;
        }
        if let Some(value) = &self.value {
            all = all.insert(Addr::from_u32(self.key), self.len, value.clone())?;
        }
        Ok(all.root)
    }
}

/// The nodes below one that decides by one bit: those that end within its stride, and the first behind it on each way.
struct Stride<'a, V> {
    /// The first length behind the stride.
    end: u8,
    /// Those to come, the next one last: one beside each of the ways taken, and two of the last.
    todo: [Option<&'a Arc<Node<V>>>; BITS as usize + 1],
    n: usize,
}

impl<'a, V> Stride<'a, V> {
    fn of(node: &'a Node<V>) -> Self {
        let mut stride = Stride {
            end: node.end(),
            todo: [None; BITS as usize + 1],
            n: 0,
        };
        stride.push(node);
        stride
    }

    fn push(&mut self, node: &'a Node<V>) {
        if let Below::Two(child) = &node.below {
            for c in child.iter().rev().flatten() {
                if let Some(slot) = self.todo.get_mut(self.n) {
                    *slot = Some(c);
                    self.n += 1;
                }
            }
        }
    }
}

impl<'a, V> Iterator for Stride<'a, V> {
    type Item = &'a Arc<Node<V>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.n = self.n.checked_sub(1)?;
        let node = self.todo.get_mut(self.n)?.take()?;
        if node.len < self.end {
            self.push(node);
        }
        Some(node)
    }
}
