// SPDX-License-Identifier: GPL-2.0
/*
 * profile.so: a plugin of QEMU's that counts every instruction of the guest's
 * kernel by its address. Nothing is sampled and nothing in the guest changes:
 * with ICOUNT=1 the counts of two runs differ only where the guest did.
 *
 *   -plugin profile.so,out=FILE
 *
 * writes "address count" for each instruction that ran, at the end, and one
 * line "user count" for everything below the kernel's half.
 *
 * The declarations stand here because Debian ships no qemu-plugin.h.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
typedef struct {
	struct qemu_plugin_scoreboard *score;
	size_t offset;
} qemu_plugin_u64;
enum { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
		void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *tb,
		int op, qemu_plugin_u64 entry, uint64_t imm);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id,
		void (*cb)(qemu_plugin_id_t, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t size);
uint64_t qemu_plugin_u64_sum(qemu_plugin_u64 entry);

/* The interface of QEMU 9.1 and newer. */
int qemu_plugin_version = 4;

#define KERNEL (1ULL << 63)
#define BLOCKS (1U << 20)

struct block {
	uint32_t len;
	uint64_t insns[];
};

static struct qemu_plugin_scoreboard *score;
static struct block *blocks[BLOCKS];
static uint32_t nr_blocks = 1;	/* 0 is user space. */
static uint32_t hash[2 * BLOCKS];
static uint64_t lost;
static FILE *out;

static qemu_plugin_u64 entry(uint32_t i)
{
	return (qemu_plugin_u64){ score, sizeof(uint64_t) * i };
}

/* The number of a block: one that is translated again keeps it. */
static uint32_t number_of(struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb);
	uint64_t start = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
	uint32_t h = (start * 0x9e3779b97f4a7c15ULL >> 40) + n;
	struct block *b;

	if (start < KERNEL)
		return 0;
	for (;; h++) {
		h %= 2 * BLOCKS;
		if (!hash[h])
			break;
		b = blocks[hash[h]];
		if (b->insns[0] == start && b->len == n)
			return hash[h];
	}
	b = nr_blocks < BLOCKS ? malloc(sizeof(*b) + n * sizeof(uint64_t)) : NULL;
	if (!b) {
		lost++;
		return 0;
	}
	b->len = n;
	for (size_t i = 0; i < n; i++)
		b->insns[i] = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i));
	blocks[nr_blocks] = b;
	hash[h] = nr_blocks;
	return nr_blocks++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	uint32_t nr = number_of(tb);

	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64,
			entry(nr), nr ? 1 : qemu_plugin_tb_n_insns(tb));
}

static void ended(qemu_plugin_id_t id, void *data)
{
	fprintf(out, "user %" PRIu64 "\n", qemu_plugin_u64_sum(entry(0)));
	for (uint32_t i = 1; i < nr_blocks; i++) {
		uint64_t count = qemu_plugin_u64_sum(entry(i));

		for (uint32_t k = 0; count && k < blocks[i]->len; k++)
			fprintf(out, "%" PRIx64 " %" PRIu64 "\n", blocks[i]->insns[k], count);
	}
	if (lost)
		fprintf(out, "lost %" PRIu64 "\n", lost);
	fclose(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
	if (!out) {
		fprintf(stderr, "profile: out=FILE says where the counts go\n");
		return -1;
	}
	score = qemu_plugin_scoreboard_new(sizeof(uint64_t) * BLOCKS);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
