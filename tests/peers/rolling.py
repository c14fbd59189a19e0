"""Texts by lm-evaluation-harness (lm-eval 0.4.13, its transformers backend), one by one beside the texts of `rtune eval`:
    rolling.py REPORT.json MODEL GOLDEN.jsonl

Prints the largest difference in nats, as a part of max(1, nats). Exits with 1 where it is above 1e-4, or words and bytes differ.
"""
import json, os, re, sys
os.environ["HF_HUB_OFFLINE"] = "1"
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

report_file, model, golden = sys.argv[1:]
rows = json.load(open(report_file, encoding="utf-8"))["texts"]["rows"]
texts = [row["text"] for row in map(json.loads, open(golden, encoding="utf-8")) if "text" in row]
peer = HFLM(pretrained=model, device="cpu", dtype="float32", batch_size=1)
asked = [Instance("loglikelihood_rolling", {}, (text,), index) for index, text in enumerate(texts)]
found = [one if isinstance(one, float) else one[0] for one in peer.loglikelihood_rolling(asked)]
worst, wrong = 0.0, len(rows) != len(texts)
for row, text, likelihood in zip(rows, texts, found):
    nats = row["base"]["nats"]
    worst = max(worst, abs(nats + likelihood) / max(1.0, -likelihood))
    wrong |= row["words"] != len(re.split(r"\s+", text)) or row["bytes"] != len(text.encode())
    print(f"{row['id']}: {nats:.6f} here, {-likelihood:.6f} there, {row['tokens']} tokens")
print(f"largest difference {worst:.1e}")
sys.exit(1 if wrong or worst > 1e-4 else 0)
