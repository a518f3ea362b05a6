// SPDX-License-Identifier: GPL-2.0
//! What the kernel says of a socket, under the names that code blocks use.

use std::collections::HashMap;

/// Members of `struct tcp_info` in their order, with their bytes, as `include/uapi/linux/tcp.h` has them.
/// Each lies at the next multiple of its size.
const TCP_INFO: &[(&str, usize)] = &[
    ("tcpi_state", 1),
    ("tcpi_ca_state", 1),
    ("tcpi_retransmits", 1),
    ("tcpi_probes", 1),
    ("tcpi_backoff", 1),
    ("tcpi_options", 1),
    // Two halves of a byte; see `BITS`.
    ("wscale", 1),
    ("app_limited", 1),
    ("tcpi_rto", 4),
    ("tcpi_ato", 4),
    ("tcpi_snd_mss", 4),
    ("tcpi_rcv_mss", 4),
    ("tcpi_unacked", 4),
    ("tcpi_sacked", 4),
    ("tcpi_lost", 4),
    ("tcpi_retrans", 4),
    ("tcpi_fackets", 4),
    ("tcpi_last_data_sent", 4),
    ("tcpi_last_ack_sent", 4),
    ("tcpi_last_data_recv", 4),
    ("tcpi_last_ack_recv", 4),
    ("tcpi_pmtu", 4),
    ("tcpi_rcv_ssthresh", 4),
    ("tcpi_rtt", 4),
    ("tcpi_rttvar", 4),
    ("tcpi_snd_ssthresh", 4),
    ("tcpi_snd_cwnd", 4),
    ("tcpi_advmss", 4),
    ("tcpi_reordering", 4),
    ("tcpi_rcv_rtt", 4),
    ("tcpi_rcv_space", 4),
    ("tcpi_total_retrans", 4),
    ("tcpi_pacing_rate", 8),
    ("tcpi_max_pacing_rate", 8),
    ("tcpi_bytes_acked", 8),
    ("tcpi_bytes_received", 8),
    ("tcpi_segs_out", 4),
    ("tcpi_segs_in", 4),
    ("tcpi_notsent_bytes", 4),
    ("tcpi_min_rtt", 4),
    ("tcpi_data_segs_in", 4),
    ("tcpi_data_segs_out", 4),
    ("tcpi_delivery_rate", 8),
    ("tcpi_busy_time", 8),
    ("tcpi_rwnd_limited", 8),
    ("tcpi_sndbuf_limited", 8),
    ("tcpi_delivered", 4),
    ("tcpi_delivered_ce", 4),
    ("tcpi_bytes_sent", 8),
    ("tcpi_bytes_retrans", 8),
    ("tcpi_dsack_dups", 4),
    ("tcpi_reord_seen", 4),
    ("tcpi_rcv_ooopack", 4),
    ("tcpi_snd_wnd", 4),
    ("tcpi_rcv_wnd", 4),
    ("tcpi_rehash", 4),
    ("tcpi_total_rto", 2),
    ("tcpi_total_rto_recoveries", 2),
    ("tcpi_total_rto_time", 4),
    ("tcpi_received_ce", 4),
    ("tcpi_delivered_e1_bytes", 4),
    ("tcpi_delivered_e0_bytes", 4),
    ("tcpi_delivered_ce_bytes", 4),
    ("tcpi_received_e1_bytes", 4),
    ("tcpi_received_e0_bytes", 4),
    ("tcpi_received_ce_bytes", 4),
    ("accecn", 4),
];

/// Bit fields: name, the member they are part of, the lowest bit, and how many.
const BITS: &[(&str, &str, u32, u32)] = &[
    ("tcpi_snd_wscale", "wscale", 0, 4),
    ("tcpi_rcv_wscale", "wscale", 4, 4),
    ("tcpi_delivery_rate_app_limited", "app_limited", 0, 1),
    ("tcpi_fastopen_client_fail", "app_limited", 1, 2),
    ("tcpi_ecn_mode", "accecn", 0, 2),
    ("tcpi_accecn_opt_seen", "accecn", 2, 2),
    ("tcpi_accecn_fail_mode", "accecn", 4, 4),
    ("tcpi_options2", "accecn", 8, 24),
];

