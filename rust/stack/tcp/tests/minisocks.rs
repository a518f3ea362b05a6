// SPDX-License-Identifier: GPL-2.0
//! What stands for a connection without being a socket: a half-open one, TIME-WAIT, FIN-WAIT-2 after close(2).

use super::script::*;
use super::*;
use crate::platform::Sysctl;
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::tcp::{Surroundings, TimeWait, TwAction, TwVerdict};

/// Does `f` in the surroundings that are said, and tells the counters that it moved.
fn counted<R>(
    sysctl: &Sysctl,
    now: Instant,
    f: impl FnOnce(&mut Surroundings<'_>) -> R,
) -> (R, Vec<Counter>) {
    let mut counts = Vec::new();
    let result = f(&mut Surroundings {
        sysctl,
        now,
        count: &mut |c| counts.push(c),
    });
    (result, counts)
}

/// What a TIME-WAIT makes of a segment, and the counters that it moves.
fn tw_counted(tw: &mut TimeWait, seg: &Segment, now: Instant) -> (TwVerdict, Vec<Counter>) {
    counted(&Sysctl::default(), now, |around| {
        tw.rcv(around, seg, client_id())
    })
}

fn tw_rcv(tw: &mut TimeWait, seg: &Segment, now: Instant) -> TwAction {
    tw_counted(tw, seg, now).0.action
}

/// What a half-open connection makes of a segment.
fn req_rcv(
    req: &mut listen::Request,
    seg: &Segment,
    sysctl: &Sysctl,
    now: Instant,
) -> listen::CheckReq {
    counted(sysctl, now, |around| listen::check_req(req, around, seg)).0
}

fn parse(seg: &Seg) -> Segment {
    Segment::parse(&mut Skb::from_bytes(&seg.bytes())).expect("a segment")
}

#[test]
fn time_wait__fin_again_is_acknowledged() {
    let (mut tw, now) = time_wait();
    let seg = Seg {
        seq: IRS + 1,
        ack: ISS + 2,
        ..Seg::new("FA")
    };
    let TwAction::Ack(mut skb) = tw_rcv(&mut tw, &parse(&seg), now) else {
        panic!()
    };
    let ack = Segment::parse(&mut skb).unwrap();
    assert_eq!(
        (ack.flags, ack.seq.get(), ack.ack_seq.get()),
        (Flags::ACK, ISS + 2, IRS + 2)
    );
}

#[test]
fn time_wait__new_syn_opens_again() {
    let (mut tw, now) = time_wait();
    let syn = |seq| {
        parse(&Seg {
            seq,
            mss: 1460,
            ..Seg::new("S")
        })
    };
    // Above the old numbers: a new connection, whose own numbers are above the old ones, too.
    match tw_rcv(&mut tw, &syn(IRS + 100), now) {
        TwAction::Syn(floor) => assert!(floor.after(SeqNum::new(ISS + 2))),
        other => panic!("{other:?}"),
    }
    // Below: an old duplicate.
    assert!(!matches!(
        tw_rcv(&mut tw, &syn(IRS - 100), now),
        TwAction::Syn(_)
    ));
}

#[test]
fn time_wait__reset_must_be_exact() {
    let (mut tw, now) = time_wait();
    let rst = |seq| {
        parse(&Seg {
            seq,
            ..Seg::new("R")
        })
    };
    assert!(matches!(
        tw_rcv(&mut tw, &rst(IRS + 100), now),
        TwAction::Drop(_)
    ));
    assert!(matches!(
        tw_rcv(&mut tw, &rst(IRS + 2), now),
        TwAction::Kill
    ));
}

#[test]
fn time_wait__strangers_are_answered_rarely() {
    let (mut tw, now) = time_wait();
    let old = parse(&Seg {
        seq: IRS - 1000,
        ack: ISS,
        ..Seg::new("A")
    });
    assert!(matches!(tw_rcv(&mut tw, &old, now), TwAction::Ack(_)));
    for _ in 0..10 {
        assert!(matches!(tw_rcv(&mut tw, &old, now), TwAction::Drop(_)));
    }
}

#[test]
fn time_wait__what_the_limit_holds_back_is_counted() {
    let (mut tw, now) = time_wait();
    let fin = parse(&Seg {
        seq: IRS + 1,
        ack: ISS + 2,
        ..Seg::new("FA")
    });
    let old_syn = parse(&Seg {
        seq: IRS - 100,
        mss: 1460,
        ..Seg::new("S")
    });
    let (first, counts) = tw_counted(&mut tw, &old_syn, now);
    assert!(matches!(first.action, TwAction::Ack(_)), "{first:?}");
    assert_eq!(counts, []);
    let (again, counts) = tw_counted(&mut tw, &old_syn, now);
    assert!(matches!(again.action, TwAction::Drop(_)), "{again:?}");
    assert_eq!(counts, [Counter::TcpAckSkippedTimeWait]);
    // A FIN is data to the limit: the peer waits for its ACK.
    assert!(matches!(tw_rcv(&mut tw, &fin, now), TwAction::Ack(_)));
}

#[test]
fn time_wait__two_msl_begin_anew_with_an_ack_but_not_with_a_syn() {
    let (mut tw, now) = time_wait();
    let ack = |seq| {
        parse(&Seg {
            seq,
            ack: ISS + 2,
            ..Seg::new("A")
        })
    };
    // In place, and out of it.
    assert!(tw_counted(&mut tw, &ack(IRS + 2), now).0.restart);
    assert!(tw_counted(&mut tw, &ack(IRS - 50), now).0.restart);
    // Even where the answer is held back.
    assert!(tw_counted(&mut tw, &ack(IRS - 50), now).0.restart);
    let syn = parse(&Seg {
        seq: IRS - 100,
        mss: 1460,
        ..Seg::new("S")
    });
    assert!(!tw_counted(&mut tw, &syn, now).0.restart);
}

/// A segment that carries our and the peer's time.
fn stamped(seg: &Segment, tsval: u32, tsecr: u32) -> Segment {
    let mut seg = *seg;
    seg.opts.saw_tstamp = true;
    (seg.opts.tsval, seg.opts.tsecr) = (tsval, tsecr);
    seg
}

#[test]
fn time_wait__old_timestamp_is_counted() {
    let (mut tw, now) = time_wait();
    (tw.ts_ok, tw.ts_recent) = (true, 5000);
    let old = parse(&Seg {
        seq: IRS + 2,
        ack: ISS + 2,
        ..Seg::new("A")
    });
    let (verdict, counts) = tw_counted(&mut tw, &stamped(&old, 4999, 0), now);
    assert!(matches!(verdict.action, TwAction::Ack(_)), "{verdict:?}");
    assert_eq!(counts, [Counter::PawsTimewait]);
}

/// FIN-WAIT-2 that nobody holds any more.
fn orphan() -> (TimeWait, Instant) {
    let mut h = fin_wait2();
    h.world.dead = true;
    h.sock.orphan(&mut h.world);
    let now = h.world.now;
    let (tw, _) = h.world.tw.take().expect("an orphan");
    done(h);
    (tw, now)
}

#[test]
fn fin_wait2__syn_in_the_window_is_reset() {
    let (mut tw, now) = orphan();
    let syn = |seq| {
        parse(&Seg {
            seq,
            ack: ISS + 2,
            ..Seg::new("SA")
        })
    };
    assert!(matches!(
        tw_rcv(&mut tw, &syn(IRS + 10), now),
        TwAction::Reset(Some(_))
    ));
    // One that reaches into it from below is an old one.
    assert!(matches!(
        tw_rcv(&mut tw, &syn(IRS - 1), now),
        TwAction::Ack(_)
    ));
}

#[test]
fn fin_wait2__what_the_limit_holds_back_is_counted() {
    let (mut tw, now) = orphan();
    let far = parse(&Seg {
        seq: IRS + 1_000_000,
        ack: ISS + 2,
        ..Seg::new("A")
    });
    let (first, _) = tw_counted(&mut tw, &far, now);
    assert!(matches!(first.action, TwAction::Ack(_)), "{first:?}");
    let (again, counts) = tw_counted(&mut tw, &far, now);
    assert!(matches!(again.action, TwAction::Drop(_)), "{again:?}");
    assert_eq!(counts, [Counter::TcpAckSkippedFinWait2]);
    // Nothing that comes here makes it live longer.
    assert!(!first.restart && !again.restart);
}

fn syn() -> Segment {
    Segment::parse(&mut Skb::from_bytes(
        &Seg {
            seq: IRS,
            mss: 1460,
            ..Seg::new("S")
        }
        .bytes(),
    ))
    .expect("a SYN")
}

fn request() -> (listen::Request, Instant) {
    request_for(&syn())
}

fn request_for(syn: &Segment) -> (listen::Request, Instant) {
    let now = Instant::from_nanos(1_000_000_000);
    let cfg = listen::ListenConfig {
        sysctl: &Sysctl::default(),
        rcvbuf: 131_072,
        rcvbuf_locked: false,
        window_clamp: 0,
        init_rwnd: 0,
        mtu: 1500,
        user_mss: 0,
        defer_accept: 0,
    };
    let mut req = listen::conn_request(&cfg, syn, client_id(), ISS, 0, now);
    listen::synack(&mut req, now).expect("memory");
    (req, now)
}

#[test]
fn listen__half_open_gets_its_ack() {
    let (mut req, now) = request();
    let ack = parse(&Seg {
        seq: IRS + 1,
        ack: ISS + 1,
        ..Seg::new("A")
    });
    assert!(matches!(
        req_rcv(&mut req, &ack, &Sysctl::default(), now),
        listen::CheckReq::Establish
    ));
}

#[test]
fn listen__half_open_and_an_echo_of_nothing() {
    let stamped = |seg: Segment, tsecr| {
        let mut seg = seg;
        seg.opts.saw_tstamp = true;
        seg.opts.tsval = 7;
        seg.opts.tsecr = tsecr;
        seg
    };
    let ack = |tsecr| {
        let seg = Seg {
            seq: IRS + 1,
            ack: ISS + 1,
            ..Seg::new("A")
        };
        stamped(parse(&seg), tsecr)
    };
    let (mut req, now) = request_for(&stamped(syn(), 0));
    // The SYN-ACK said 1000, and once more 2000.
    let later = now.plus(Duration::from_secs(1));
    listen::synack(&mut req, later).expect("memory");
    // To 64 ms below that.
    for bad in [900, 2001, 1000 | (1 << 31)] {
        let (got, moved) = counted(&Sysctl::default(), later, |around| {
            listen::check_req(&mut req, around, &ack(bad))
        });
        assert!(
            matches!(
                got,
                listen::CheckReq::Ack(_) | listen::CheckReq::Drop(DropReason::TcpRfc7323Tsecr)
            ),
            "{bad}: {got:?}"
        );
        assert_eq!(moved.first(), Some(&Counter::TsEcrRejected), "{bad}");
    }
    // Whoever echoes nothing has no clock to show, and every SYN-ACK may be what was heard.
    for good in [0, 1000, 1500, 2000] {
        let mut req = req;
        let got = req_rcv(&mut req, &ack(good), &Sysctl::default(), later);
        assert!(
            matches!(got, listen::CheckReq::Establish),
            "{good}: {got:?}"
        );
    }
}

#[test]
fn listen__half_open_and_the_syn_again() {
    let (mut req, now) = request();
    let first = req_rcv(&mut req, &syn(), &Sysctl::default(), now);
    assert!(matches!(first, listen::CheckReq::RetransmitSynAck));
    assert!(matches!(
        req_rcv(&mut req, &syn(), &Sysctl::default(), now),
        listen::CheckReq::Drop(_)
    ));
}

#[test]
fn listen__half_open_and_a_wrong_ack() {
    let (mut req, now) = request();
    let ack = parse(&Seg {
        seq: IRS + 1,
        ack: ISS + 2,
        ..Seg::new("A")
    });
    assert!(matches!(
        req_rcv(&mut req, &ack, &Sysctl::default(), now),
        listen::CheckReq::Reset(Some(_))
    ));
}

#[test]
fn listen__half_open_and_resets() {
    let (mut req, now) = request();
    let rst = |seq| {
        parse(&Seg {
            seq,
            ..Seg::new("R")
        })
    };
    let near = req_rcv(&mut req, &rst(IRS + 5), &Sysctl::default(), now);
    assert!(matches!(near, listen::CheckReq::Ack(_)), "{near:?}");
    // One challenge is enough for a while.
    let again = req_rcv(&mut req, &rst(IRS + 5), &Sysctl::default(), now);
    assert!(matches!(again, listen::CheckReq::Drop(_)), "{again:?}");
    let exact = req_rcv(&mut req, &rst(IRS + 1), &Sysctl::default(), now);
    assert!(
        matches!(exact, listen::CheckReq::Kill(None, _)),
        "{exact:?}"
    );
}

#[test]
fn listen__syn_ack_is_sent_six_times() {
    let (mut req, _) = request();
    let mut waited = 0;
    waited += req.timeout().as_secs();
    while let listen::Retry::Resend(t) = req.on_timeout(&Sysctl::default()) {
        waited += t.as_secs();
    }
    // tcp_synack_retries = 5: 1 + 2 + 4 + 8 + 16 + 32 s.
    assert_eq!((req.num_timeout, waited), (5, 63));
}

#[test]
fn listen__deferred_until_there_are_data() {
    let (mut req, now) = request();
    req.defer_accept = 3;
    let sysctl = Sysctl::default();
    let seg = |len: usize| {
        parse(&Seg {
            seq: IRS + 1,
            ack: ISS + 1,
            data: &[7; 8][..len],
            ..Seg::new("A")
        })
    };
    // Nobody has answered yet: the SYN-ACK is sent again.
    assert!(matches!(req.on_timeout(&sysctl), listen::Retry::Resend(_)));
    for _ in 0..2 {
        assert!(matches!(
            req_rcv(&mut req, &seg(0), &sysctl, now),
            listen::CheckReq::Deferred
        ));
    }
    // Now the peer is known to be there.
    assert!(matches!(req.on_timeout(&sysctl), listen::Retry::Wait(_)));
    let mut with_data = req;
    assert!(matches!(
        req_rcv(&mut with_data, &seg(1), &sysctl, now),
        listen::CheckReq::Establish
    ));
    // The time is over: the peer is asked once more, and its ACK is enough.
    assert!(matches!(req.on_timeout(&sysctl), listen::Retry::Resend(_)));
    assert!(matches!(
        req_rcv(&mut req, &seg(0), &sysctl, now),
        listen::CheckReq::Establish
    ));
}

#[test]
fn listen__what_the_limit_holds_back_is_counted() {
    let (mut req, now) = request();
    let mut rcv = |seg: &Segment| {
        counted(&Sysctl::default(), now, |around| {
            listen::check_req(&mut req, around, seg)
        })
    };
    let far = parse(&Seg {
        seq: IRS + 1_000_000,
        ack: ISS + 1,
        ..Seg::new("A")
    });
    let (first, counts) = rcv(&far);
    assert!(matches!(first, listen::CheckReq::Ack(_)), "{first:?}");
    assert_eq!(counts, []);
    for seg in [far, syn()] {
        let (again, counts) = rcv(&seg);
        assert!(matches!(again, listen::CheckReq::Drop(_)), "{again:?}");
        assert_eq!(counts, [Counter::TcpAckSkippedSynRecv]);
    }
}
