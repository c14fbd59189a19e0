"""Writes tiny Llamas whose linears others have quantised, with what transformers, peft and bitsandbytes compute from them.

    python quantized_bases.py OUT [--only nf4,gptq]

A case is laid out like those of tests/fixtures/reference: the folder as it would stand on the hub, an adapter with non-zero
A and B, and in expected.safetensors a batch, the logits and the losses of 20 AdamW steps in float32. `dequantized.NAME` are
the weights as bitsandbytes dequantises them, or for GPTQ and AWQ as the formats' definitions say; the logits of those two
are those of the dense model with these weights.
"""
import argparse, json, os, shutil
os.environ["HF_HUB_OFFLINE"] = "1"
from pathlib import Path
import numpy, torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

V = 199
SIZES = dict(vocab_size=V, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0, rms_norm_eps=1e-5)
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# nested, dtype of the model, storage, what else the configuration says
SAVED = {
    "nf4": (False, "float32", "uint8", {}), "nf4_double": (True, "bfloat16", "uint8", {}), "nf4_half": (True, "float16", "uint8", {}),
    "nf4_in_bfloat16": (True, "bfloat16", "bfloat16", {}), "nf4_in_float16": (False, "float16", "float16", {}),
    "nf4_in_float32": (True, "float32", "float32", {}),
    "nf4_skipped": (True, "bfloat16", "uint8", dict(llm_int8_skip_modules=["lm_head", "down_proj"])),
    "nf4_sharded": (True, "float32", "uint8", {}),
}
BLOCKS = {"nf4_blocks_32": (32, True), "nf4_blocks_128": (128, True), "nf4_blocks_1024": (1024, False), "nf4_blocks_4096": (4096, True)}
# bits, group, act-order, version, symmetric
GPTQ = {"gptq": (4, 32, False, 1, False), "gptq_ordered": (4, 32, True, 1, False), "gptq_v2": (4, 64, True, 2, False),
    "gptq_whole": (4, -1, False, 1, False), "gptq_3": (3, 32, True, 1, False), "gptq_8": (8, 128, False, 1, False),
    "gptq_2": (2, 32, False, 2, False), "gptq_sym": (4, 32, False, 1, True), "gptq_sym_ordered": (4, 128, True, 1, True),
    "gptq_sym_v2": (4, 32, False, 2, True), "gptq_sym_3": (3, 64, False, 1, True), "gptq_sym_8": (8, -1, True, 1, True)}
AWQ = {"awq": 32, "awq_whole": -1}


def dense(out, dtype, seed):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SIZES)).float()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(torch.randn_like(p) * 0.1) if "norm" in name else p.copy_(torch.randn_like(p) * 0.08)
    model.to(getattr(torch, dtype)).save_pretrained(out)
    return load(out)  # the rope's frequencies too were rounded above


def finish(out, model, dequantized):
    """Adapter, batch, logits and losses of `model`, whose linears are frozen."""
    model = model.eval()
    # Where a processor multiplies in bfloat16, bitsandbytes answers in that; numbers are compared with float32.
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"): module.support_avx512bf16_for_cpu = False
    pm = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=MODULES, task_type="CAUSAL_LM"))
    torch.manual_seed(7)
    with torch.no_grad():
        for p in pm.parameters():
            if p.requires_grad: p.data = torch.randn(p.shape) * 0.1
    pm.save_pretrained(out / "adapter")
    ids = torch.randint(3, V, (2, 24)); labels = ids.clone(); labels[:, :9] = -100; labels[1, 20:] = -100
    t = {"input_ids": ids, "labels": labels, **{f"dequantized.{k}": v.float() for k, v in dequantized.items()}}
    t["logits"] = pm(input_ids=ids).logits.detach().float()
    trained = [p for p in pm.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(trained, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses = []
    for _ in range(20):
        opt.zero_grad(); loss = pm(input_ids=ids, labels=labels).loss; loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0); opt.step(); losses.append(loss.item())
    t["adamw.losses"] = torch.tensor(losses)
    save_file({k: v.detach().clone().contiguous() for k, v in t.items()}, out / "expected.safetensors")
    print(f"{out.name:18} loss {losses[0]:.5f} -> {losses[-1]:.5f}")


def load(out, **more):
    return AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, device_map={"": "cpu"}, attn_implementation="eager", **more)


def saved_by_transformers(out, name, seed):
    import bitsandbytes.functional as F
    nested, dtype, storage, more = SAVED[name]
    source = out.parent / f".{name}"
    dense(source, dtype, seed)
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=nested,
        bnb_4bit_compute_dtype=torch.float32, bnb_4bit_quant_storage=storage, **more)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype), quantization_config=settings, device_map={"": "cpu"})
    model.save_pretrained(out, **({"max_shard_size": "100KB"} if name == "nf4_sharded" else {}))
    shutil.rmtree(source)
    # transformers leaves the rest in the folder's type whatever it is asked for; this makes it float32.
    model = prepare_model_for_kbit_training(load(out), use_gradient_checkpointing=False)
    quantized = {n: p for n, p in model.named_parameters() if getattr(p, "quant_state", None) is not None}
    finish(out, model, {n: F.dequantize_4bit(p.data, p.quant_state) for n, p in quantized.items()})


