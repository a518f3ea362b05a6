// SPDX-License-Identifier: GPL-2.0
//! A path-compressed binary trie of IPv4 prefixes that never changes: a change makes a new trie that
//! shares all but the path to the change with the old one.
//!
//! So a reader that holds one version walks it without a lock and without a retry, and a writer costs
//! as many small allocations as the prefix has ancestors: 32 at the most, about log2 of the number of
//! prefixes as a rule. Nothing is changed when one of them fails.
//!
//! Linux's trie is level-compressed and changed in place; `fib_lookup`'s words "longest prefix" are
//! all that both have in common.
//!
//! Mirrors [`fib_find_node`, `fib_insert_node`](srctree/net/ipv4/fib_trie.c)

use crate::platform::{
    AllocError,
    Arc, //
};
use crate::stack::wire::ipv4::Addr;

/// The most nodes on a way from the root: one for each prefix length.
const DEPTH: usize = 33;

/// A prefix with a value, or a place where two ways part.
#[derive(Debug)]
struct Node<V> {
    /// The address bits; those behind `len` are zero.
    key: u32,
    /// Bits of the prefix: 0 to 32.
    len: u8,
    value: Option<V>,
    /// The longer prefixes, by the bit behind this one.
    child: [Link<V>; 2],
}

type Link<V> = Option<Arc<Node<V>>>;

/// One version of a set of prefixes.
#[derive(Debug)]
pub struct Trie<V> {
    root: Link<V>,
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Trie { root: None }
    }
}

impl<V> Clone for Trie<V> {
    fn clone(&self) -> Self {
        Trie {
            root: self.root.clone(),
        }
    }
}

/// The bit of `key` behind a prefix of `len` bits, as an index; 0 for the longest prefix.
#[inline]
const fn bit(key: u32, len: u8) -> bool {
    len < 32 && key & (0x8000_0000 >> len) != 0
}

/// How many leading bits two prefixes have in common.
#[inline]
fn common(a: u32, a_len: u8, b: u32, b_len: u8) -> u8 {
    // At most 32: fits.
    ((a ^ b).leading_zeros() as u8).min(a_len).min(b_len)
}

impl<V> Node<V> {
    /// Whether the prefix `key`/`len` lies within this node's.
    #[inline]
    fn covers(&self, key: u32, len: u8) -> bool {
        self.len <= len && self.contains(key)
    }

    /// Whether the address `key` lies within this node's prefix.
    #[inline]
    fn contains(&self, key: u32) -> bool {
        // 64 bits, for a length of 0 shifts everything out.
        let differs = u64::from(key ^ self.key);
        differs.wrapping_shr(32u32.wrapping_sub(self.len.into())) == 0
    }

    #[inline]
    fn child(&self, right: bool) -> &Link<V> {
        let [l, r] = &self.child;
        if right {
            r
        } else {
            l
        }
    }
}

impl<V: Clone> Node<V> {
    /// A copy of this node with another child.
    fn with_child(&self, right: bool, child: Link<V>) -> Result<Arc<Node<V>>, AllocError> {
        let [l, r] = &self.child;
        Arc::try_new(Node {
            key: self.key,
            len: self.len,
            value: self.value.clone(),
            child: if right {
                [l.clone(), child]
            } else {
                [child, r.clone()]
            },
        })
    }
}

