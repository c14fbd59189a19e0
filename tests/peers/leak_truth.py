"""Near-equal pairs of texts by exact comparison: the truth of the exams `exam_leak` and `exam_neardup`.

    python3 leak_truth.py TEST TRAIN > leak.json      pairs of a text of TEST with one of TRAIN
    python3 leak_truth.py TEXTS > neardup.json        pairs within TEXTS

Texts stand one a line, or in the first column of a CSV file with a header. Pairs are [i, j, Jaccard index], counted
from 0. Rows are found through the 5-grams they have in common, so that no pair above the threshold can be missed.
"""

import collections
import csv
import json
import re
import sys

THRESHOLD = 0.7
RULE = (
    "lower; runs of white space to one space; drop every character outside [\\w ]; strip; "
    "set of character 5-grams (the whole text where shorter); exact Jaccard"
)


def texts(path):
    with open(path, encoding="utf-8", newline="") as file:
        if path.endswith(".csv"):
            return [row[0] for row in csv.reader(file)][1:]
        return file.read().rstrip("\n").split("\n")


def shingles(text):
    text = re.sub(r"[^\w ]", "", re.sub(r"\s+", " ", text.lower())).strip()
    return {text[start : start + 5] for start in range(max(1, len(text) - 4))}


def pairs(ones, others, within):
    rows_of = collections.defaultdict(list)
    for row, other in enumerate(others):
        for shingle in other:
            rows_of[shingle].append(row)
    for row, one in enumerate(ones):
        both = collections.Counter(other for shingle in one for other in rows_of[shingle])
        for other, count in sorted(both.items()):
            index = count / (len(one) + len(others[other]) - count)
            if index >= THRESHOLD and not (within and other <= row):
                yield [row, other, round(index, 4)]


def main():
    sides = [[shingles(text) for text in texts(path)] for path in sys.argv[1:3]]
    found = list(pairs(sides[0], sides[-1], within=len(sides) == 1))
    json.dump({"rule": RULE, "threshold": THRESHOLD, "pairs": found}, sys.stdout)
    print(f"{len(found)} pairs of {' and '.join(str(len(side)) for side in sides)} texts", file=sys.stderr)


if __name__ == "__main__":
    main()