def saved_by_hand(out, name, seed):
    """bitsandbytes can quantise in blocks of other lengths; transformers has no key for it."""
    import bitsandbytes.functional as F
    block, nested = BLOCKS[name]
    model = dense(out, "float32", seed); tensors = load_file(out / "model.safetensors"); dequantized = {}
    for key in [k for k in tensors if k.split(".")[-2] in MODULES]:
        codes, state = F.quantize_4bit(tensors[key], blocksize=block, compress_statistics=nested, quant_type="nf4")
        tensors[key] = codes; tensors.update({f"{key}.{k}": v for k, v in state.as_dict(packed=True).items()})
        # As one row: with AVX-512 bitsandbytes takes absmax[row * (columns // block) + column // block], which is another block's
        # where a row is no whole number of blocks (csrc/cpu_ops.cpp, dequantizeBlockwise4bitCpu).
        shape, state.shape = state.shape, torch.Size([state.shape.numel()])
        dequantized[key] = F.dequantize_4bit(codes, state).reshape(shape)
        model.get_parameter(key).data = dequantized[key].clone()
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / "model.safetensors", metadata={"format": "pt"})
    configure(out, dict(quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=nested))
    finish(out, model, dequantized)


def configure(out, settings):
    config = json.loads((out / "config.json").read_text()); config["quantization_config"] = settings
    (out / "config.json").write_text(json.dumps(config, indent=2))


def stream(values, bits):
    """Rows of numbers of so many bits, packed along the first axis into 32-bit words from the lowest bit up."""
    places = (values.astype(numpy.uint32)[:, None, :] >> numpy.arange(bits, dtype=numpy.uint32)[None, :, None]) & 1
    places = places.reshape(-1, 32, values.shape[1])
    return (places << numpy.arange(32, dtype=numpy.uint32)[None, :, None]).sum(1, dtype=numpy.uint32).view(numpy.int32)


def rounded(weight, groups, bits, symmetric=False):
    """Rounding of [in, out]: numbers, zero points, scales and what they stand for. GPTQ's symmetric zero point is half the range."""
    count, top = groups.max() + 1, 2**bits - 1
    zeros = numpy.zeros((count, weight.shape[1]), numpy.int64); scales = numpy.zeros((count, weight.shape[1]), numpy.float16)
    numbers = numpy.zeros(weight.shape, numpy.int64)
    for g in range(count):
        rows = weight[groups == g]; low, high = numpy.minimum(rows.min(0), 0), numpy.maximum(rows.max(0), 0)
        if symmetric: high = numpy.maximum(-low, high); low = -high
        scales[g] = (high - low) / top; scale = scales[g].astype(numpy.float32)
        zeros[g] = 2**bits // 2 if symmetric else numpy.clip(numpy.round(-low / scale), 1, top); numbers[groups == g] = numpy.clip(numpy.round(rows / scale) + zeros[g], 0, top)
    values = scales.astype(numpy.float32)[groups] * (numbers - zeros[groups]).astype(numpy.float32)
    return numbers, zeros, scales, values


def gptq(out, name, seed):
    bits, group, ordered, version, symmetric = GPTQ[name]
    def pack(weight, generator):
        inputs = weight.shape[0]; size = inputs if group == -1 else group
        groups = numpy.arange(inputs) // size
        if ordered: groups = groups[generator.permutation(inputs)]
        numbers, zeros, scales, values = rounded(weight, groups, bits, symmetric)
        kept = (zeros - 1 if version == 1 else zeros) & (2**bits - 1)
        parts = dict(qweight=stream(numbers, bits), qzeros=stream(kept.T, bits).T, scales=scales)
        if ordered or name == "gptq": parts["g_idx"] = groups.astype(numpy.int32)
        return parts, values
    settings = dict(quant_method="gptq", bits=bits, group_size=group, desc_act=ordered, sym=symmetric, checkpoint_format="gptq_v2" if version == 2 else "gptq")
    packed(out, seed, pack, settings)


def awq(out, name, seed):
    group, order = AWQ[name], [0, 2, 4, 6, 1, 3, 5, 7]
    def words(values):
        values = values.astype(numpy.uint32).reshape(values.shape[0], -1, 8)[:, :, order]
        return (values << (4 * numpy.arange(8, dtype=numpy.uint32))).sum(2, dtype=numpy.uint32).view(numpy.int32)
    def pack(weight, generator):
        size = weight.shape[0] if group == -1 else group
        numbers, zeros, scales, values = rounded(weight, numpy.arange(weight.shape[0]) // size, 4)
        return dict(qweight=words(numbers), qzeros=words(zeros), scales=scales), values
    packed(out, seed, pack, dict(quant_method="awq", bits=4, group_size=group, version="gemm", zero_point=True, modules_to_not_convert=None))


def packed(out, seed, pack, settings):
    model = dense(out, "float16", seed); tensors = load_file(out / "model.safetensors"); dequantized = {}
    generator = numpy.random.default_rng(seed)
    for key in [k for k in tensors if k.split(".")[-2] in MODULES]:
        parts, values = pack(tensors.pop(key).float().numpy().T, generator)
        tensors.update({key.replace("weight", k): torch.from_numpy(numpy.ascontiguousarray(v)) for k, v in parts.items()})
        dequantized[key] = torch.from_numpy(numpy.ascontiguousarray(values.T)); model.get_parameter(key).data = dequantized[key].clone()
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / "model.safetensors", metadata={"format": "pt"})
    configure(out, settings)
    finish(out, model, dequantized)


if __name__ == "__main__":
    p = argparse.ArgumentParser(); p.add_argument("out"); p.add_argument("--only"); a = p.parse_args()
    makers = [(SAVED, saved_by_transformers), (BLOCKS, saved_by_hand), (GPTQ, gptq), (AWQ, awq)]
    for number, (name, make) in enumerate((name, make) for table, make in makers for name in table):
        if a.only and name not in a.only.split(","): continue
        out = Path(a.out) / name; out.mkdir(parents=True, exist_ok=True); make(out, name, number)