/// What TCP_CC_INFO may hold, by congestion control; they are a union.
const CC_INFO: &[&[(&str, usize)]] = &[
    &[
        ("tcpv_enabled", 4),
        ("tcpv_rttcnt", 4),
        ("tcpv_rtt", 4),
        ("tcpv_minrtt", 4),
    ],
    &[
        ("dctcp_enabled", 2),
        ("dctcp_ce_state", 2),
        ("dctcp_alpha", 4),
        ("dctcp_ab_ecn", 4),
        ("dctcp_ab_tot", 4),
    ],
    &[
        ("bbr_bw_lo", 4),
        ("bbr_bw_hi", 4),
        ("bbr_min_rtt", 4),
        ("bbr_pacing_gain", 4),
        ("bbr_cwnd_gain", 4),
    ],
];

/// The array that SO_MEMINFO returns.
const MEMINFO: &[(&str, usize)] = &[
    ("SK_MEMINFO_RMEM_ALLOC", 4),
    ("SK_MEMINFO_RCVBUF", 4),
    ("SK_MEMINFO_WMEM_ALLOC", 4),
    ("SK_MEMINFO_SNDBUF", 4),
    ("SK_MEMINFO_FWD_ALLOC", 4),
    ("SK_MEMINFO_WMEM_QUEUED", 4),
    ("SK_MEMINFO_OPTMEM", 4),
    ("SK_MEMINFO_BACKLOG", 4),
    ("SK_MEMINFO_DROPS", 4),
];

/// Constants beside them.
const CONSTANTS: &[(&str, i64)] = &[
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
    ("TCP_NEW_SYN_RECV", 12),
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TCPI_OPT_USEC_TS", 64),
    ("TCPI_OPT_TFO_CHILD", 128),
];

/// The least that TCP_INFO must return for a code block.
pub const TCP_INFO_LEN: usize = 280;

/// Names and values.
pub type Names = HashMap<String, i64>;

/// Reads the members that `bytes` is long enough for.
fn members(table: &[(&str, usize)], bytes: &[u8], names: &mut Names) {
    let mut at = 0usize;
    for (name, size) in table {
        at = at.next_multiple_of(*size);
        if let Some(field) = bytes.get(at..at + size) {
            let mut value = [0; 8];
            value[..*size].copy_from_slice(field);
            names.insert((*name).to_string(), i64::from_le_bytes(value));
        }
        at += size;
    }
}

/// All names, from what TCP_INFO, TCP_CC_INFO and SO_MEMINFO have returned.
pub fn names(tcp_info: &[u8], cc_info: &[u8], meminfo: &[u8]) -> Names {
    let mut names = Names::new();
    for (name, value) in CONSTANTS {
        names.insert((*name).to_string(), *value);
    }
    members(TCP_INFO, tcp_info, &mut names);
    for (name, member, shift, width) in BITS {
        if let Some(value) = names.get(*member) {
            names.insert((*name).to_string(), (value >> shift) & ((1 << width) - 1));
        }
    }
    for table in CC_INFO {
        members(table, cc_info, &mut names);
    }
    members(MEMINFO, meminfo, &mut names);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names__offsets_are_those_of_the_header() {
        // A few that other programs know by number, and the end of the structure.
        let bytes: Vec<u8> = (0..=255).chain(0..24).collect();
        let names = names(&bytes, &[], &[]);
        let at = |name: &str| names[name] & 0xff;
        assert_eq!(at("tcpi_rto"), 8);
        assert_eq!(at("tcpi_snd_cwnd"), 80);
        assert_eq!(at("tcpi_pacing_rate"), 104);
        assert_eq!(at("tcpi_busy_time"), 168);
        assert_eq!(at("tcpi_rcv_wnd"), 232);
        assert_eq!(at("tcpi_delivered_ce_bytes"), 260 & 0xff);
        assert_eq!(names["tcpi_snd_wscale"], 6);
        assert_eq!(TCP_INFO_LEN, bytes.len());
    }

    #[test]
    fn names__what_was_not_returned_has_no_value() {
        let names = names(&[1; 8], &[], &[0, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(names["SK_MEMINFO_RCVBUF"], 7);
        assert!(!names.contains_key("tcpi_rto"));
        assert!(!names.contains_key("bbr_bw_lo"));
    }
}
