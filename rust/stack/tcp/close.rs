// SPDX-License-Identifier: GPL-2.0
//! Opening and closing: what connect(2), shutdown(2) and close(2) do to the protocol.

use super::{
    chrono::Kind,
    sock::Sock,
    state::State, //
};
use crate::platform::Sysctl;
use crate::stack::{
    counters::Counter,
    env::{Env, Shutdown},
    errno::Errno,
    socket::FourTuple, //
};

/// SO_LINGER, as far as the protocol is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linger {
    /// Linger with a time of zero: reset instead of FIN.
    pub abort: bool,
}

/// What close(2) must still wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Nothing: the connection is gone.
    Gone,
    /// The protocol goes on by itself: FIN, TIME-WAIT.
    Closing,
}

impl Sock {
    /// Opens a connection to the other end of `id`: sends SYN. `isn` is our initial sequence number
    /// (RFC 6528) and `ts_offset` what our timestamps are shifted by on this connection.
    ///
    /// # Errors
    ///
    /// `ENETUNREACH` without a route, `ENOBUFS` without memory; the state is then CLOSED.
    ///
    /// 3.10.1. Mirrors [`tcp_v4_connect`, `tcp_connect_init`](srctree/net/ipv4/tcp_ipv4.c).
    pub fn connect<E: Env>(
        &mut self,
        env: &mut E,
        id: FourTuple,
        isn: u32,
        ts_offset: u32,
    ) -> Result<(), Errno> {
        let Some(adv_mtu) = env.adv_mtu() else {
            return Err(Errno::ENETUNREACH);
        };
        self.id = id;
        self.ts_offset = ts_offset;
        self.ts_ok = env.sysctl().tcp_timestamps() != 0;
        self.wscale_ok = env.sysctl().tcp_window_scaling() != 0;
        self.sack_ok = env.sysctl().tcp_sack() != 0;
        self.snd_isn = super::SeqNum::new(isn);
        self.snd_una = self.snd_isn;
        self.snd_nxt = self.snd_isn;
        self.snd_sml = self.snd_isn;
        self.snd_up = self.snd_isn;
        self.write_seq = self.snd_isn;
        self.set_advmss(env.sysctl(), adv_mtu);
        self.follow_rto_min(env.metrics());
        self.rcv_nxt = super::SeqNum::default();
        self.init_window(env);
        self.rcv_wup = self.rcv_nxt;
        self.copied_seq = self.rcv_nxt;
        self.sync_mss(env);
        self.initialize_rcv_mss();
        self.rcv_tstamp = env.now();
        self.set_state(env, State::SynSent);
        if let Err(e) = self.send_syn(env) {
            self.purge_send(env);
            self.set_state(env, State::Close);
            self.rto_at = None;
            return Err(e);
        }
        Ok(())
    }

    /// The MSS to announce on a path of `mtu` bytes: 3.7.1.
    pub(super) fn set_advmss(&mut self, sysctl: &Sysctl, mtu: u32) {
        let mss = mtu.saturating_sub(40).max(sysctl.min_adv_mss()).min(65_495) as u16;
        self.advmss = if self.user_mss != 0 {
            mss.min(self.user_mss)
        } else {
            mss
        };
    }

    /// shutdown(2) of the sending side; shutting the receiving side is a bit of the socket and no
    /// matter of the protocol.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` without a connection.
    ///
    /// Mirrors [`tcp_shutdown`](srctree/net/ipv4/tcp.c).
    pub fn shutdown<E: Env>(&mut self, env: &mut E, how: Shutdown) -> Result<(), Errno> {
        if how.send()
            && matches!(
                self.state,
                State::Established | State::SynSent | State::CloseWait | State::SynRecv
            )
            && self.close_state(env)
        {
            self.send_fin(env);
        }
        Ok(())
    }

    /// Leaves the state in which data may be sent. Returns whether a FIN must be sent.
    ///
    /// Mirrors [`tcp_close_state`](srctree/net/ipv4/tcp.c).
    fn close_state<E: Env>(&mut self, env: &mut E) -> bool {
        let (next, fin) = match self.state {
            State::Established | State::SynRecv => (State::FinWait1, true),
            State::CloseWait => (State::LastAck, true),
            State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing => {
                return false;
            }
            _ => (State::Close, false),
        };
        if next == State::Close {
            self.purge_send(env);
            self.done(env);
        } else {
            self.set_state(env, next);
        }
        fin
    }

    /// close(2): nobody will read or write any more. The caller has marked the socket dead if it
    /// wants [`Env::done`] to be called when the connection ends.
    ///
    /// Mirrors [`__tcp_close`](srctree/net/ipv4/tcp.c).
    pub fn close<E: Env>(&mut self, env: &mut E, linger: Linger) -> Close {
        env.add_shutdown(Shutdown::BOTH);
        if self.state == State::Close || self.state == State::Listen {
            return Close::Gone;
        }
        // 3.6.1 and RFC 2525, 2.17: data that were received and never read are lost; the peer must
        // not believe that they were taken.
        let unread = self.unread() != 0;
        self.receive_queue.clear();
        self.copied_seq = self.rcv_nxt;
        self.ooo.clear();
        if unread && self.state.synchronised() {
            env.count(Counter::TcpAbortOnClose);
            self.abort(env);
            return Close::Gone;
        }
        if linger.abort {
            env.count(Counter::TcpAbortOnData);
            self.abort(env);
            return Close::Gone;
        }
        if self.close_state(env) {
            self.send_fin(env);
        }
        if self.state == State::Close {
            Close::Gone
        } else {
            Close::Closing
        }
    }

