"""Holds greedy answers against transformers:
    rtune generate MODEL "PROMPT" --json --max-new-tokens 64 --set quantization.kind=none >> ANSWERS.jsonl     (for each prompt)
    greedy.py ANSWERS.jsonl MODEL [ADAPTER]

Every line of ANSWERS.jsonl is what `rtune generate --json` printed. MODEL is the folder it was asked of (or a base that rtune exported in
float32), ADAPTER a PEFT folder beside it. All arithmetic is in float32. Fails unless every answer has the same tokens, one by one.
"""
import json, os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

answers_file, model_folder, *adapter = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager")
if adapter:
    from peft import PeftModel
    model = PeftModel.from_pretrained(model, adapter[0])
model.eval()
tokenizer = AutoTokenizer.from_pretrained(model_folder)
lines = [json.loads(line) for line in open(answers_file, encoding="utf-8")]
assert lines, "no answers"
wrong = compared = 0
for line in lines:
    messages = [{"role": "user", "content": line["prompt"]}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)["input_ids"]
    ours = line["token_ids"]
    limit = len(ours) + (line["end"] == "stop")
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=limit, pad_token_id=0,
                             temperature=None, top_p=None, top_k=None)
    theirs = out[0, ids.shape[1]:].tolist()
    if line["end"] == "stop":
        ended, theirs = theirs[-1], theirs[:-1]
    compared += len(ours)
    same = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    if ours != theirs or ids.shape[1] != line["prompt_tokens"]:
        wrong += 1
        print(f"{line['prompt'][:60]!r}: differs at token {same} of {len(ours)}")
print(f"{len(lines)} answers, {compared} tokens, {wrong} answers differ")
sys.exit(wrong > 0 or compared == 0)
