"""QLoRA steps of transformers + peft + bitsandbytes on a GPU, at the shape of a model whose weights are made on the spot, as one JSON
line: tokens/s and peak memory of each setting. Without bitsandbytes the base is held in bfloat16, and the setting says so.

    python tests/peers/gpu_steps.py --shape llama3-8b --row-tokens 2048 --rows 8
"""

import argparse
import gc
import json
import math
import os
import time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import LlamaConfig, LlamaForCausalLM

try:
    import bitsandbytes
except ImportError:
    bitsandbytes = None

# The processor, where there is no GPU: to see that the script runs.
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LLAMA = dict(vocab_size=128256, rope_theta=500000.0, rms_norm_eps=1e-5, max_position_embeddings=8192, tie_word_embeddings=False)
SHAPES = {
    "llama3-8b": dict(LLAMA, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
                      num_key_value_heads=8),
    "llama3.2-1b": dict(LLAMA, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
                        num_key_value_heads=8, head_dim=64, tie_word_embeddings=True),
    "smollm2-135m": dict(vocab_size=49152, rope_theta=100000.0, rms_norm_eps=1e-5, max_position_embeddings=8192, hidden_size=576,
                         intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
                         tie_word_embeddings=True),
}


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def filled(parameter):
    bound = math.sqrt(3 / parameter.shape[-1]) if parameter.dim() > 1 else None
    with torch.no_grad():
        parameter.uniform_(-bound, bound) if bound else parameter.fill_(1.0)


def model_of(shape, attention):
    """The model on the GPU, its linears in NF4 one after the other, so that the dense weights are never there together."""
    config = LlamaConfig(**SHAPES[shape])
    config._attn_implementation = attention
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    for name, module in list(model.named_modules()):
        for part, child in list(module.named_children()):
            if not isinstance(child, torch.nn.Linear) or part == "lm_head":
                continue
            weight = torch.empty(child.weight.shape, dtype=torch.bfloat16, device=DEVICE)
            filled(weight)
            if bitsandbytes is None:
                child.weight = torch.nn.Parameter(weight, requires_grad=False)
                continue
            held = bitsandbytes.nn.Linear4bit(child.in_features, child.out_features, bias=False, compute_dtype=torch.bfloat16,
                                              compress_statistics=True, quant_type="nf4", device="meta")
            held.weight = bitsandbytes.nn.Params4bit(weight.cpu(), requires_grad=False, quant_type="nf4",
                                                     compress_statistics=True).to(DEVICE)
            setattr(module, part, held)
    for name, parameter in list(model.named_parameters()):
        if parameter.device.type != "meta":
            continue
        owner = model.get_submodule(name.rpartition(".")[0])
        fresh = torch.empty(parameter.shape, dtype=torch.bfloat16, device=DEVICE)
        filled(fresh)
        setattr(owner, name.rpartition(".")[2], torch.nn.Parameter(fresh, requires_grad=False))
    model.tie_weights()
    # Rotations are buffers, which were made on no device.
    with torch.device(DEVICE):
        model.model.rotary_emb = type(model.model.rotary_emb)(config)
    if bitsandbytes is not None:
        model.is_loaded_in_4bit = True
    return model


def measure(shape, rows, row_tokens, attention, checkpointing, micro_rows, steps, warmup):
    torch.manual_seed(0)
    model = model_of(shape, attention)
    model = prepare_model_for_kbit_training(
        model, use_gradient_checkpointing=checkpointing, gradient_checkpointing_kwargs={"use_reentrant": False})
    model = get_peft_model(model, LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4, fused=DEVICE == "cuda")
    ids = torch.randint(0, SHAPES[shape]["vocab_size"], (rows, row_tokens), device=DEVICE)
    times, losses = [], []
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for step in range(steps + warmup):
        wait()
        began = time.perf_counter()
        total = 0.0
        for part in ids.split(micro_rows):
            with torch.autocast(DEVICE, dtype=torch.bfloat16):
                loss = model(input_ids=part, labels=part).loss * len(part) / rows
            loss.backward()
            total += loss.item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        wait()
        losses.append(total)
        if step >= warmup:
            times.append(time.perf_counter() - began)
    times.sort()
    step_s = times[len(times) // 2]
    return dict(tokens_per_s=rows * row_tokens / step_s, step_s=step_s, losses_nats=losses,
                peak_gpu_bytes=torch.cuda.max_memory_allocated() if DEVICE == "cuda" else 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="llama3-8b")
    parser.add_argument("--row-tokens", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--warmup", type=int, default=1)
    arguments = parser.parse_args()
    kind = "NF4" if bitsandbytes else "bfloat16 (no bitsandbytes)"
    settings = []
    # The largest micro-batch that fits is the fastest; what does not fit is said.
    for checkpointing, micro_rows in [(True, arguments.rows), (True, max(1, arguments.rows // 4)), (False, 1)]:
        setting = f"{kind}, {'checkpointing' if checkpointing else 'everything kept'}, {micro_rows} rows at a time"
        try:
            seen = measure(arguments.shape, arguments.rows, arguments.row_tokens, "sdpa", checkpointing, micro_rows,
                           arguments.steps, arguments.warmup)
        except torch.cuda.OutOfMemoryError as error:
            seen = dict(error=f"out of memory: {str(error).splitlines()[0][:200]}")
        settings.append(dict(setting=setting, **seen))
        gc.collect()
        torch.cuda.empty_cache()
    print(json.dumps(dict(settings=settings, torch=torch.__version__, rows=arguments.rows, row_tokens=arguments.row_tokens)))


if __name__ == "__main__":
    main()
