// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros that Rust cannot call, one helper each and no logic. A helper is an
 * out-of-line call: on a hot path read the fields in Rust instead. To add one, write
 *
 *	<type> rust_helper_<name>(<args>) { return <name>(<args>); }
 *
 * and Rust sees it as bindings::<name>. Sorted by header.
 */
#include "../bindings/bindings_helper.h"

/* linux/err.h, linux/gfp.h, linux/slab.h */
void *rust_helper_kmalloc(size_t size, gfp_t flags)
{
	return kmalloc(size, flags);
}

void *rust_helper_kvmalloc_array(size_t n, size_t size, gfp_t flags)
{
	return kvmalloc_array(n, size, flags);
}

/* linux/rcupdate.h */
void rust_helper_rcu_read_lock(void)
{
	rcu_read_lock();
}

void rust_helper_rcu_read_unlock(void)
{
	rcu_read_unlock();
}

/* linux/spinlock.h, linux/bottom_half.h */
void rust_helper_spin_lock_init(spinlock_t *lock, const char *name, struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(spinlock_check(lock), name, key, LD_WAIT_CONFIG);
#else
	spin_lock_init(lock);
#endif
}

void rust_helper_spin_lock(spinlock_t *lock)
{
	spin_lock(lock);
}

void rust_helper_spin_unlock(spinlock_t *lock)
{
	spin_unlock(lock);
}

void rust_helper_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

void rust_helper_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}

int rust_helper_spin_trylock_bh(spinlock_t *lock)
{
	return spin_trylock_bh(lock);
}

unsigned int rust_helper_softirq_count(void)
{
	return softirq_count();
}

void rust_helper_local_bh_disable(void)
{
	local_bh_disable();
}

void rust_helper_local_bh_enable(void)
{
	local_bh_enable();
}

/* linux/skbuff.h */
void rust_helper_skb_frag_unref(struct sk_buff *skb, int f)
{
	skb_frag_unref(skb, f);
}

/* linux/percpu.h */
u64 __percpu *rust_helper_alloc_percpu_u64(size_t n)
{
	return __alloc_percpu(n * sizeof(u64), sizeof(u64));
}

void rust_helper_this_cpu_add_u64(u64 __percpu *p, u64 n)
{
	this_cpu_add(*p, n);
}

u64 rust_helper_percpu_sum_u64(u64 __percpu *p)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += *per_cpu_ptr(p, cpu);
	return sum;
}

/* linux/proc_fs.h */
struct proc_dir_entry *rust_helper_proc_net_mkdir(struct net *net, const char *name,
						  struct proc_dir_entry *parent)
{
	return proc_net_mkdir(net, name, parent);
}

void rust_helper_nf_reset_ct(struct sk_buff *skb)
{
	nf_reset_ct(skb);
}

/* linux/netdevice.h */
void rust_helper_dev_hold(struct net_device *dev)
{
	dev_hold(dev);
}

void rust_helper_dev_put(struct net_device *dev)
{
	dev_put(dev);
}

#include "sock.c"

/* net/dst.h */
void rust_helper_dst_hold(struct dst_entry *dst)
{
	dst_hold(dst);
}

/* linux/netfilter_bridge.h */
bool rust_helper_nf_bridge_in_prerouting(const struct sk_buff *skb)
{
	return nf_bridge_in_prerouting(skb);
}
