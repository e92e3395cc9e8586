#!/usr/bin/env python3
"""Puts the figures of a `reins eval` table into README.md: its head, the means in a few columns, and the savings.

  bench/readme_table.py bench/results/emulated_xu3_headline.txt [README.md]
"""
import re
import sys

MARKS = "<!-- table: begin -->", "<!-- table: end -->"
COLUMNS = {"policy", "mJ", "miss", "p95", "accuracy", "/req"}  # by the words in the two lines of the table's head
DROPPED = re.compile(r"^(powersave/|seed\d)")


def blocks(text):
    return [block.splitlines() for block in re.split(r"\n\s*\n", text.strip("\n"))]


def narrowed(lines):
    """The means: rows of single seeds and of powersave left out, and of the columns those that COLUMNS names."""
    title, upper, lower, rows = lines[0], lines[1], lines[2], lines[3:]
    ends = [match.end() for match in re.finditer(r"\S+(?: \S+)*", lower)]
    kept, begin = [], 0
    for end in ends:
        words = set((upper[begin:end] + " " + lower[begin:end]).split())
        if not kept:  # names are aligned to the left, all else to the right
            begin = max(len(re.match(r"\S+(?: \S+)*", row).group()) for row in rows if not row.startswith("-"))
            kept.append((0, begin))
            continue
        if words & COLUMNS and not words & {"to", "shield"}:
            kept.append((begin, end))
        begin = end
    out = [title]
    for row in [upper, lower] + rows:
        if DROPPED.match(row):
            continue
        if row.startswith("-"):
            out.append("-" * sum(end - begin for begin, end in kept))
            continue
        out.append("".join(row[begin:end].ljust(end - begin) for begin, end in kept).rstrip())
    return [row for i, row in enumerate(out) if not (row.startswith("-") and out[i - 1].startswith("-"))]


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    readme = sys.argv[2] if len(sys.argv) == 3 else "README.md"
    with open(sys.argv[1], encoding="utf-8") as file:
        table = file.read().split("\nEvery cell\n")[0]
    shown = []
    for block in blocks(table):
        shown.append(narrowed(block) if block[0].startswith("Mean over") else [x for x in block if not DROPPED.match(x)])
    text = "\n\n".join("\n".join(block) for block in shown)
    with open(readme, encoding="utf-8") as file:
        whole = file.read()
    if any(whole.count(mark) != 1 for mark in MARKS):
        sys.exit(f"{readme}: wants one line '{MARKS[0]}' and one '{MARKS[1]}'")
    before, rest = whole.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    with open(readme, "w", encoding="utf-8") as file:
        file.write(f"{before}{MARKS[0]}\n```text\n{text}\n```\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
