/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The headers that bindgen reads for the driver, and the constants it cannot evaluate: a macro with a cast
 * becomes a variable named RUST_CONST_HELPER_X here and X in Rust.
 */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/if_vlan.h>
#include <linux/interrupt.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/tcp.h>
#include <linux/workqueue.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/types.h>

const gfp_t RUST_CONST_HELPER_GFP_ATOMIC = GFP_ATOMIC;
const gfp_t RUST_CONST_HELPER_GFP_KERNEL = GFP_KERNEL;
const gfp_t RUST_CONST_HELPER___GFP_ZERO = __GFP_ZERO;
const gfp_t RUST_CONST_HELPER___GFP_NOWARN = __GFP_NOWARN;
const size_t RUST_CONST_HELPER_PAGE_SIZE = PAGE_SIZE;
const unsigned long RUST_CONST_HELPER_HZ = HZ;
const size_t RUST_CONST_HELPER_MAX_SKB_FRAGS = MAX_SKB_FRAGS;
const size_t RUST_CONST_HELPER_L1_CACHE_BYTES = L1_CACHE_BYTES;
const size_t RUST_CONST_HELPER_SMP_CACHE_BYTES = SMP_CACHE_BYTES;
const size_t RUST_CONST_HELPER_NET_IP_ALIGN = NET_IP_ALIGN;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_SG = NETIF_F_SG;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_HW_CSUM = NETIF_F_HW_CSUM;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_TSO = NETIF_F_TSO;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_TSO6 = NETIF_F_TSO6;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_RXCSUM = NETIF_F_RXCSUM;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_RXALL = NETIF_F_RXALL;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_RXFCS = NETIF_F_RXFCS;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_HIGHDMA = NETIF_F_HIGHDMA;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_HW_VLAN_CTAG_TX = NETIF_F_HW_VLAN_CTAG_TX;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_HW_VLAN_CTAG_RX = NETIF_F_HW_VLAN_CTAG_RX;
const netdev_features_t RUST_CONST_HELPER_NETIF_F_HW_VLAN_CTAG_FILTER = NETIF_F_HW_VLAN_CTAG_FILTER;
const u32 RUST_CONST_HELPER_ETHTOOL_COALESCE_RX_USECS = ETHTOOL_COALESCE_RX_USECS;
const u32 RUST_CONST_HELPER_IRQF_SHARED = IRQF_SHARED;
const dma_addr_t RUST_CONST_HELPER_DMA_MAPPING_ERROR = DMA_MAPPING_ERROR;
const u32 RUST_CONST_HELPER_IORESOURCE_MEM = IORESOURCE_MEM;
const u32 RUST_CONST_HELPER_PP_FLAG_DMA_MAP = PP_FLAG_DMA_MAP;
const u32 RUST_CONST_HELPER_PP_FLAG_DMA_SYNC_DEV = PP_FLAG_DMA_SYNC_DEV;
const u32 RUST_CONST_HELPER_SUPPORTED_10baseT_Half = SUPPORTED_10baseT_Half;
const u32 RUST_CONST_HELPER_SUPPORTED_10baseT_Full = SUPPORTED_10baseT_Full;
const u32 RUST_CONST_HELPER_SUPPORTED_100baseT_Half = SUPPORTED_100baseT_Half;
const u32 RUST_CONST_HELPER_SUPPORTED_100baseT_Full = SUPPORTED_100baseT_Full;
const u32 RUST_CONST_HELPER_SUPPORTED_1000baseT_Full = SUPPORTED_1000baseT_Full;
const u32 RUST_CONST_HELPER_SUPPORTED_Autoneg = SUPPORTED_Autoneg;
const u32 RUST_CONST_HELPER_SUPPORTED_TP = SUPPORTED_TP;
