"""Holds a folder in GPTQ's or AWQ's 4 bits that rtune wrote against NumPy: calibrated.py PACKED OUT [PLAIN TOKENS] [--load]

Reads PACKED by the definitions of the two layouts and writes OUT with numbers in their place, as float32. With PLAIN, the same model in
float32, and TOKENS, a JSON list of the rows that PACKED was calibrated on, GPTQ is done anew on what transformers' model reads of them, block
by block, in float64: fails where more than one code in a hundred differs in a linear, or one in two hundred in all. With --load transformers and gptqmodel load PACKED and OUT: their kernels
compute in 16 bits, so the logits may be as far from OUT's in float32 as twice those of OUT in bfloat16.
Needs numpy and safetensors; with PLAIN also torch and transformers, with --load gptqmodel.
"""
import json, os, shutil, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
from safetensors import deserialize
from safetensors.numpy import save_file

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
DAMPING = 0.01
KINDS = {"I32": np.int32, "F16": np.float16, "F32": np.float32, "BF16": np.uint16}


def load_file(path):
    """The tensors of a file. NumPy has no bfloat16: it becomes float32, which holds all of it."""
    tensors = {}
    for name, part in deserialize(open(path, "rb").read()):
        tensor = np.frombuffer(bytes(part["data"]), KINDS[part["dtype"]]).reshape(part["shape"])
        wide = part["dtype"] == "BF16"
        tensors[name] = (tensor.astype(np.uint32) << 16).view(np.float32) if wide else tensor
    return tensors


def nibbles(words, order):
    """Each word's 8 numbers of 4 bits, along a new last axis, in the order of what they stand for."""
    words = words.view(np.uint32)
    out = np.empty((*words.shape, 8), np.int64)
    for place, at in enumerate(order):
        out[..., at] = (words >> np.uint32(4 * place)) & 15
    return out


def unpacked(tensors, base, settings):
    """Codes, zero points and scales of a linear, `[inputs, outputs]` and `[groups, outputs]`."""
    qweight, qzeros, scales = (tensors[f"{base}.{end}"] for end in ("qweight", "qzeros", "scales"))
    if settings["quant_method"] == "gptq":
        codes = nibbles(qweight, range(8)).transpose(0, 2, 1).reshape(-1, qweight.shape[1])
        # Version 1 keeps a zero point less one.
        zeros = (nibbles(qzeros, range(8)).reshape(qzeros.shape[0], -1) + 1) & 15
        groups = tensors[f"{base}.g_idx"]
    else:
        codes = nibbles(qweight, AWQ_ORDER).reshape(qweight.shape[0], -1)
        zeros = nibbles(qzeros, AWQ_ORDER).reshape(qzeros.shape[0], -1)
        groups = np.arange(codes.shape[0]) // settings["group_size"]
    return codes, zeros, scales.astype(np.float32), groups


def dequantise(packed, out):
    config = json.load(open(f"{packed}/config.json"))
    settings = config.pop("quantization_config")
    tensors = load_file(f"{packed}/model.safetensors")
    numbers = {}
    for name, tensor in tensors.items():
        base, end = name.rsplit(".", 1)
        if end == "qweight":
            codes, zeros, scales, groups = unpacked(tensors, base, settings)
            read = scales[groups] * (codes - zeros[groups]).astype(np.float32)
            numbers[f"{base}.weight"] = np.ascontiguousarray(read.T)
        elif end not in ("qzeros", "scales", "g_idx"):
            numbers[name] = tensor
    os.makedirs(out)
    save_file(numbers, f"{out}/model.safetensors", metadata={"format": "pt"})
    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(f"{packed}/{file}", f"{out}/{file}")
    json.dump(config, open(f"{out}/config.json", "w"))
    linears = sum(name.endswith(".qweight") for name in tensors)
    print(f"{linears} linears of {settings['quant_method']}, groups of {settings['group_size']}")
    return settings, tensors


