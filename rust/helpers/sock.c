// SPDX-License-Identifier: GPL-2.0
/* Helpers around sockets: part of helpers.c, whose head says how to add one. */

/* linux/percpu.h, linux/percpu_counter.h */
int __percpu *rust_helper_alloc_percpu_int(void)
{
	return alloc_percpu(int);
}

int rust_helper_percpu_counter_init(struct percpu_counter *c, s64 n, gfp_t gfp)
{
	return percpu_counter_init(c, n, gfp);
}

/* linux/timer.h */
void rust_helper_timer_setup_flags0(struct timer_list *t, void (*f)(struct timer_list *))
{
	timer_setup(t, f, 0);
}

/* linux/workqueue.h */
void rust_helper_init_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

/* linux/sched.h, linux/sched/signal.h */
struct task_struct *rust_helper_get_current(void)
{
	return current;
}

bool rust_helper_signal_pending_current(void)
{
	return signal_pending(current);
}

/* linux/cred.h */
kgid_t rust_helper_current_egid(void)
{
	return current_egid();
}

const struct group_info *rust_helper_current_groups(void)
{
	return current_cred()->group_info;
}

/* net/sock.h */
void rust_helper_sock_recv_timestamp(struct msghdr *msg, struct sock *sk, struct sk_buff *skb)
{
	sock_recv_timestamp(msg, sk, skb);
}

/* linux/poll.h, linux/wait.h */
void *rust_helper_poll_to_key(__poll_t m)
{
	return poll_to_key(m);
}

/* linux/sockptr.h, linux/uaccess.h */
int rust_helper_copy_from_sockptr(void *dst, sockptr_t src, size_t size)
{
	return copy_from_sockptr(dst, src, size);
}

unsigned long rust_helper_copy_from_user(void *to, const void __user *from, unsigned long n)
{
	return copy_from_user(to, from, n);
}

unsigned long rust_helper_copy_to_user(void __user *to, const void *from, unsigned long n)
{
	return copy_to_user(to, from, n);
}

/* linux/mm.h, linux/skbuff.h */
void *rust_helper_page_address(const struct page *page)
{
	return page_address(page);
}

void rust_helper_get_page(struct page *page)
{
	get_page(page);
}

void rust_helper_skb_fill_page_desc(struct sk_buff *skb, int i, struct page *page, int off, int size)
{
	skb_fill_page_desc(skb, i, page, off, size);
}

/* net/sock.h, net/inet_sock.h */
void rust_helper_sk_sockets_allocated_inc(struct sock *sk)
{
	sk_sockets_allocated_inc(sk);
}

void rust_helper_sk_sockets_allocated_dec(struct sock *sk)
{
	sk_sockets_allocated_dec(sk);
}

wait_queue_head_t *rust_helper_sk_sleep(struct sock *sk)
{
	return sk_sleep(sk);
}

void rust_helper_bh_lock_sock(struct sock *sk)
{
	bh_lock_sock(sk);
}

void rust_helper_bh_lock_sock_nested(struct sock *sk)
{
	bh_lock_sock_nested(sk);
}

void rust_helper_bh_unlock_sock(struct sock *sk)
{
	bh_unlock_sock(sk);
}

bool rust_helper_sock_owned_by_user(const struct sock *sk)
{
	return sock_owned_by_user(sk);
}

int rust_helper_sk_add_backlog(struct sock *sk, struct sk_buff *skb, unsigned int limit)
{
	return sk_add_backlog(sk, skb, limit);
}

void rust_helper_sock_orphan(struct sock *sk)
{
	sock_orphan(sk);
}

struct page_frag *rust_helper_sk_page_frag(struct sock *sk)
{
	return sk_page_frag(sk);
}

bool rust_helper_skwq_has_sleeper(struct socket_wq *wq)
{
	return skwq_has_sleeper(wq);
}

void rust_helper_sk_wake_async(const struct sock *sk, int how, int band)
{
	sk_wake_async(sk, how, band);
}

void rust_helper_sock_poll_wait(struct file *file, struct socket *sock, poll_table *p)
{
	sock_poll_wait(file, sock, p);
}

void rust_helper_sock_recv_cmsgs(struct msghdr *msg, struct sock *sk, struct sk_buff *skb)
{
	sock_recv_cmsgs(msg, sk, skb);
}

unsigned long rust_helper_inet_cmsg_flags(const struct inet_sock *inet)
{
	return inet_cmsg_flags(inet);
}

/* net/ip.h */
bool rust_helper_inet_is_local_reserved_port(const struct net *net, unsigned short port)
{
	return inet_is_local_reserved_port(net, port);
}

/* linux/skbuff.h */
unsigned int rust_helper_skb_queue_first_len(struct sk_buff_head *list)
{
	struct sk_buff *skb;
	unsigned int len = 0;

	spin_lock_bh(&list->lock);
	skb = skb_peek(list);
	if (skb)
		len = skb->len;
	spin_unlock_bh(&list->lock);
	return len;
}

void rust_helper_sk_set_async_nospace(struct sock *sk)
{
	sk_set_bit(SOCKWQ_ASYNC_NOSPACE, sk);
}

void rust_helper_skb_clear_delivery_time(struct sk_buff *skb)
{
	skb_clear_delivery_time(skb);
}

void rust_helper_skb_set_delivery_type_by_clockid(struct sk_buff *skb, ktime_t kt, clockid_t clockid)
{
	skb_set_delivery_type_by_clockid(skb, kt, clockid);
}

int rust_helper_sk_peek_offset(const struct sock *sk, int flags)
{
	return sk_peek_offset(sk, flags);
}
