"""Reads a run's TensorBoard events as `tensorboard` does and holds them against metrics.jsonl: tensorboard_events.py RUN

Every scalar of every line must be there, at its step, as the nearest 32-bit float, and every sample answer as a text; nothing else. Needs tensorboard.
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
    expected, texts = {}, {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        if "sample_id" in line:
            texts.setdefault("sample/" + line["sample_id"], []).append((line["step"], line["answer"]))
            continue
        if "golden" in line or "general_right" in line:
            figures = line.get("golden") or {"loss_nats": line["general_loss_nats"], "right": line["general_right"]}
            kind = "golden" if "golden" in line else "general"
            for name, value in figures.items():
                expected.setdefault(f"{kind}/{name}", []).append((line["step"], single(value)))
            continue
        for tag, key in (EVALUATION if "perplexity" in line else STEP).items():
            expected.setdefault(tag, []).append((line["step"], single(float(line.get(key, False)))))
    # 0 keeps every event; by default a sample of each tag is kept.
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    found = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    wrong = [tag for tag in sorted(expected.keys() | found.keys()) if expected.get(tag) != found.get(tag)]
    for tag in wrong:
        print(f"{tag}: expected {expected.get(tag)}, found {found.get(tag)}")
    if sorted(texts) != sorted(events.Tags()["tensors"]):
        wrong.append(f"texts: expected {sorted(texts)}, found {events.Tags()['tensors']}")
    for tag, answers in texts.items():
        # Markdown: every line of an answer is indented by four spaces.
        shown = [(step, "".join(f"    {part}\n" for part in answer.splitlines())) for step, answer in answers]
        read = [(event.step, event.tensor_proto.string_val[0].decode()) for event in events.Tensors(tag)]
        same = len(shown) == len(read) and all(a == b and text.endswith("**answer**\n\n" + answer) for (a, answer), (b, text) in zip(shown, read))
        if not same or events.SummaryMetadata(tag).plugin_data.plugin_name != "text":
            wrong.append(tag)
            print(f"{tag}: expected {shown}, found {read}")
    if wrong or not expected:
        print(wrong)
        sys.exit(1)
    print(f"{sum(map(len, found.values()))} values of {len(found)} scalars and {sum(map(len, texts.values()))} texts, all as in metrics.jsonl")


main()
