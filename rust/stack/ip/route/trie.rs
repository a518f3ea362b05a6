// SPDX-License-Identifier: GPL-2.0
//! A path-compressed trie of IPv4 prefixes that never changes: a change makes a new trie that shares
//! all but the path to the change with the old one.
//!
//! So a reader that holds one version walks it without a lock and without a retry, and a writer costs
//! as many small allocations as the prefix has ancestors. Nothing is changed when one of them fails.
//!
//! A node decides by one bit, which costs least among the few routes of an ordinary host. One below
//! which the prefixes lie close together decides by four ([`wide`]), so that a look-up among a million
//! passes seven nodes rather than twenty-two. Which of the two it is follows from what is below it,
//! and is settled whenever a change copies the node.
//!
//! Linux's trie is level-compressed as well, by as many bits as fit, and changed in place.
//!
//! Mirrors [`fib_find_node`, `fib_insert_node`](srctree/net/ipv4/fib_trie.c)

mod walk;
mod wide;

use self::wide::Wide;
use crate::platform::{
    AllocError,
    Arc, //
};
use crate::stack::wire::ipv4::Addr;

/// The most nodes on a way from the root: one for each prefix length.
const DEPTH: usize = 33;

/// A prefix with a value, or a place where ways part.
#[derive(Debug)]
struct Node<V> {
    /// The address bits; those behind `len` are zero.
    key: u32,
    /// Bits of the prefix: 0 to 32.
    len: u8,
    value: Option<V>,
    below: Below<V>,
}

type Link<V> = Option<Arc<Node<V>>>;

/// The longer prefixes within a node's.
#[derive(Debug)]
enum Below<V> {
    /// By the bit behind the node's own.
    Two([Link<V>; 2]),
    /// By the four bits behind them.
    Wide(Arc<Wide<V>>),
}

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

impl<V> Clone for Below<V> {
    fn clone(&self) -> Self {
        match self {
            Below::Two(child) => Below::Two(child.clone()),
            Below::Wide(wide) => Below::Wide(wide.clone()),
        }
    }
}

/// How many leading bits two prefixes have in common.
#[inline]
fn common(a: u32, a_len: u8, b: u32, b_len: u8) -> u8 {
    // At most 32: fits.
    ((a ^ b).leading_zeros() as u8).min(a_len).min(b_len)
}

impl<V> Node<V> {
    /// The bits of the address `key` behind this node's prefix, the first of them as bit 31. Above
    /// that bit lies what differs from the prefix: nothing, if the address is within it.
    #[inline]
    fn behind(&self, key: u32) -> u64 {
        u64::from(key ^ self.key).wrapping_shl(self.len.into())
    }

    /// Whether the prefix `key`/`len` lies within this node's.
    #[inline]
    fn covers(&self, key: u32, len: u8) -> bool {
        self.len <= len && self.behind(key) >> 32 == 0
    }

    /// Which of this node's links leads to the longer prefix `key`/`len` within its own.
    fn way(&self, key: u32, len: u8) -> usize {
        match &self.below {
            Below::Two(_) => (self.behind(key) >> 31) as usize,
            Below::Wide(_) if len < self.end() => wide::SHORT,
            Below::Wide(_) => self.slot(key),
        }
    }

    fn link(&self, way: usize) -> &Link<V> {
        match &self.below {
            Below::Two(child) => child.get(way).unwrap_or(&None),
            Below::Wide(wide) => wide.link(way),
        }
    }

    /// The node from which the ways to two others part, behind `len` bits.
    fn fork(a: Arc<Node<V>>, b: Arc<Node<V>>, len: u8) -> Node<V> {
        let mut node = Node {
            key: a.key & Addr::mask(len),
            len,
            value: None,
            below: Below::Two([None, None]),
        };
        node.below = Below::Two(match node.way(a.key, a.len) {
            0 => [Some(a), Some(b)],
            _ => [Some(b), Some(a)],
        });
        node
    }
}

impl<V: Clone> Node<V> {
    /// A copy of this node with another link.
    fn with_link(&self, way: usize, link: Link<V>) -> Result<Node<V>, AllocError> {
        let below = match &self.below {
            Below::Two([l, r]) => Below::Two(match way {
                0 => [link, r.clone()],
                _ => [l.clone(), link],
            }),
            Below::Wide(wide) => Below::Wide(Arc::try_new(wide.with_link(way, link))?),
        };
        Ok(Node {
            key: self.key,
            len: self.len,
            value: self.value.clone(),
            below,
        })
    }
}

