"""Perplexities of expected answers and of all tokens by transformers, beside those of `rtune eval --all-tokens`:
    perplexity.py REPORT.json MODEL GOLDEN.jsonl

The rows are of instruction and output. An answer is what the template puts behind the prompt, up to the token that ends it. Exits with 1 where a
perplexity is more than a ten-thousandth off.
"""
import json, math, os, re, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

report, folder, golden = sys.argv[1:]
base = json.load(open(report, encoding="utf-8"))["base"]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
sums = {name: {"nats": 0.0, "tokens": 0, "right": 0, "text_nats": 0.0, "words": 0, "bytes": 0} for name in ("answers", "all_tokens")}
for line in open(golden, encoding="utf-8"):
    row = json.loads(line)
    talk = [{"role": "user", "content": row["instruction"]}]
    before = tokenizer.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template(talk + [{"role": "assistant", "content": row["output"]}], tokenize=False)
    assert whole.startswith(before + row["output"])
    prompt = tokenizer(before, add_special_tokens=False)["input_ids"]
    ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
    end = next(i for i in range(len(prompt), len(ids)) if ids[i] in tokenizer.all_special_ids)
    ids = ids[: end + 1]
    assert ids[: len(prompt)] == prompt
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].double()
    nats = -torch.log_softmax(logits, -1)[range(len(ids) - 1), ids[1:]]
    right = logits.argmax(-1) == torch.tensor(ids[1:])
    answer, everything = sums["answers"], sums["all_tokens"]
    for total, start in ((answer, len(prompt) - 1), (everything, 0)):
        total["nats"] += nats[start:].sum().item()
        total["tokens"] += len(ids) - 1 - start
        total["right"] += right[start:].sum().item()
    answer["text_nats"] += nats[len(prompt) - 1 : -1].sum().item()
    everything["text_nats"] += nats.sum().item()
    for total, text in ((answer, row["output"]), (everything, tokenizer.decode(ids[1:]))):
        total["words"] += len(re.split(r"\s+", text))
        total["bytes"] += len(text.encode())

worst = 0.0
for name, total in sums.items():
    theirs = {
        "token_perplexity": math.exp(total["nats"] / total["tokens"]),
        "word_perplexity": math.exp(total["text_nats"] / total["words"]),
        "byte_perplexity": math.exp(total["text_nats"] / total["bytes"]),
        "bits_per_byte": total["text_nats"] / total["bytes"] / math.log(2),
        "token_accuracy": total["right"] / total["tokens"],
    }
    ours = base[name]
    assert (ours["tokens"], ours["words"], ours["bytes"]) == (total["tokens"], total["words"], total["bytes"]), (ours, total)
    for figure, value in theirs.items():
        difference = abs(ours[figure] / value - 1) if value else abs(ours[figure])
        # A perplexity a word is e to a large number: what is compared is that number.
        if figure == "word_perplexity":
            difference = abs(math.log(ours[figure]) / math.log(value) - 1)
        worst = max(worst, difference)
        print(f"{name} {figure}: {ours[figure]:.6f}, transformers {value:.6f}")
print(f"largest relative difference {worst:.2e}")
if worst > 1e-4:
    sys.exit(1)
print("all figures agree")
