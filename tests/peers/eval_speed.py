"""Seconds that transformers' batched generate takes for the prompts of a golden file:
    eval_speed.py MODEL GOLDEN.jsonl MAX_NEW_TOKENS BATCH [--sorted] [ADAPTER]

Prints seconds and tokens of the answers (up to their end). Loading is not counted. Prompts are batched in the file's order, or with --sorted
by their length, which saves padding. Float32, as many threads as there are cores. With ADAPTER the adapter is merged first, which is faster.
"""
import json, os, sys, time
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

arguments = [a for a in sys.argv[1:] if a != "--sorted"]
model_folder, golden, limit, batch, *adapter = arguments
limit, batch = int(limit), int(batch)
model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
if adapter:
    from peft import PeftModel
    model = PeftModel.from_pretrained(model, adapter[0]).merge_and_unload()
model.eval()
tokenizer = AutoTokenizer.from_pretrained(model_folder, padding_side="left")
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token


def messages(row):
    if "messages" in row:
        last = max(i for i, m in enumerate(row["messages"]) if m["role"] == "assistant")
        return row["messages"][:last]
    text = row["instruction"] + ("\n\n" + row["input"] if row.get("input") else "")
    return [{"role": "user", "content": text}]


texts = [tokenizer.apply_chat_template(messages(json.loads(line)), add_generation_prompt=True, tokenize=False) for line in open(golden, encoding="utf-8")]
if "--sorted" in sys.argv:
    texts.sort(key=len)
began = time.perf_counter()
tokens = 0
for start in range(0, len(texts), batch):
    inputs = tokenizer(texts[start:start + batch], return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.no_grad():
        out = model.generate(**inputs, do_sample=False, max_new_tokens=limit, pad_token_id=tokenizer.pad_token_id, temperature=None, top_p=None, top_k=None)
    for answer in out[:, inputs["input_ids"].shape[1]:].tolist():
        ends = [i for i, t in enumerate(answer) if t in (tokenizer.eos_token_id, tokenizer.pad_token_id)]
        tokens += ends[0] if ends else len(answer)
seconds = time.perf_counter() - began
print(json.dumps({"seconds": round(seconds, 2), "prompts": len(texts), "answer_tokens": tokens, "batch": batch, "threads": torch.get_num_threads()}))