/// The ancestors of a prefix, from the root down, and the way taken at each.
struct Path<'a, V> {
    nodes: [Option<(&'a Node<V>, usize)>; DEPTH],
    depth: usize,
}

impl<'a, V: Clone> Path<'a, V> {
    const fn new() -> Self {
        Path {
            nodes: [None; DEPTH],
            depth: 0,
        }
    }

    fn push(&mut self, node: &'a Node<V>, way: usize) {
        // Lengths grow along the way, so it has 33 nodes at the most. A fork within a wide node's stride may be as long
        // as that node, but then the way ends within the stride.
        if let Some(slot) = self.nodes.get_mut(self.depth) {
            *slot = Some((node, way));
            self.depth += 1;
        }
    }

    fn pop(&mut self) -> Option<(&'a Node<V>, usize)> {
        self.depth = self.depth.checked_sub(1)?;
        self.nodes.get_mut(self.depth)?.take()
    }

    /// A trie in which `link` hangs where the way ends.
    fn rebuild(&mut self, link: Link<V>) -> Result<Trie<V>, AllocError> {
        let mut link = link;
        while let Some((node, way)) = self.pop() {
            link = node.with_link(way, link)?.settle()?;
        }
        Ok(Trie { root: link })
    }
}

/// What is found at the end of a path.
enum Place<'a, V> {
    /// Nothing.
    Free,
    /// The node with this prefix.
    At(&'a Node<V>),
    /// One that lies within the prefix.
    Above(&'a Arc<Node<V>>),
    /// One from which the prefix parts behind that many bits.
    Beside(&'a Arc<Node<V>>, u8),
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
            link = node.link(node.way(key, len));
        }
        None
    }

    /// The longest prefix that contains `addr`, and its value.
    ///
    /// Mirrors [`fib_table_lookup`](srctree/net/ipv4/fib_trie.c)
    #[inline]
    pub fn longest(&self, addr: Addr) -> Option<(u8, &V)> {
        self.search(addr, |_| true)
    }

    /// The same among the prefixes of at most `max_len` bits: seldom asked for, and so kept out of the way of the other.
    #[inline(never)]
    pub fn longest_within(&self, addr: Addr, max_len: u8) -> Option<(u8, &V)> {
        self.search(addr, |len| len <= max_len)
    }

    /// The longest prefix that contains `addr` and has a length that `may` be; if one may not, no longer one may.
    ///
    /// Each instruction for a node counts: every packet that is sent on comes here.
    #[inline]
    fn search(&self, addr: Addr, may: impl Fn(u8) -> bool) -> Option<(u8, &V)> {
        let key = addr.to_u32();
        let mut best = None;
        let mut link = self.root.as_deref();
        while let Some(node) = link.filter(|node| may(node.len)) {
            // An address outside has bits above those that choose a child, and so has none.
            let behind = node.behind(key);
            link = match &node.below {
                Below::Two(child) => {
                    let Some(next) = child.get((behind >> 31) as usize) else {
                        break;
                    };
                    if node.value.is_some() {
                        best = Some(node);
                    }
                    next.as_deref()
                }
                Below::Wide(wide) => {
                    let Some(next) = wide.slots().get((behind >> (32 - wide::BITS)) as usize)
                    else {
                        break;
                    };
                    if node.value.is_some() {
                        best = Some(node);
                    }
                    if wide.short().is_some() {
                        best = wide.longest_short(key, &may).or(best);
                    }
                    next.as_deref()
                }
            };
        }
        best.and_then(|node| Some((node.len, node.value.as_ref()?)))
    }
}

impl<V: Clone> Trie<V> {
    /// What is at the end of the way to a prefix. Leaves the way in `path`: half a kilobyte, made where it stays.
    fn find<'a>(&'a self, path: &mut Path<'a, V>, key: u32, len: u8) -> Place<'a, V> {
        let mut link = &self.root;
        while let Some(node) = link {
            if !node.covers(key, len) {
                let at = common(key, len, node.key, node.len);
                return if at == len {
                    Place::Above(node)
                } else {
                    Place::Beside(node, at)
                };
            }
            if node.len == len {
                return Place::At(node);
            }
            let way = node.way(key, len);
            path.push(node, way);
            link = node.link(way);
        }
        Place::Free
    }

    /// A trie in which the prefix has the value `value`, whether it had one before or not.
    ///
    /// Mirrors [`fib_insert_node`](srctree/net/ipv4/fib_trie.c)
    pub fn insert(&self, prefix: Addr, len: u8, value: V) -> Result<Trie<V>, AllocError> {
        let len = len.min(32);
        let key = prefix.to_u32() & Addr::mask(len);
        let mut leaf = Node {
            key,
            len,
            value: Some(value),
            below: Below::Two([None, None]),
        };
        let mut path = Path::new();
        let new = match self.find(&mut path, key, len) {
            Place::Free => leaf,
            Place::At(old) => {
                leaf.below = old.below.clone();
                leaf
            }
            Place::Above(old) => leaf.with_link(leaf.way(old.key, old.len), Some(old.clone()))?,
            Place::Beside(old, at) => Node::fork(old.clone(), Arc::try_new(leaf)?, at),
        };
        path.rebuild(new.settle()?)
    }

    /// A trie with `node` and what is below it. Where it comes there is nothing as long as it.
    fn graft(&self, node: &Arc<Node<V>>) -> Result<Trie<V>, AllocError> {
        let mut path = Path::new();
        let new = match self.find(&mut path, node.key, node.len) {
            Place::Beside(old, at) => Arc::try_new(Node::fork(old.clone(), node.clone(), at))?,
            _ => node.clone(),
        };
        path.rebuild(Some(new))
    }

    /// A trie without this prefix.
    ///
    /// Mirrors [`fib_remove_alias`](srctree/net/ipv4/fib_trie.c)
    pub fn remove(&self, prefix: Addr, len: u8) -> Result<Trie<V>, AllocError> {
        let key = prefix.to_u32() & Addr::mask(len);
        let mut path = Path::new();
        let Place::At(node) = self.find(&mut path, key, len) else {
            return Ok(self.clone());
        };
        let link = match &node.below {
            Below::Two([Some(only), None] | [None, Some(only)]) => Some(only.clone()),
            Below::Two([None, None]) => match path.pop() {
                // A parent that was only a fork is none any more.
                Some((parent, way)) if parent.is_fork() => parent.link(way ^ 1).clone(),
                Some((parent, way)) => {
                    path.push(parent, way);
                    None
                }
                None => None,
            },
            below => Some(Arc::try_new(Node {
                key,
                len,
                value: None,
                below: below.clone(),
            })?),
        };
        path.rebuild(link)
    }
}

#[cfg(test)]
mod tests;
