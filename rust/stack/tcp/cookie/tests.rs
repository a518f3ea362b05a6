// SPDX-License-Identifier: GPL-2.0
//! Cookies go round, and others' do not.

use super::*;
use crate::platform::Sysctl;
use crate::stack::tcp::tests::client_id;

fn secret() -> Secret {
    Secret([Key([1, 2]), Key([3, 4])])
}

fn cfg(sysctl: &Sysctl) -> ListenConfig<'_> {
    ListenConfig {
        sysctl,
        rcvbuf: 131_072,
        rcvbuf_locked: false,
        window_clamp: 0,
        init_rwnd: 0,
        mtu: 9000,
        user_mss: 0,
        defer_accept: 0,
    }
}

fn segment(seq: u32, ack: u32, flags: Flags, opts: Options) -> Segment {
    Segment {
        source: 40_000,
        dest: 80,
        seq: SeqNum::new(seq),
        end_seq: SeqNum::new(seq),
        ack_seq: SeqNum::new(ack),
        flags,
        doff: 20,
        window: 1000,
        urg_ptr: 0,
        len: 0,
        dsfield: 0,
        opts,
    }
}

/// The options of a SYN with everything.
fn all(mss: u16, wscale: Option<u8>) -> Options {
    Options {
        mss,
        wscale,
        saw_tstamp: true,
        sack_perm: true,
        tsval: 100,
        ..Options::default()
    }
}

const NOW: Instant = Instant::from_nanos(1_234_567_890_123);

/// Sends a SYN and answers the SYN-ACK `later` after it, with the numbers changed by `forge`.
fn round(
    sysctl: &Sysctl,
    opts: Options,
    flags: Flags,
    later: Duration,
    forge: impl FnOnce(&mut Segment),
) -> Option<Request> {
    let id = client_id().reversed();
    let syn = segment(77, 0, flags, opts);
    let (req, at) = conn_request(&cfg(sysctl), &secret(), &syn, id, 5000, NOW);
    assert!(at <= NOW, "a timestamp of the future");
    assert!(NOW.since(at) < Duration::from_millis(64));
    let mut back = Options::default();
    if opts.saw_tstamp {
        back.saw_tstamp = true;
        back.tsval = 110;
        back.tsecr = at.as_millis_u32().wrapping_add(5000);
    }
    let mut ack = segment(78, req.isn.get().wrapping_add(1), Flags::ACK, back);
    forge(&mut ack);
    check(&cfg(sysctl), &secret(), &ack, id, 5000, NOW.plus(later))
}

#[test]
fn check__options_come_back() {
    let sysctl = Sysctl::default();
    let ecn = Flags::SYN.and(Flags::ECE).and(Flags::CWR);
    for (mss, kept) in [
        (100, 536),
        (536, 536),
        (1299, 536),
        (1300, 1300),
        (1459, 1440),
        (1460, 1460),
        (8960, 1460),
    ] {
        for wscale in [None, Some(0), Some(7), Some(14)] {
            for flags in [Flags::SYN, ecn] {
                let req = round(&sysctl, all(mss, wscale), flags, Duration::ZERO, |_| {})
                    .expect("a good cookie");
                assert_eq!(req.mss, kept);
                assert_eq!(req.agreed.wscale(), wscale.is_some());
                assert_eq!(req.wscales.snd(), wscale.unwrap_or(0));
                assert_eq!(req.agreed.ecn(), flags == ecn);
                assert!(req.agreed.tstamp() && req.agreed.sack());
                assert_eq!(req.ts_recent, 110);
                assert_eq!(req.irs.get(), 77);
            }
        }
    }
}

#[test]
fn check__without_timestamps_only_the_mss() {
    let sysctl = Sysctl::default();
    let opts = Options {
        saw_tstamp: false,
        ..all(1460, Some(7))
    };
    let ecn = Flags::SYN.and(Flags::ECE).and(Flags::CWR);
    let req = round(&sysctl, opts, ecn, Duration::ZERO, |_| {}).expect("a good cookie");
    assert_eq!(req.mss, 1460);
    assert!(
        !req.agreed.wscale() && !req.agreed.tstamp() && !req.agreed.sack() && !req.agreed.ecn()
    );
}

#[test]
fn check__cookies_grow_old() {
    let sysctl = Sysctl::default();
    let at = |secs| {
        let later = Duration::from_secs(secs);
        round(&sysctl, all(1460, None), Flags::SYN, later, |_| {}).is_some()
    };
    assert!(at(0));
    assert!(at(60));
    assert!(!at(120));
    assert!(!at(3600));
    // The minute has eight bits: one that comes round after 256 of them has another hash.
    assert!(!at(256 * 60));
}

#[test]
fn check__forgeries() {
    let sysctl = Sysctl::default();
    let forged = |f: fn(&mut Segment)| {
        round(&sysctl, all(1460, None), Flags::SYN, Duration::ZERO, f).is_some()
    };
    assert!(
        !forged(|ack| ack.seq = ack.seq.add(100)),
        "another first number"
    );
    assert!(!forged(|ack| ack.ack_seq = ack.ack_seq.add(1 << 20)));
    // What is guessed at random is right once in 2^22 times: 4 sizes of 2^24, in 2 of 256 minutes.
    let id = client_id();
    let mut x = 1u32;
    let good = (0..200_000)
        .filter(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let ack = segment(78, x, Flags::ACK, Options::default());
            check(&cfg(&sysctl), &secret(), &ack, id, 0, NOW).is_some()
        })
        .count();
    assert_eq!(good, 0);
}

#[test]
fn check__another_end_or_secret() {
    let sysctl = Sysctl::default();
    let id = client_id().reversed();
    let syn = segment(77, 0, Flags::SYN, all(1460, None));
    let (req, _) = conn_request(&cfg(&sysctl), &secret(), &syn, id, 0, NOW);
    let ack = segment(
        78,
        req.isn.get().wrapping_add(1),
        Flags::ACK,
        Options::default(),
    );
    let ok = |s: &Secret, id| check(&cfg(&sysctl), s, &ack, id, 0, NOW).is_some();
    assert!(ok(&secret(), id));
    assert!(!ok(&Secret([Key([1, 2]), Key([3, 5])]), id));
    assert!(!ok(
        &secret(),
        FourTuple {
            dport: 40_001,
            ..id
        }
    ));
}

#[test]
fn check__what_was_turned_off() {
    let mut sysctl = Sysctl::default();
    let go = |s: &Sysctl| round(s, all(1460, Some(7)), Flags::SYN, Duration::ZERO, |_| {});
    assert!(go(&sysctl).is_some());
    sysctl.tcp_window_scaling = 0;
    assert!(go(&sysctl).is_some_and(|req| !req.agreed.wscale()));
}
