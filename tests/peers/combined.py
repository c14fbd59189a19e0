"""Combines adapters by peft's add_weighted_adapter and holds the merged weights against a folder that rtune merged:
    combined.py BASE MERGED KIND DENSITY ADAPTER WEIGHT [ADAPTER WEIGHT ...]

KIND is a combination type of peft that works on whole changes (`svd`, `ties_svd`); the rank is the width of the weights, so that
nothing is lost. All is in float32. Fails on a weight that is further off than 1e-5 of the largest change of its matrix, and where
the adapters change nothing. Needs transformers, peft 0.21 and safetensors.
"""
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-5


@torch.no_grad()
def main(base, merged, kind, density, *adapters):
    names, weights = adapters[::2], [float(weight) for weight in adapters[1::2]]
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model = PeftModel.from_pretrained(model, names[0], adapter_name="0")
    for number, name in enumerate(names[1:], 1):
        model.load_adapter(name, adapter_name=str(number))
    model.add_weighted_adapter([str(number) for number in range(len(names))], weights, "all", combination_type=kind,
                               svd_rank=max(model.config.hidden_size, model.config.intermediate_size), svd_full_matrices=False, density=float(density))
    model.set_adapter("all")
    after = model.merge_and_unload().state_dict()
    ours = load_file(os.path.join(merged, "model.safetensors"))
    worst, changed = 0.0, 0
    for name, value in ours.items():
        largest = float((after[name] - before[name]).abs().max())
        changed += largest > 0
        worst = max(worst, float((after[name] - value).abs().max()) / (largest or 1.0))
    print(f"{kind}: {changed} of {len(ours)} tensors changed, worst difference {worst:.2e} of the largest change of its matrix")
    return worst <= TOLERANCE and changed > 0


if __name__ == "__main__":
    if len(sys.argv) < 7:
        sys.exit(__doc__)
    sys.exit(0 if main(*sys.argv[1:]) else 1)
