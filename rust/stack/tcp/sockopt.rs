// SPDX-License-Identifier: GPL-2.0
//! SOL_TCP options that are numbers.

use super::{
    sock::Sock,
    state::State,
    DELACK_MAX, //
};
use crate::platform::Sysctl;
use crate::stack::{
    env::Env,
    errno::Errno,
    time::Duration, //
};

/// The longest keepalive time or interval a user may set, in seconds (`MAX_TCP_KEEPIDLE`).
const MAX_KEEP_SECS: i32 = 32_767;
/// The largest probe count (`MAX_TCP_KEEPCNT`, `MAX_TCP_SYNCNT`).
const MAX_COUNT: i32 = 127;
/// The longest FIN-WAIT-2 of an orphan, in seconds (`TCP_FIN_TIMEOUT_MAX`).
const MAX_LINGER2_SECS: i32 = 120;

/// A tick of the clock that timers go by where it is slow (`HZ=250`): shorter times than two of them are
/// refused (`TCP_TIMEOUT_MIN`).
const TICK: Duration = Duration::from_millis(4);
/// The smallest TCP_WINDOW_CLAMP, in bytes (`SOCK_MIN_RCVBUF / 2`).
const MIN_WINDOW_CLAMP: i32 = 1152;

/// A SOL_TCP option whose value is an `int`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opt {
    /// TCP_NODELAY.
    NoDelay,
    /// TCP_MAXSEG, in bytes.
    MaxSeg,
    /// TCP_CORK.
    Cork,
    /// TCP_KEEPIDLE, in seconds.
    KeepIdle,
    /// TCP_KEEPINTVL, in seconds.
    KeepIntvl,
    /// TCP_KEEPCNT.
    KeepCnt,
    /// TCP_SYNCNT.
    SynCnt,
    /// TCP_LINGER2, in seconds; negative: no FIN-WAIT-2 for orphans.
    Linger2,
    /// TCP_WINDOW_CLAMP, in bytes.
    WindowClamp,
    /// TCP_QUICKACK.
    QuickAck,
    /// TCP_USER_TIMEOUT, in milliseconds.
    UserTimeout,
    /// TCP_DEFER_ACCEPT, in seconds.
    DeferAccept,
    /// TCP_SAVE_SYN: keep the headers of SYNs, from the network header on (1) or the link's (2).
    SaveSyn,
    /// TCP_INQ: recvmsg tells what is left.
    Inq,
    /// TCP_NOTSENT_LOWAT, in bytes.
    NotsentLowat,
    /// TCP_THIN_LINEAR_TIMEOUTS.
    ThinLinearTimeouts,
    /// TCP_RTO_MAX_MS, in milliseconds.
    RtoMaxMs,
    /// TCP_RTO_MIN_US, in microseconds.
    RtoMinUs,
    /// TCP_DELACK_MAX_US, in microseconds.
    DelackMaxUs,
}

/// A time of `val` microseconds, at most `max`.
fn micros(val: i32, max: Duration) -> Result<Duration, Errno> {
    let time = Duration::from_micros(u64::from(val.unsigned_abs()));
    if val < 0 || time <= TICK || time > max {
        return Err(Errno::EINVAL);
    }
    Ok(time)
}

