"""Holds what `rtune export` and `rtune merge` write of GGUF files of every family against transformers and peft.

    python merged_families.py RTUNE MODELS OUT [--only llama,gemma2]

RTUNE is the program, MODELS the folder that gguf_families.py wrote. For each model in it:
  base     `rtune export model.gguf --base-only`: config.json is written by rtune. transformers must load every tensor of the folder,
           and compute the logits of the model that was converted.
  merged   a few steps of `rtune train` on the file, then `rtune merge`: transformers' logits of that folder must be those of the model
           that was converted, with the exported adapter loaded by peft beside it.
gemma3_sees is made here: a Gemma 3 with eyes in safetensors, whose text part is what rtune trains; peft loads the adapter beside the
whole of it. mixtral_experts and qwen3_moe_experts are made here, too: adapters on all experts, with rank-stabilised scales and dropout.
All in float32; fails on a difference above 1e-4 of the largest logit, and on an adapter that does nothing.
"""
import argparse, json, random, shutil, subprocess, sys, warnings
from pathlib import Path

p = argparse.ArgumentParser(); p.add_argument("rtune"); p.add_argument("models"); p.add_argument("out"); p.add_argument("--only")
a = p.parse_args()
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-4
CONFIG = """
[model]
base = "{base}"
[quantization]
kind = "none"
[lora]
rank = 4
{lora}
[data]
train = "rows.jsonl"
validation = 0.0
template = "template.jinja"
[train]
steps = 4
rows-per-step = 4
learning-rate = 0.05
[eval]
samples = 0
general = false
[output]
dir = "run"
"""


def rtune(folder, *arguments):
    done = subprocess.run([str(Path(a.rtune).resolve()), *map(str, arguments)], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"rtune {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr[-1500:]}")


def load(folder):
    model, info = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    problems = [f"{key}: {sorted(info[key])[:4]}" for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(key)]
    if problems:
        raise RuntimeError(f"{folder}: {'; '.join(problems)}")
    return model.eval()


@torch.no_grad()
def logits(model, ids):
    return model(input_ids=ids).logits.float()


def off(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


def check(name, source, base, lora=""):
    folder = Path(a.out).resolve() / name
    shutil.rmtree(folder, ignore_errors=True); folder.mkdir(parents=True)
    words = random.Random(3)
    rows = [{"text": " ".join("".join(words.choices("abcdefghijklm", k=4)) for _ in range(6))} for _ in range(24)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "template.jinja").write_text("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    (folder / "config.toml").write_text(CONFIG.format(base=base, lora=lora))
    with safe_open(source / "expected.safetensors", "pt") as file:
        ids, expected = file.get_tensor("input_ids"), file.get_tensor("logits")
    rtune(folder, "export", base, "base", "--base-only", "--dtype", "float32")
    of_base = off(logits(load(folder / "base"), ids), expected)
    rtune(folder, "train", "config.toml")
    rtune(folder, "export", "run", "adapter")
    rtune(folder, "export", "run", "merged", "--format", "safetensors", "--dtype", "float32")
    original = load(source)
    with warnings.catch_warnings():
        # Of tensors that find no place, and of places without a tensor, peft only warns.
        warnings.filterwarnings("error", message=".*(missing|unexpected).*adapter.*keys.*")
        beside = logits(PeftModel.from_pretrained(original, folder / "adapter").eval(), ids)
    of_merged, does = off(logits(load(folder / "merged"), ids), beside), off(beside, expected)
    return of_base, of_merged, does


def sees(folder):
    """A tiny Gemma 3 with eyes, as transformers saves it, with a tokenizer of letters."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration
    from safetensors.torch import save_file
    shutil.rmtree(folder, ignore_errors=True); folder.mkdir(parents=True)
    torch.manual_seed(5)
    text = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=2, head_dim=6,
        max_position_embeddings=64, sliding_window=8, query_pre_attn_scalar=6)
    vision = dict(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=39, boi_token_index=37, eoi_token_index=38)
    model = Gemma3ForConditionalGeneration(config).float().eval()
    with torch.no_grad():
        for values in model.parameters():
            values.add_(torch.randn_like(values) * (0.2 if values.dim() == 1 else values.shape[-1] ** -0.5))
    model.save_pretrained(folder)
    tokenizer(folder)
    ids = torch.randint(4, 30, (1, 30))
    save_file({"input_ids": ids, "logits": logits(model, ids).contiguous()}, folder / "expected.safetensors")


def experts(folder, name):
    """A tiny model with experts, as transformers saves it, with the same tokenizer."""
    from transformers import MixtralConfig, MixtralForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM
    from safetensors.torch import save_file
    shutil.rmtree(folder, ignore_errors=True); folder.mkdir(parents=True)
    torch.manual_seed(6)
    shape = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=4,
        max_position_embeddings=64, bos_token_id=2, eos_token_id=1, pad_token_id=0)
    if name.startswith("mixtral"):
        model = MixtralForCausalLM(MixtralConfig(**shape, num_local_experts=4, num_experts_per_tok=2))
    else:
        model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**shape, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12, norm_topk_prob=True))
    model = model.float().eval()
    with torch.no_grad():
        for values in model.parameters():
            values.add_(torch.randn_like(values) * (0.2 if values.dim() == 1 else values.shape[-1] ** -0.5))
    model.save_pretrained(folder)
    tokenizer(folder)
    ids = torch.randint(4, 30, (1, 30))
    save_file({"input_ids": ids, "logits": logits(model, ids).contiguous()}, folder / "expected.safetensors")


def tokenizer(folder):
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import Split
    letters = ["<pad>", "<eos>", "<bos>", " "] + list("abcdefghijklmnopqrstuvwxyz")
    made = Tokenizer(BPE({letter: place for place, letter in enumerate(letters)}, [], unk_token="<pad>"))
    made.pre_tokenizer = Split("", "isolated")
    made.add_special_tokens(letters[:3])
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}))


failed = 0
models = {path.parent.name: (path.parent, path.resolve()) for path in sorted(Path(a.models).glob("*/model.gguf"))}
MADE = {
    "gemma3_sees": "",
    "gemma3_sees_parts": 'layers = [0, 5]\nrank-pattern = { "self_attn.*" = 2 }\nalpha-pattern = { "layers.5.mlp.up_proj" = 3.0 }\n'
    'modules-to-save = ["embed_tokens", "norm"]',
    "mixtral_experts": 'targets = ["w1", "w3", "w2", "q_proj"]\nscaling = "rank-stabilized"\ndropout = 0.2',
    "mixtral_experts_down": 'targets = ["w2"]',
    "qwen3_moe_experts": 'targets = ["gate_proj", "up_proj", "down_proj"]\nscaling = "rank-stabilized"\ndropout = 0.2',
}
for name in MADE:
    folder = Path(a.out).resolve() / "models" / name
    models[name] = (folder, folder)
print(f"{'model':<18} {'base':>9} {'merged':>9} {'adapter':>9}")
for name, (source, base) in models.items():
    if a.only and name not in a.only.split(","):
        continue
    try:
        if name in MADE:
            sees(source) if name.startswith("gemma3") else experts(source, name)
        of_base, of_merged, does = check(name, source, base, MADE.get(name, ""))
        wrong = max(of_base, of_merged) > TOLERANCE or does < 100 * TOLERANCE
        print(f"{name:<18} {of_base:9.1e} {of_merged:9.1e} {does:9.1e}{'  FAILED' if wrong else ''}", flush=True)
    except Exception as error:
        wrong = True
        print(f"{name:<18} FAILED: {error}", flush=True)
    failed += wrong
sys.exit(1 if failed else 0)
