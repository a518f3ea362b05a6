// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros that the driver's abstractions cannot call, one helper each and no logic.
 * helpers.c says how; this file belongs to the other module, for an object may not be in two.
 */
#include "../bindings/driver/bindings_helper.h"

/* linux/slab.h */
void *rust_helper_kvmalloc_array(size_t n, size_t size, gfp_t flags)
{
	return kvmalloc_array(n, size, flags);
}

/* linux/spinlock.h */
void rust_helper_spin_lock_init(spinlock_t *lock, const char *name, struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(spinlock_check(lock), name, key, LD_WAIT_CONFIG);
#else
	spin_lock_init(lock);
#endif
}

void rust_helper_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

void rust_helper_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}

/* linux/io.h */
u32 rust_helper_readl(const void __iomem *addr)
{
	return readl(addr);
}

void rust_helper_writel(u32 value, void __iomem *addr)
{
	writel(value, addr);
}

/* linux/device.h */
void *rust_helper_dev_get_drvdata(const struct device *dev)
{
	return dev_get_drvdata(dev);
}

void rust_helper_dev_set_drvdata(struct device *dev, void *data)
{
	dev_set_drvdata(dev, data);
}

/* linux/pci.h */
u64 rust_helper_pci_resource_len(struct pci_dev *pdev, int bar)
{
	return pci_resource_len(pdev, bar);
}

/* linux/dma-mapping.h */
int rust_helper_dma_set_mask_and_coherent(struct device *dev, u64 mask)
{
	return dma_set_mask_and_coherent(dev, mask);
}

int rust_helper_dma_mapping_error(struct device *dev, dma_addr_t addr)
{
	return dma_mapping_error(dev, addr);
}

dma_addr_t rust_helper_dma_map_single(struct device *dev, void *ptr, size_t size)
{
	return dma_map_single(dev, ptr, size, DMA_TO_DEVICE);
}

dma_addr_t rust_helper_skb_frag_dma_map(struct device *dev, const skb_frag_t *frag, size_t size)
{
	return skb_frag_dma_map(dev, frag, 0, size, DMA_TO_DEVICE);
}

/* linux/workqueue.h */
void rust_helper_init_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

void rust_helper_init_delayed_work(struct delayed_work *work, work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

bool rust_helper_schedule_work(struct work_struct *work)
{
	return schedule_work(work);
}

bool rust_helper_mod_delayed_work(struct delayed_work *work, unsigned long delay)
{
	return mod_delayed_work(system_percpu_wq, work, delay);
}

/* linux/delay.h */
void rust_helper_fsleep(unsigned long usecs)
{
	fsleep(usecs);
}

/* linux/netdevice.h */
void rust_helper_set_netdev_dev(struct net_device *dev, struct device *parent)
{
	SET_NETDEV_DEV(dev, parent);
}

void rust_helper_netif_napi_add(struct net_device *dev, struct napi_struct *napi,
				int (*poll)(struct napi_struct *, int))
{
	netif_napi_add(dev, napi, poll);
}

void rust_helper_netif_napi_del(struct napi_struct *napi)
{
	netif_napi_del(napi);
}

void rust_helper_netif_napi_set_irq(struct napi_struct *napi, int irq)
{
	netif_napi_set_irq(napi, irq);
}

void rust_helper_netif_start_queue(struct net_device *dev)
{
	netif_start_queue(dev);
}

void rust_helper_netif_stop_queue(struct net_device *dev)
{
	netif_stop_queue(dev);
}

void rust_helper_netif_wake_queue(struct net_device *dev)
{
	netif_wake_queue(dev);
}

void rust_helper_netif_tx_disable(struct net_device *dev)
{
	netif_tx_disable(dev);
}

void rust_helper_netif_tx_lock_bh(struct net_device *dev)
{
	netif_tx_lock_bh(dev);
}

void rust_helper_netif_tx_unlock_bh(struct net_device *dev)
{
	netif_tx_unlock_bh(dev);
}

void rust_helper_netif_addr_lock_bh(struct net_device *dev)
{
	netif_addr_lock_bh(dev);
}

void rust_helper_netif_addr_unlock_bh(struct net_device *dev)
{
	netif_addr_unlock_bh(dev);
}

bool rust_helper_netdev_sent_queue(struct net_device *dev, unsigned int bytes, bool more)
{
	return __netdev_sent_queue(dev, bytes, more);
}

void rust_helper_netdev_completed_queue(struct net_device *dev, unsigned int pkts, unsigned int bytes)
{
	netdev_completed_queue(dev, pkts, bytes);
}

void rust_helper_netdev_reset_queue(struct net_device *dev)
{
	netdev_reset_queue(dev);
}

bool rust_helper_netdev_xmit_more(void)
{
	return netdev_xmit_more();
}

void rust_helper_eth_hw_addr_set(struct net_device *dev, const u8 *addr)
{
	eth_hw_addr_set(dev, addr);
}

/* linux/skbuff.h */
int rust_helper_skb_cow_head(struct sk_buff *skb, unsigned int headroom)
{
	return skb_cow_head(skb, headroom);
}

/* linux/etherdevice.h */
int rust_helper_eth_skb_pad(struct sk_buff *skb)
{
	return eth_skb_pad(skb);
}

void rust_helper_skb_mark_for_recycle(struct sk_buff *skb)
{
	skb_mark_for_recycle(skb);
}

void rust_helper_skb_add_rx_frag(struct sk_buff *skb, int i, struct page *page, int off, int size,
				 unsigned int truesize)
{
	skb_add_rx_frag(skb, i, page, off, size, truesize);
}

void rust_helper_skb_tx_timestamp(struct sk_buff *skb)
{
	skb_tx_timestamp(skb);
}

/* linux/mm.h, net/page_pool/helpers.h */
void *rust_helper_page_address(const struct page *page)
{
	return page_address(page);
}

dma_addr_t rust_helper_page_pool_get_dma_addr(const struct page *page)
{
	return page_pool_get_dma_addr(page);
}

void rust_helper_page_pool_put_full_page(struct page_pool *pool, struct page *page, bool direct)
{
	page_pool_put_full_page(pool, page, direct);
}

bool rust_helper_dma_dev_need_sync(const struct device *dev)
{
	return dma_dev_need_sync(dev);
}

void rust_helper_page_pool_dma_sync_for_cpu(const struct page_pool *pool, const struct page *page,
					    u32 offset, u32 size)
{
	page_pool_dma_sync_for_cpu(pool, page, offset, size);
}
