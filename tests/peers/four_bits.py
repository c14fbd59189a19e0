"""Holds a folder in 4 bits that rtune wrote against what transformers and bitsandbytes make of the plain one: four_bits.py PLAIN FOUR

PLAIN is loaded and quantised by bitsandbytes on the way, FOUR as it is. Fails where codes, magnitudes, maps or settings of a
linear differ by a bit, where another tensor differs, on logits that are not the same, and on weights that are missing or left over.
Needs transformers and bitsandbytes.
"""
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig


def load(folder, **settings):
    model, info = AutoModelForCausalLM.from_pretrained(folder, device_map={"": "cpu"}, output_loading_info=True, **settings)
    problems = [f"{folder}: {key}: {sorted(info[key])}" for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(key)]
    return model.eval(), problems


def same(a, b):
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return a is not None and b is not None and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    return a == b


@torch.no_grad()
def main(plain, four):
    said = AutoConfig.from_pretrained(four).quantization_config
    dtype = getattr(torch, said["bnb_4bit_compute_dtype"])
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype,
                                  bnb_4bit_use_double_quant=said["bnb_4bit_use_double_quant"])
    theirs, problems = load(plain, dtype=dtype, quantization_config=settings)
    ours, more = load(four, dtype=dtype)
    problems += more
    parameters, linears = dict(ours.named_parameters()), 0
    for name, p in theirs.named_parameters():
        q = parameters.pop(name)
        if not same(p.data, q.data):
            problems.append(f"{name}: numbers or codes differ")
        a, b = getattr(p, "quant_state", None), getattr(q, "quant_state", None)
        if (a is None) != (b is None):
            problems.append(f"{name}: quantised in one only")
        linears += a is not None
        while a is not None and b is not None:
            for part in ("absmax", "code", "blocksize", "quant_type", "dtype", "shape"):
                if not same(getattr(a, part), getattr(b, part)):
                    problems.append(f"{name}: {part}: {getattr(a, part)} and {getattr(b, part)}")
            if a.nested and not same(a.offset, b.offset):
                problems.append(f"{name}: offset: {a.offset} and {b.offset}")
            a, b = (a.state2, b.state2) if a.nested and b.nested else (None, None)
    problems += [f"only in ours: {name}" for name in parameters]
    ids = torch.arange(3, 40)[None]
    if not torch.equal(theirs(input_ids=ids).logits, ours(input_ids=ids).logits):
        problems.append("logits differ")
    print(f"{os.path.basename(four)}: {linears} linears with the same bits")
    for problem in problems:
        print(problem)
    return not problems and linears > 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(0 if main(*sys.argv[1:]) else 1)