/// The ancestors of a prefix, from the root down.
struct Path<'a, V> {
    nodes: [Option<(&'a Node<V>, bool)>; DEPTH],
    depth: usize,
}

impl<'a, V: Clone> Path<'a, V> {
    const fn new() -> Self {
        Path {
            nodes: [None; DEPTH],
            depth: 0,
        }
    }

    fn push(&mut self, node: &'a Node<V>, right: bool) {
        // Lengths grow along the way, so it has 33 nodes at the most.
        if let Some(slot) = self.nodes.get_mut(self.depth) {
            *slot = Some((node, right));
            self.depth += 1;
        }
    }

    fn pop(&mut self) -> Option<(&'a Node<V>, bool)> {
        self.depth = self.depth.checked_sub(1)?;
        self.nodes.get_mut(self.depth)?.take()
    }

    /// A trie in which `link` hangs where the way ends.
    fn rebuild(mut self, link: Link<V>) -> Result<Trie<V>, AllocError> {
        let mut link = link;
        while let Some((node, right)) = self.pop() {
            link = Some(node.with_child(right, link)?);
        }
        Ok(Trie { root: link })
    }
}

impl<V> Trie<V> {
    /// Whether there is no prefix.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The value of exactly this prefix.
    pub fn get(&self, prefix: Addr, len: u8) -> Option<&V> {
        let key = prefix.to_u32() & Addr::mask(len);
        let mut link = &self.root;
        while let Some(node) = link {
            if !node.covers(key, len) {
                return None;
            }
            if node.len == len {
                return node.value.as_ref();
            }
            link = node.child(bit(key, node.len));
        }
        None
    }

    /// The longest prefix of at most `max_len` bits that contains `addr`, and its value.
    ///
    /// Mirrors [`fib_table_lookup`](srctree/net/ipv4/fib_trie.c)
    #[inline]
    pub fn longest(&self, addr: Addr, max_len: u8) -> Option<(u8, &V)> {
        let key = addr.to_u32();
        let mut best = None;
        let mut link = &self.root;
        while let Some(node) = link {
            if node.len > max_len || !node.contains(key) {
                break;
            }
            if let Some(value) = &node.value {
                best = Some((node.len, value));
            }
            // There is nothing below the longest prefix.
            link = node.child(bit(key, node.len));
        }
        best
    }

    /// Calls `f` with each prefix from `from` on, in the order of addresses and, within one, of
    /// lengths, until it says `false`.
    pub fn walk<'a>(&'a self, from: (Addr, u8), mut f: impl FnMut(Addr, u8, &'a V) -> bool) {
        let start = (from.0.to_u32(), from.1);
        // Nodes still to be visited, the next one last: one for each length, and one.
        let mut todo: [Option<&'a Node<V>>; DEPTH + 1] = [None; DEPTH + 1];
        let mut n = 0;
        let push = |todo: &mut [Option<&'a Node<V>>; DEPTH + 1], n: &mut usize, l: &'a Link<V>| {
            if let (Some(node), Some(slot)) = (l, todo.get_mut(*n)) {
                // Everything below a node lies within its prefix: skip what ends before the start.
                if node.key | !Addr::mask(node.len) >= start.0 {
                    *slot = Some(&**node);
                    *n += 1;
                }
            }
        };
        push(&mut todo, &mut n, &self.root);
        while let Some(i) = n.checked_sub(1) {
            n = i;
            let Some(node) = todo.get_mut(i).and_then(Option::take) else {
                return;
            };
            if (node.key, node.len) >= start {
                if let Some(value) = &node.value {
                    if !f(Addr::from_u32(node.key), node.len, value) {
                        return;
                    }
                }
            }
            push(&mut todo, &mut n, node.child(true));
            push(&mut todo, &mut n, node.child(false));
        }
    }
}

impl<V: Clone> Trie<V> {
    /// A trie in which the prefix has the value `value`, whether it had one before or not.
    ///
    /// Mirrors [`fib_insert_node`](srctree/net/ipv4/fib_trie.c)
    pub fn insert(&self, prefix: Addr, len: u8, value: V) -> Result<Trie<V>, AllocError> {
        let len = len.min(32);
        let key = prefix.to_u32() & Addr::mask(len);
        let mut path = Path::new();
        let mut link = &self.root;
        let new = loop {
            let Some(node) = link else {
                break Node {
                    key,
                    len,
                    value: Some(value),
                    child: [None, None],
                };
            };
            if node.covers(key, len) {
                if node.len == len {
                    let [l, r] = &node.child;
                    let child = [l.clone(), r.clone()];
                    break Node {
                        key,
                        len,
                        value: Some(value),
                        child,
                    };
                }
                let right = bit(key, node.len);
                path.push(node, right);
                link = node.child(right);
                continue;
            }
            // The ways part above this node: either the new prefix is where, or a node between.
            let at = common(key, len, node.key, node.len);
            let old = Some(node.clone());
            if at == len {
                let child = if bit(node.key, len) {
                    [None, old]
                } else {
                    [old, None]
                };
                break Node {
                    key,
                    len,
                    value: Some(value),
                    child,
                };
            }
            let leaf = Node {
                key,
                len,
                value: Some(value),
                child: [None, None],
            };
            let leaf = Some(Arc::try_new(leaf)?);
            let child = if bit(key, at) {
                [old, leaf]
            } else {
                [leaf, old]
            };
            break Node {
                key: key & Addr::mask(at),
                len: at,
                value: None,
                child,
            };
        };
        path.rebuild(Some(Arc::try_new(new)?))
    }

    /// A trie without this prefix.
    ///
    /// Mirrors [`fib_remove_alias`](srctree/net/ipv4/fib_trie.c)
    pub fn remove(&self, prefix: Addr, len: u8) -> Result<Trie<V>, AllocError> {
        let key = prefix.to_u32() & Addr::mask(len);
        let mut path = Path::new();
        let mut link = &self.root;
        let node = loop {
            match link {
                Some(node) if node.covers(key, len) => {
                    if node.len == len {
                        break node;
                    }
                    let right = bit(key, node.len);
                    path.push(node, right);
                    link = node.child(right);
                }
                _ => return Ok(self.clone()),
            }
        };
        match &node.child {
            [Some(l), Some(r)] => {
                let child = [Some(l.clone()), Some(r.clone())];
                let fork = Arc::try_new(Node {
                    key,
                    len,
                    value: None,
                    child,
                })?;
                path.rebuild(Some(fork))
            }
            [Some(only), None] | [None, Some(only)] => path.rebuild(Some(only.clone())),
            [None, None] => {
                // A parent that was only a fork is none any more.
                match path.pop() {
                    Some((parent, right)) if parent.value.is_none() => {
                        path.rebuild(parent.child(!right).clone())
                    }
                    Some((parent, right)) => {
                        path.push(parent, right);
                        path.rebuild(None)
                    }
                    None => path.rebuild(None),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
