/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * RustNet: a TCP/IP protocol family in Rust.
 *
 * The only header that userspace needs beside <netinet/in.h>: addresses are struct sockaddr_in with
 * AF_INET (AF_RUSTNET is accepted there too), and protocols and options keep their IPv4 numbers.
 */
#ifndef _UAPI_LINUX_RUSTNET_H
#define _UAPI_LINUX_RUSTNET_H

/*
 * The kernel's table of families is full (AF_MAX) and refuses numbers beyond it, so a module has to take
 * a slot whose name is left over from a family that is gone. 19 was AF_ECONET, removed in 2012. The module
 * parameter "family" chooses another one.
 */
#define AF_RUSTNET	19
#define PF_RUSTNET	AF_RUSTNET

#endif /* _UAPI_LINUX_RUSTNET_H */