    /// The user has let go of a connection that [`Sock::close`] left closing: nothing but the peer's
    /// FIN is waited for any more, and not for ever.
    ///
    /// The second half of [`__tcp_close`](srctree/net/ipv4/tcp.c).
    pub fn orphan<E: Env>(&mut self, env: &mut E) {
        if self.state != State::FinWait2 {
            return;
        }
        if self.no_fin_wait2 {
            self.send_active_reset(env);
            env.count(Counter::TcpAbortOnLinger);
            self.done(env);
        } else {
            let timeout = self.fin_time(env.sysctl());
            self.time_wait(env, State::FinWait2, timeout);
        }
    }

    /// Ends the connection at once, with a reset if the peer knows of it.
    ///
    /// Mirrors [`tcp_disconnect`](srctree/net/ipv4/tcp.c).
    pub fn abort<E: Env>(&mut self, env: &mut E) {
        if matches!(
            self.state,
            State::Established
                | State::CloseWait
                | State::FinWait1
                | State::FinWait2
                | State::SynRecv
                | State::Closing
                | State::LastAck
        ) {
            self.send_active_reset(env);
        }
        self.purge_send(env);
        self.receive_queue.clear();
        self.ooo.clear();
        self.done(env);
    }

    /// Frees everything that was to be sent.
    ///
    /// Mirrors [`tcp_write_queue_purge`](srctree/net/ipv4/tcp.c).
    pub(super) fn purge_send<E: Env>(&mut self, env: &mut E) {
        while let Some(skb) = self.write_queue.pop_front() {
            env.wmem_uncharge(skb.truesize());
        }
        while let Some(skb) = self.rtx_queue.pop_first() {
            env.wmem_uncharge(skb.truesize());
        }
        self.packets_out = 0;
        self.retrans_out = 0;
        self.lost_out = 0;
        self.sacked_out = 0;
        self.retransmit_hint = None;
        self.tlp_high_seq = None;
        self.pending = super::state::Pending::Retrans;
        self.rto_at = None;
        self.chrono_stop(env.now(), Kind::Busy);
    }

    /// Frees every queue: before the memory of the connection goes.
    ///
    /// Mirrors [`tcp_v4_destroy_sock`](srctree/net/ipv4/tcp_ipv4.c).
    pub fn drop_queues<E: Env>(&mut self, env: &mut E) {
        self.purge_send(env);
        self.receive_queue.clear();
        self.ooo.clear();
    }

    /// Forgets the connection, keeping what the user has set: a socket may connect again
    /// (`connect(AF_UNSPEC)`, or after a failure).
    pub fn reset_for_reuse<E: Env>(&mut self, env: &mut E) {
        self.drop_queues(env);
        *self = Sock {
            window_clamp: 0,
            ..self.fresh()
        };
    }

    /// A connection that has not begun, with what the user has set of this one: what a listener's
    /// connections start from.
    pub fn fresh(&self) -> Sock {
        Sock {
            nonagle: self.nonagle,
            user_mss: self.user_mss,
            window_clamp: self.window_clamp,
            keepalive: self.keepalive,
            keepalive_time: self.keepalive_time,
            keepalive_intvl: self.keepalive_intvl,
            keepalive_probes: self.keepalive_probes,
            syn_retries: self.syn_retries,
            user_timeout: self.user_timeout,
            defer_accept: self.defer_accept,
            save_syn: self.save_syn,
            recvmsg_inq: self.recvmsg_inq,
            thin_lto: self.thin_lto,
            notsent_lowat: self.notsent_lowat,
            delack_max: self.delack_max,
            linger2: self.linger2,
            no_fin_wait2: self.no_fin_wait2,
            reordering: self.reordering,
            rto_min: self.rto_min,
            rto_max: self.rto_max,
            cong: self.cong.fresh(),
            ca_setsockopt: self.ca_setsockopt,
            ..Sock::new()
        }
    }

    /// TCP_WINDOW_CLAMP, in bytes; 0 if it was not set.
    pub fn window_clamp(&self) -> u32 {
        self.window_clamp
    }

    /// TCP_DEFER_ACCEPT, in SYN-ACKs; 0 if it was not set.
    pub fn defer_accept(&self) -> u8 {
        self.defer_accept
    }

    /// TCP_SAVE_SYN.
    pub fn save_syn(&self) -> u8 {
        self.save_syn
    }

    /// TCP_MAXSEG as the user set it, in bytes; 0 if he did not.
    pub fn user_mss(&self) -> u16 {
        self.user_mss
    }
}
