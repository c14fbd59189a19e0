"""Loads adapter folders with peft and holds their logits against expected ones: peft_roundtrip.py BASE ADAPTER [BASE ADAPTER ...]

BASE is a reference case: a model folder with expected.safetensors, whose `input_ids` and `logits` belong to the adapter that
lies in BASE/adapter. Where ADAPTER adapts only some of the linears of that one, the expected logits are computed here: by
transformers alone, with scale * B A added to the weights, from the settings that lie in BASE/adapter.

Fails on a warning while peft loads the folder, on keys that peft has and the file has not or the other way round, on values
that differ, and on logits that differ by more than 1e-5 of the largest. Needs transformers, peft 0.21 and safetensors.
"""
import json, os, re, sys, warnings
os.environ["HF_HUB_OFFLINE"] = "1"
from pathlib import Path
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-5
PREFIX = "base_model.model."


def base_model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


def first_match(patterns, name, otherwise):
    return next((v for k, v in patterns.items() if re.match(rf"(.*\.)?({k})$", name)), otherwise)


def logits_of_sum(folder, tensors, ids):
    """What the base computes with the adapter added to its weights, without peft."""
    settings = json.loads((folder / "adapter/adapter_config.json").read_text())
    model = base_model(folder)
    for key, a in tensors.items():
        if not key.endswith(".lora_A.weight"):
            continue
        name = key.removeprefix(PREFIX).removesuffix(".lora_A.weight")
        rank = first_match(settings["rank_pattern"], name, settings["r"])
        alpha = first_match(settings["alpha_pattern"], name, settings["lora_alpha"])
        scale = alpha / (rank**0.5 if settings["use_rslora"] else rank)
        model.get_submodule(name).weight.data += scale * tensors[key.replace("lora_A", "lora_B")] @ a
    return model(input_ids=ids).logits


def report(adapter, problems):
    for problem in problems:
        print(f"{adapter.name}: {problem}")
    return not problems


@torch.no_grad()
def check(folder, adapter):
    base = base_model(folder)
    tensors = load_file(adapter / "adapter_model.safetensors")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base, adapter).eval()
    # Deprecations are between peft and transformers, and say nothing about the folder.
    problems = [f"warning: {w.message}" for w in caught if not issubclass(w.category, (DeprecationWarning, FutureWarning))]
    loaded = get_peft_model_state_dict(model, save_embedding_layers=False)
    problems += [f"only in one of file and model: {key}" for key in sorted(loaded.keys() ^ tensors.keys())]
    problems += [f"differs: {key}" for key in loaded.keys() & tensors.keys() if not torch.equal(loaded[key], tensors[key])]
    if problems:
        return report(adapter, problems)
    expected = load_file(folder / "expected.safetensors")
    ids = expected["input_ids"]
    whole = tensors.keys() == load_file(folder / "adapter/adapter_model.safetensors").keys()
    logits = expected["logits"] if whole else logits_of_sum(folder, tensors, ids)
    part = float((model(input_ids=ids).logits - logits).abs().max() / logits.abs().max())
    without = float((base_model(folder)(input_ids=ids).logits - logits).abs().max() / logits.abs().max())
    targets = json.loads((adapter / "adapter_config.json").read_text())["target_modules"]
    print(f"{adapter.name}: {len(tensors)} tensors, {len(targets)} targets, {part:.2e} of the largest logit (without: {without:.2e})")
    if part > TOLERANCE:
        problems.append(f"logits differ by {part:.2e} of the largest; at most {TOLERANCE} expected")
    if without <= TOLERANCE:
        problems.append("the adapter does nothing, so nothing was shown")
    return report(adapter, problems)


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:]]
    if not folders or len(folders) % 2:
        sys.exit(__doc__)
    sys.exit(0 if all([check(*pair) for pair in zip(folders[::2], folders[1::2])]) else 1)
