"""QLoRA steps with transformers + peft + bitsandbytes, for `scripts/bench-peers`: one JSON line.

    qlora_steps.py MODEL --batch 4 --row-tokens 256 [--checkpointing] [--no-quantization]      random rows, every token supervised
    qlora_steps.py MODEL --rows TRAIN.jsonl --batch 8                                          rows of a task, answers supervised

Float32, NF4 with double quantisation, adapters of rank 16 on all linears, AdamW. Rows of a file are taken in order and padded to the
longest of their step; tokens are counted without padding. Prints tokens a second by the median step, and of each step the loss, the tokens and those that are learnt."""
import argparse, json, os, statistics, time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--rows")
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--row-tokens", type=int, default=256)
parser.add_argument("--steps", type=int, default=5)
parser.add_argument("--warmup", type=int, default=1)
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--checkpointing", action="store_true")
parser.add_argument("--no-quantization", action="store_true")
arguments = parser.parse_args()

torch.manual_seed(0)
held = None
if not arguments.no_quantization:
    held = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32)
model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32, quantization_config=held, device_map={"": "cpu"})
again = {"use_reentrant": False}
if held:
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=arguments.checkpointing, gradient_checkpointing_kwargs=again)
elif arguments.checkpointing:
    model.gradient_checkpointing_enable(again)
    model.enable_input_require_grads()
shape = LoraConfig(r=arguments.rank, lora_alpha=2 * arguments.rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
model = get_peft_model(model, shape).train()
trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=5e-4, weight_decay=0.0)


def random_steps():
    ids = torch.randint(0, model.config.vocab_size, (arguments.batch, arguments.row_tokens))
    while True:
        yield dict(input_ids=ids, labels=ids), ids.numel()


def task_steps():
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    encoded = []
    for line in open(arguments.rows, encoding="utf-8"):
        row = json.loads(line)
        talk = [{"role": "user", "content": row["instruction"] + "\n\n" + row["input"]}]
        prompt = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(talk + [{"role": "assistant", "content": row["output"]}], tokenize=False).rstrip("\n")
        ids = tokenizer(whole, add_special_tokens=False).input_ids
        encoded.append((len(tokenizer(prompt, add_special_tokens=False).input_ids), ids))
    for start in range(0, len(encoded), arguments.batch):
        rows = encoded[start:start + arguments.batch]
        longest = max(len(ids) for _, ids in rows)
        pad = [longest - len(ids) for _, ids in rows]
        yield dict(
            input_ids=torch.tensor([ids + [tokenizer.pad_token_id] * n for (_, ids), n in zip(rows, pad)]),
            attention_mask=torch.tensor([[1] * len(ids) + [0] * n for (_, ids), n in zip(rows, pad)]),
            labels=torch.tensor([[-100] * prompt + ids[prompt:] + [-100] * n for (prompt, ids), n in zip(rows, pad)]),
        ), sum(len(ids) for _, ids in rows)


rates, losses, real, supervised = [], [], [], []
steps = task_steps() if arguments.rows else random_steps()
for number, (batch, tokens) in zip(range(arguments.warmup + arguments.steps), steps):
    began = time.perf_counter()
    loss = model(**batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    losses.append(loss.item())
    real.append(tokens)
    # The first token of a row is predicted by none.
    supervised.append(int((batch["labels"][:, 1:] != -100).sum()))
    if number >= arguments.warmup:
        rates.append(tokens / (time.perf_counter() - began))
print(json.dumps(dict(tokens_per_s=statistics.median(rates), losses_nats=losses, tokens=real, supervised_tokens=supervised)))