def gptq(weight, hessian, group):
    """The algorithm as its paper has it: the Cholesky factor of the inverse, one column at a time. Codes and what they stand for, `[outputs, inputs]`."""
    inputs = weight.shape[1]
    hessian = hessian + DAMPING * np.mean(np.diag(hessian)) * np.eye(inputs)
    factor = np.linalg.cholesky(np.linalg.inv(hessian)).T
    w, codes, read = weight.astype(np.float64).copy(), np.empty(weight.shape, np.int64), np.empty(weight.shape)
    for i in range(inputs):
        if i % group == 0:
            largest = np.abs(w[:, i:i + group]).max(axis=1).astype(np.float32)
            scale = (2 * largest / np.float32(15)).astype(np.float16).astype(np.float64)
        codes[:, i] = np.clip(np.rint(w[:, i] / scale) + 8, 0, 15)
        read[:, i] = scale * (codes[:, i] - 8)
        error = (w[:, i] - read[:, i]) / factor[i, i]
        w[:, i + 1:] -= np.outer(error, factor[i, i + 1:])
    return codes, read


def compare(settings, tensors, plain, rows):
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32).eval()
    rows = [torch.tensor([row]) for row in json.load(open(rows))]
    differing = total = 0
    problems = []
    for index in range(model.config.num_hidden_layers):
        prefix = f"model.layers.{index}."
        linears = {name: module for name, module in model.named_modules()
                   if name.startswith(prefix) and isinstance(module, torch.nn.Linear)}
        hessians = {}

        def watch(name):
            def hook(module, arguments):
                x = arguments[0].reshape(-1, module.in_features).double().numpy()
                hessians[name] = hessians.get(name, 0) + 2 * x.T @ x
            return hook

        hooks = [module.register_forward_pre_hook(watch(name)) for name, module in linears.items()]
        with torch.no_grad():
            for row in rows:
                model(input_ids=row)
        for hook in hooks:
            hook.remove()
        for name, module in linears.items():
            codes, read = gptq(module.weight.detach().numpy(), hessians[name], settings["group_size"])
            theirs, zeros, _, _ = unpacked(tensors, name, settings)
            differ = int((codes.T != theirs).sum())
            if differ * 100 > codes.size or not (zeros == 8).all():
                problems.append(f"{name}: {differ} of {codes.size} codes differ")
            differing, total = differing + differ, total + codes.size
            module.weight.data = torch.from_numpy(read.astype(np.float32))
    print(f"{total - differing} of {total} codes are the same")
    for problem in problems:
        print(problem)
    return not problems and differing * 200 <= total


def load(packed, numbers):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    ids = AutoTokenizer.from_pretrained(packed)("What a small model says of a text, it says by numbers.", return_tensors="pt").input_ids
    logits = []
    for folder, dtype in ((packed, torch.float32), (numbers, torch.float32), (numbers, torch.bfloat16)):
        model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map="cpu", output_loading_info=True)
        kinds = {type(module).__name__ for module in model.modules() if "Linear" in type(module).__name__}
        problems = {key: sorted(info[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(key)}
        with torch.no_grad():
            logits.append(model.eval()(input_ids=ids).logits.float())
        print(f"{os.path.basename(folder)} in {dtype}: {sorted(kinds)} {problems or 'nothing missing or left over'}")
        if problems:
            return False
    of = lambda one: ((one - logits[1]).abs() / logits[1].abs().clamp(min=1)).max().item()
    same = (logits[0].argmax(-1) == logits[1].argmax(-1)).float().mean().item()
    print(f"logits at most {of(logits[0]):.1e} of max(1, |logit|) off ({of(logits[2]):.1e} in bfloat16), the same likeliest token for {100 * same:.0f}%")
    return of(logits[0]) <= 2 * of(logits[2])


if __name__ == "__main__":
    loads = "--load" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--load"]
    if len(sys.argv) not in (3, 5):
        sys.exit(__doc__)
    settings, tensors = dequantise(*sys.argv[1:3])
    good = len(sys.argv) == 3 or compare(settings, tensors, *sys.argv[3:])
    sys.exit(0 if good and (not loads or load(*sys.argv[1:3])) else 1)
