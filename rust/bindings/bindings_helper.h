/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The headers that bindgen reads, and the constants it cannot evaluate: a macro with a cast becomes a
 * variable named RUST_CONST_HELPER_X here and X in Rust.
 */
#include <asm/ioctls.h>
#include <linux/etherdevice.h>
#include <linux/errqueue.h>
#include <linux/hash.h>
#include <linux/icmp.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/igmp.h>
#include <linux/inetdevice.h>
#include <linux/ip.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mroute.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_arp.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_netdev.h>
#include <linux/percpu.h>
#include <linux/percpu_counter.h>
#include <linux/poll.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/rbtree.h>
#include <linux/rculist_nulls.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/skbuff_ref.h>
#include <linux/slab.h>
#include <linux/sockios.h>
#include <linux/spinlock.h>
#include <linux/swap.h>
#include <linux/splice.h>
#include <linux/sysctl.h>
#include <linux/tcp.h>
#include <linux/timer.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <net/arp.h>
#include <net/busy_poll.h>
#include <net/checksum.h>
#include <net/dst.h>
#include <net/fib_notifier.h>
#include <net/fib_rules.h>
#include <net/icmp.h>
#include <net/inet_common.h>
#include <net/inet_hashtables.h>
#include <net/inet_sock.h>
#include <net/ip.h>
#include <net/ip_fib.h>
#include <net/neighbour.h>
#include <net/net_namespace.h>
#include <net/l3mdev.h>
#include <net/netevent.h>
#include <net/netns/generic.h>
#include <net/nexthop.h>
#include <net/protocol.h>
#include <net/proto_memory.h>
#include <net/route.h>
#include <net/sock.h>
#include <net/sock_reuseport.h>
#include <net/tcp.h>
#include <net/tcp_states.h>
#include <net/udp.h>
#include "../../include/uapi/linux/rustnet.h"

const gfp_t RUST_CONST_HELPER_GFP_ATOMIC = GFP_ATOMIC;
const gfp_t RUST_CONST_HELPER_GFP_KERNEL = GFP_KERNEL;
const gfp_t RUST_CONST_HELPER___GFP_ZERO = __GFP_ZERO;
const gfp_t RUST_CONST_HELPER___GFP_NOWARN = __GFP_NOWARN;
const size_t RUST_CONST_HELPER_MAX_TCP_HEADER = MAX_TCP_HEADER;
const size_t RUST_CONST_HELPER_LL_MAX_HEADER = LL_MAX_HEADER;
const size_t RUST_CONST_HELPER_SMP_CACHE_BYTES = SMP_CACHE_BYTES;
const size_t RUST_CONST_HELPER_MAX_SKB_FRAGS = MAX_SKB_FRAGS;
const unsigned long RUST_CONST_HELPER_HZ = HZ;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_SG = NETIF_F_SG;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_HW_CSUM = NETIF_F_HW_CSUM;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_IP_CSUM = NETIF_F_IP_CSUM;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_TSO = NETIF_F_TSO;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_GSO = NETIF_F_GSO;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_GSO_SOFTWARE = NETIF_F_GSO_SOFTWARE;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_HIGHDMA = NETIF_F_HIGHDMA;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_GSO_MASK = NETIF_F_GSO_MASK;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_CSUM_MASK = NETIF_F_CSUM_MASK;
const slab_flags_t RUST_CONST_HELPER_SLAB_TYPESAFE_BY_RCU = SLAB_TYPESAFE_BY_RCU;
const slab_flags_t RUST_CONST_HELPER_SLAB_HWCACHE_ALIGN = SLAB_HWCACHE_ALIGN;
const slab_flags_t RUST_CONST_HELPER_SLAB_ACCOUNT = SLAB_ACCOUNT;
const __poll_t RUST_CONST_HELPER_EPOLLIN = EPOLLIN;
const __poll_t RUST_CONST_HELPER_EPOLLPRI = EPOLLPRI;
const __poll_t RUST_CONST_HELPER_EPOLLOUT = EPOLLOUT;
const __poll_t RUST_CONST_HELPER_EPOLLERR = EPOLLERR;
const __poll_t RUST_CONST_HELPER_EPOLLHUP = EPOLLHUP;
const __poll_t RUST_CONST_HELPER_EPOLLRDNORM = EPOLLRDNORM;
const __poll_t RUST_CONST_HELPER_EPOLLWRNORM = EPOLLWRNORM;
const __poll_t RUST_CONST_HELPER_EPOLLRDHUP = EPOLLRDHUP;
const __poll_t RUST_CONST_HELPER_EPOLLRDBAND = EPOLLRDBAND;
const __poll_t RUST_CONST_HELPER_EPOLLWRBAND = EPOLLWRBAND;
const unsigned int RUST_CONST_HELPER_TASK_INTERRUPTIBLE = TASK_INTERRUPTIBLE;
const long RUST_CONST_HELPER_MAX_SCHEDULE_TIMEOUT = MAX_SCHEDULE_TIMEOUT;
const unsigned int RUST_CONST_HELPER_O_NONBLOCK = O_NONBLOCK;
const unsigned int RUST_CONST_HELPER_SOCK_NOSPACE = SOCK_NOSPACE;
const unsigned int RUST_CONST_HELPER_SOCK_CUSTOM_SOCKOPT = SOCK_CUSTOM_SOCKOPT;