impl Sock {
    /// Sets an option.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a value outside the option's range.
    ///
    /// Mirrors [`do_tcp_setsockopt`](srctree/net/ipv4/tcp.c).
    pub fn set_option<E: Env>(&mut self, env: &mut E, opt: Opt, val: i32) -> Result<(), Errno> {
        let secs = |val: i32, max: i32| {
            if (1..=max).contains(&val) {
                Ok(Duration::from_secs(u64::from(val.unsigned_abs())))
            } else {
                Err(Errno::EINVAL)
            }
        };
        let count = |val: i32| {
            if (1..=MAX_COUNT).contains(&val) {
                Ok(val as u8)
            } else {
                Err(Errno::EINVAL)
            }
        };
        match opt {
            Opt::NoDelay => {
                self.nonagle.off = val != 0;
                if val != 0 {
                    // An explicit wish to send, even what is corked: it holds for this once.
                    self.nonagle.push = true;
                    self.push_pending_frames(env, false);
                    self.nonagle.push = false;
                }
            }
            Opt::Cork => {
                self.nonagle.cork = val != 0;
                if val == 0 {
                    self.nonagle.push = self.nonagle.off;
                    self.push_pending_frames(env, false);
                    self.nonagle.push = false;
                }
            }
            Opt::MaxSeg => {
                if val != 0 && !(MIN_MSS..=MAX_MSEG).contains(&val) {
                    return Err(Errno::EINVAL);
                }
                self.user_mss = val as u16;
            }
            Opt::KeepIdle => {
                let idle = secs(val, MAX_KEEP_SECS)?;
                self.keepalive_time = Some(idle);
                if self.keepalive && self.state.synchronised() {
                    let last = if self.ack.lrcvtime > self.rcv_tstamp {
                        self.ack.lrcvtime
                    } else {
                        self.rcv_tstamp
                    };
                    self.keep_at = Some(last.plus(idle));
                }
            }
            Opt::KeepIntvl => self.keepalive_intvl = Some(secs(val, MAX_KEEP_SECS)?),
            Opt::KeepCnt => self.keepalive_probes = Some(count(val)?),
            Opt::SynCnt => self.syn_retries = Some(count(val)?),
            Opt::Linger2 => {
                self.no_fin_wait2 = val < 0;
                let secs = val.clamp(0, MAX_LINGER2_SECS);
                self.linger2 = Duration::from_secs(u64::from(secs.unsigned_abs()));
            }
            Opt::WindowClamp => self.set_window_clamp(val)?,
            Opt::QuickAck => self.set_quickack(env, val),
            Opt::DeferAccept => self.defer_accept = secs_to_retrans(val),
            Opt::SaveSyn => {
                if !(0..=2).contains(&val) {
                    return Err(Errno::EINVAL);
                }
                self.save_syn = val as u8;
            }
            Opt::Inq => {
                if !(0..=1).contains(&val) {
                    return Err(Errno::EINVAL);
                }
                self.recvmsg_inq = val != 0;
            }
            Opt::NotsentLowat => {
                self.notsent_lowat = val as u32;
                env.write_space();
            }
            Opt::ThinLinearTimeouts => {
                if !(0..=1).contains(&val) {
                    return Err(Errno::EINVAL);
                }
                self.thin_lto = val != 0;
            }
            Opt::RtoMaxMs => {
                let ms = u64::from(val.unsigned_abs());
                if val < 1000 || ms > super::RTO_MAX.as_millis() {
                    return Err(Errno::EINVAL);
                }
                self.rto_max = Duration::from_millis(ms);
            }
            Opt::RtoMinUs => self.rto_min = micros(val, super::RTO_MIN)?,
            Opt::DelackMaxUs => self.delack_max = micros(val, DELACK_MAX)?,
            Opt::UserTimeout => {
                if val < 0 {
                    return Err(Errno::EINVAL);
                }
                self.user_timeout = Duration::from_millis(u64::from(val.unsigned_abs()));
            }
        }
        Ok(())
    }

    /// Mirrors [`tcp_set_window_clamp`](srctree/net/ipv4/tcp.c).
    fn set_window_clamp(&mut self, val: i32) -> Result<(), Errno> {
        if val == 0 {
            if self.state != State::Close {
                return Err(Errno::EINVAL);
            }
            self.window_clamp = 0;
            return Ok(());
        }
        let old = self.window_clamp;
        self.window_clamp = val.max(MIN_WINDOW_CLAMP) as u32;
        if self.window_clamp < old {
            self.rcv_ssthresh = self.rcv_ssthresh.min(self.window_clamp);
        } else {
            self.rcv_ssthresh = self.rcv_ssthresh.max(self.rcv_wnd.min(self.window_clamp));
        }
        Ok(())
    }

    /// Mirrors [`__tcp_sock_set_quickack`](srctree/net/ipv4/tcp.c).
    fn set_quickack<E: Env>(&mut self, env: &mut E, val: i32) {
        let interactive = env.sysctl().tcp_pingpong_thresh();
        if val == 0 {
            self.ack.pingpong = interactive;
            return;
        }
        self.ack.pingpong = 0;
        if self.state.can_send() && self.ack.scheduled {
            self.ack.pushed = true;
            self.cleanup_rbuf(env, 1);
            if val & 1 == 0 {
                self.ack.pingpong = interactive;
            }
        }
    }

