// SPDX-License-Identifier: GPL-2.0
//! Tests of the neighbour table.

use super::*;
use crate::platform::{
    fail_alloc,
    fail_pending,
    Skb,
    Vec, //
};
use crate::stack::neigh::entry::How;
use crate::stack::wire::ethernet::Addr;

const P: Params = Params::DEFAULT;
const MAC: Addr = Addr([2, 0, 0, 0, 0, 1]);

fn at(s: u64) -> Instant {
    Instant::ZERO.plus(Duration::from_secs(1000 + s))
}

fn key(n: u32) -> Key {
    Key {
        ifindex: 2 + (n & 1) as i32,
        addr: ipv4::Addr::from_u32(0x0a00_0000 + n),
    }
}

fn create(t: &Table<()>, n: u32, s: u64) -> Result<Arc<Neigh<()>>, CreateError> {
    t.lookup_or_create(key(n), None, || (), &P, at(s), &mut SkbQueue::new())
}

fn all(t: &Table<()>) -> Vec<u32> {
    let mut keys = Vec::new();
    t.for_each(|n| {
        keys.push(n.key().addr.to_u32() - 0x0a00_0000);
        true
    });
    keys.sort_unstable();
    keys
}

#[test]
fn lookup_or_create__one_object_for_one_neighbour() {
    let t = Table::try_new(7).unwrap();
    assert!(t.lookup(key(1)).is_none());
    let a = create(&t, 1, 0).unwrap();
    let b = create(&t, 1, 0).unwrap();
    assert!(Arc::ptr_eq(&a, &b));
    assert!(Arc::ptr_eq(&a, &t.lookup(key(1)).unwrap()));
    assert_eq!(t.len(), 1);
    // The same address behind another device is another neighbour.
    let other = Key {
        ifindex: 9,
        ..key(1)
    };
    assert!(t.lookup(other).is_none());
}

#[test]
fn grow__finds_everything() {
    let t = Table::try_new(7).unwrap();
    for n in 0..1000 {
        create(&t, n, 0).unwrap();
    }
    assert_eq!(t.slots.read(|s| s.unwrap().len()), 512);
    assert_eq!(t.len(), 1000);
    for n in 0..1000 {
        assert!(t.lookup(key(n)).is_some(), "{n}");
    }
    assert_eq!(all(&t), (0..1000).collect::<Vec<_>>());
}

#[test]
fn lookup_or_create__full_table() {
    let t = Table::try_new(7).unwrap();
    for n in 0..1024 {
        create(&t, n, 0).unwrap();
    }
    assert_eq!(create(&t, 5000, 1).err(), Some(CreateError::TableFull));
    // Five seconds later the same flood makes room for itself, a part at a time.
    let mut n = 5000;
    while create(&t, n, 6).is_err() {
        n += 1;
        assert!(n < 5020);
    }
    assert!(t.len() <= 1024);
}

#[test]
fn lookup_or_create__failed_neighbours_make_room() {
    let t = Table::try_new(7).unwrap();
    for n in 0..1024 {
        let neigh = create(&t, n, 0).unwrap();
        let _ = neigh.update(MAC, Nud::Failed, How::Learned, &P, at(0));
    }
    assert!(create(&t, 5000, 0).is_ok());
    assert!(t.len() < 1024);
    assert_eq!(all(&t).len(), t.len());
}

#[test]
fn gc__old_and_unused_go_permanent_stay() {
    let t = Table::try_new(7).unwrap();
    for n in 0..200 {
        let neigh = create(&t, n, 0).unwrap();
        let state = if n == 7 { Nud::Permanent } else { Nud::Stale };
        let _ = neigh.update(MAC, state, How::Admin, &P, at(0));
    }
    let mut dead = SkbQueue::new();
    for _ in 0..10 {
        t.gc(&P, at(30), &mut dead);
    }
    assert_eq!(t.len(), 200);
    for _ in 0..10 {
        t.gc(&P, at(100), &mut dead);
    }
    // Below the first threshold nothing more is collected.
    assert!(t.len() < 128);
    assert!(t.lookup(key(7)).is_some());
}

#[test]
fn flush__one_device_and_what_waits_there() {
    let t = Table::try_new(7).unwrap();
    let mut held = Vec::new();
    for n in 0..20 {
        let neigh = create(&t, n, 0).unwrap();
        let _ = neigh.output(Skb::from_bytes(&[0; 20]), &P, at(0));
        held.push(neigh);
    }
    let mut dead = SkbQueue::new();
    t.flush(3, false, &mut dead);
    assert_eq!((dead.len(), t.len()), (10, 10));
    for (n, neigh) in held.iter().enumerate() {
        assert_eq!(neigh.is_dead(), n % 2 == 1);
        assert_eq!(t.lookup(key(n as u32)).is_some(), n % 2 == 0);
    }
    t.flush(0, true, &mut dead);
    assert!(t.is_empty() && dead.len() == 20);
}

#[test]
fn flush__without_memory_the_dead_are_not_found() {
    let t = Table::try_new(7).unwrap();
    for n in 0..4 {
        create(&t, n, 0).unwrap();
    }
    for n in 0..20 {
        fail_alloc(Some(n));
        t.flush(3, false, &mut SkbQueue::new());
        fail_alloc(None);
        assert!(t.lookup(key(1)).is_none() && t.lookup(key(3)).is_none());
        assert!(t.lookup(key(0)).is_some() && t.lookup(key(2)).is_some());
    }
    t.flush(3, false, &mut SkbQueue::new());
    assert_eq!((t.len(), all(&t)), (2, vec![0, 2]));
    // Who died may come back.
    assert!(create(&t, 1, 0).is_ok());
}

#[test]
fn lookup_or_create__nth_allocation_fails() {
    let t = Table::try_new(7).unwrap();
    let mut made = 0;
    for n in 0.. {
        fail_alloc(Some(n));
        let result = create(&t, 100, 0);
        if fail_pending() {
            fail_alloc(None);
            assert!(result.is_ok());
            break;
        }
        match result {
            // Growing failed, which nobody needs to know.
            Ok(_) => made += 1,
            Err(e) => assert_eq!(e, CreateError::Nomem),
        }
        assert_eq!(t.len(), made);
        assert_eq!(all(&t).len(), made);
    }
    // The same at a time when the table grows.
    let t = Table::try_new(7).unwrap();
    for n in 0..16 {
        create(&t, n, 0).unwrap();
    }
    for i in 0..30 {
        fail_alloc(Some(i));
        let _ = create(&t, 16 + i, 0);
        fail_alloc(None);
        let keys = all(&t);
        assert_eq!(keys.len(), t.len());
        assert!(keys.iter().all(|k| t.lookup(key(*k)).is_some()));
    }
}
