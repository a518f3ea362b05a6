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