    /// The value of an option, as getsockopt(2) tells it; `sysctl` is for what the user has not set.
    ///
    /// Mirrors [`do_tcp_getsockopt`](srctree/net/ipv4/tcp.c).
    pub fn option(&self, sysctl: &Sysctl, opt: Opt) -> i32 {
        let secs = |d: Duration| d.as_secs().min(i32::MAX as u64) as i32;
        match opt {
            Opt::NoDelay => i32::from(self.nonagle.off),
            Opt::MaxSeg => {
                if self.state.synchronised() || self.user_mss == 0 {
                    i32::from(self.mss_cache)
                } else {
                    i32::from(self.user_mss)
                }
            }
            Opt::Cork => i32::from(self.nonagle.cork),
            Opt::KeepIdle => secs(self.keepalive_time(sysctl)),
            Opt::KeepIntvl => secs(self.keepalive_intvl(sysctl)),
            Opt::KeepCnt => i32::from(self.keepalive_probes(sysctl)),
            Opt::SynCnt => i32::from(self.syn_retries(sysctl)),
            Opt::Linger2 => {
                if self.no_fin_wait2 {
                    -1
                } else if self.linger2.is_zero() {
                    secs(sysctl.tcp_fin_timeout())
                } else {
                    secs(self.linger2)
                }
            }
            Opt::DeferAccept => retrans_to_secs(self.defer_accept),
            Opt::SaveSyn => i32::from(self.save_syn),
            Opt::Inq => i32::from(self.recvmsg_inq),
            Opt::NotsentLowat => self.notsent_lowat as i32,
            Opt::ThinLinearTimeouts => i32::from(self.thin_lto),
            Opt::RtoMaxMs => self.rto_max.as_millis().min(i32::MAX as u64) as i32,
            Opt::RtoMinUs => self.rto_min.as_micros().min(i32::MAX as u64) as i32,
            Opt::DelackMaxUs => self.delack_max.as_micros().min(i32::MAX as u64) as i32,
            Opt::WindowClamp => self.window_clamp.min(i32::MAX as u32) as i32,
            Opt::QuickAck => i32::from(self.ack.pingpong < sysctl.tcp_pingpong_thresh()),
            Opt::UserTimeout => self.user_timeout.as_millis().min(i32::MAX as u64) as i32,
        }
    }
}

/// The times from one SYN-ACK to the next, in seconds.
fn synack_periods() -> impl Iterator<Item = i32> {
    let (first, max) = (super::TIMEOUT_INIT.as_secs(), super::RTO_MAX.as_secs());
    core::iter::successors(Some(first), move |t| Some(t.saturating_mul(2).min(max)))
        .map(|t| t as i32)
}

/// How many SYN-ACKs are sent in that many seconds.
///
/// Mirrors [`secs_to_retrans`](srctree/net/ipv4/tcp.c).
fn secs_to_retrans(secs: i32) -> u8 {
    let mut left = secs;
    let mut sent = 0u8;
    for period in synack_periods().take(usize::from(u8::MAX)) {
        if left <= 0 {
            break;
        }
        left = left.saturating_sub(period);
        sent = sent.saturating_add(1);
    }
    sent
}

/// How long it takes to send that many, in seconds.
///
/// Mirrors [`retrans_to_secs`](srctree/net/ipv4/tcp.c).
fn retrans_to_secs(sent: u8) -> i32 {
    synack_periods()
        .take(usize::from(sent))
        .fold(0, i32::saturating_add)
}

/// The smallest TCP_MAXSEG (`TCP_MIN_MSS`).
const MIN_MSS: i32 = 88;
/// The largest TCP_MAXSEG (`MAX_TCP_WINDOW`).
const MAX_MSEG: i32 = 32_767;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secs_to_retrans__and_back() {
        // 1 + 2 + 4 + 8 s.
        for (secs, sent, back) in [
            (-1, 0, 0),
            (0, 0, 0),
            (1, 1, 1),
            (2, 2, 3),
            (3, 2, 3),
            (10, 4, 15),
        ] {
            assert_eq!(secs_to_retrans(secs), sent, "{secs} s");
            assert_eq!(retrans_to_secs(sent), back, "{secs} s");
        }
        assert_eq!(secs_to_retrans(i32::MAX), u8::MAX);
    }
}
