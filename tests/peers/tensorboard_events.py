"""Reads a run's TensorBoard events as `tensorboard` does and holds them against metrics.jsonl: tensorboard_events.py RUN

Every scalar of every line must be there, at its step, as the nearest 32-bit float, and nothing else. Needs tensorboard.
"""
import json, struct, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEP = {"train/loss_nats": "train_loss_nats", "train/grad_norm": "grad_norm", "train/lr": "lr", "train/epoch": "epoch",
        "train/tokens_per_second": "tokens_per_second", "train/loss_spike": "loss_spike"}
EVALUATION = {"validation/loss_nats": "validation_loss_nats", "validation/perplexity": "perplexity",
              "validation/token_accuracy": "token_accuracy"}


def single(number):
    return struct.unpack("<f", struct.pack("<f", number))[0]


def main():
    run = Path(sys.argv[1])
    expected = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        for tag, key in (EVALUATION if "perplexity" in line else STEP).items():
            expected.setdefault(tag, []).append((line["step"], single(float(line.get(key, False)))))
    # 0 keeps every event; by default a sample of each tag is kept.
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    found = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    wrong = [tag for tag in sorted(expected.keys() | found.keys()) if expected.get(tag) != found.get(tag)]
    for tag in wrong:
        print(f"{tag}: expected {expected.get(tag)}, found {found.get(tag)}")
    if wrong or not expected:
        sys.exit(1)
    print(f"{sum(map(len, found.values()))} values of {len(found)} scalars, all as in metrics.jsonl")


main()
