#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The table of scripts/profile, from the counts of two guests.

report.py OPERATION OPS COUNTS COUNTS3 KALLSYMS LEAST [MODULE.ko]

COUNTS are of OPS operations, COUNTS3 of three times as many. With the module's
file the module's functions are shown as a tree of what was inlined into them.
"""

import bisect
import collections
import re
import subprocess
import sys


def counts(path):
    """Instructions by address; user space and what the plugin lost by name."""
    table = collections.Counter()
    for line in open(path):
        addr, n = line.split()
        table[addr if addr in ("user", "lost") else int(addr, 16)] += int(n)
    return table


def total(operation, ops):
    """Operations of one guest, those for warming up included (tools/bench/src/ops.rs)."""
    if operation == "tcp_bulk_per_byte":
        # In five runs, per thousand bytes.
        return 5 * ((4 << 20) + ops * 10_000) / 1000
    return ops + max(200, ops // 10)


def demangled(names):
    names = list(names)
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    plain = (re.sub(r"\[[0-9a-f]{16}\]", "", n).replace("rustnet_main::", "") for n in out.stdout.splitlines())
    return dict(zip(names, plain))


class Symbols:
    """What /proc/kallsyms says."""

    def __init__(self, path):
        self.table = []
        for line in open(path):
            addr, kind, name, *module = line.split()
            if kind in "tTwW":
                self.table.append((int(addr, 16), name, module[0] if module else ""))
        self.table.sort()
        self.addrs = [t[0] for t in self.table]

    def find(self, addr):
        at = bisect.bisect_right(self.addrs, addr) - 1
        return self.table[max(at, 0)]


def functions(per_op, symbols, least):
    table = collections.defaultdict(lambda: [0.0, 0.0])
    for addr, n in per_op.items():
        if isinstance(addr, str):
            table[(addr, "")][0] += n
            continue
        start, name, module = symbols.find(addr)
        row = table[(name, module)]
        row[0] += n
        if addr == start:
            row[1] += n
    names = demangled(name for name, _ in table)
    print("instructions     calls  function")
    for (name, module), (n, calls) in sorted(table.items(), key=lambda row: -row[1][0]):
        if n >= least:
            print(f"{n:12.1f} {calls:9.2f}  {names[name]} {module}".rstrip())
    print(f"{sum(row[0] for row in table.values()):12.1f}            in all")


def inlined(per_op, symbols, least, ko):
    """The module's functions, each with what was inlined into it."""
    offsets = {}
    for line in subprocess.run(["nm", ko], capture_output=True, text=True, check=True).stdout.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1] in "tT":
            offsets[fields[2]] = int(fields[0], 16)
    mine = [(addr, name) for addr, name, module in symbols.table if module == "[rustnet]"]
    # The sections other than .text lie elsewhere; they are small.
    base = collections.Counter(addr - offsets[name] for addr, name in mine if name in offsets).most_common(1)[0][0]
    addrs = [a for a, n in per_op.items() if isinstance(a, int) and n > 0 and symbols.find(a)[2] == "[rustnet]"]
    asked = "\n".join(hex(a - base) for a in addrs)
    out = subprocess.run(["addr2line", "-a", "-f", "-i", "-e", ko], input=asked, capture_output=True, text=True, check=True)
    frames, names = {}, set()
    for line in out.stdout.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            stack = frames[int(line, 16) + base] = []
            lines = 0
        else:
            if lines % 2 == 0:
                stack.append(line)
                names.add(line)
            lines += 1
    names = demangled(names)
    root = [0.0, {}]
    for addr, stack in frames.items():
        node = root
        for name in reversed(stack):
            node = node[1].setdefault(names.get(name, name), [0.0, {}])
            node[0] += per_op[addr]

    def show(children, depth):
        for name, (n, below) in sorted(children.items(), key=lambda row: -row[1][0]):
            if n >= least:
                print(f"{'  ' * depth}{n:.0f} {name}")
                show(below, depth + 1)

    show(root[1], 0)


def main():
    operation, ops, one, three, kallsyms, least, *ko = sys.argv[1:]
    ops = int(ops)
    done = total(operation, 3 * ops) - total(operation, ops)
    before, after = counts(one), counts(three)
    per_op = {a: (after[a] - before[a]) / done for a in before.keys() | after.keys()}
    symbols = Symbols(kallsyms)
    if ko:
        inlined(per_op, symbols, float(least), ko[0])
    else:
        functions(per_op, symbols, float(least))


main()
