"""Writes a tiny model of every family that llama.cpp has, and the same as GGUF in float32, by llama.cpp's own converter.

    python gguf_families.py LLAMA_CPP OUT [--only llama,gemma2] [--seed 0]

LLAMA_CPP is a checkout of llama.cpp (the source package of llama-cpp-python on PyPI holds one under vendor/). Needs transformers and
sentencepiece. OUT/NAME gets config.json, model.safetensors, a SentencePiece vocabulary, model.gguf, and expected.safetensors with
the ids of a text and the logits that transformers computes for them. Only the vocabulary is put in here: keys and tensors of
model.gguf are what the converter makes of the folder. What a GGUF file has no key for (Mistral's window, another scale of the
scores of Gemma than by the width of a head, another pattern of windows than every sixth layer) no model here has.
"""
import argparse, io, json, random, sys
from pathlib import Path

p = argparse.ArgumentParser(); p.add_argument("llama_cpp"); p.add_argument("out"); p.add_argument("--only"); p.add_argument("--seed", type=int, default=0)
a = p.parse_args(); sys.path[:0] = [a.llama_cpp, a.llama_cpp + "/gguf-py"]
import gguf
import sentencepiece
import torch
from conversion import get_model_class
from conversion.base import ModelBase, ModelType, TextModel, get_model_architecture
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

V, TOKENS = 40, 30
SIZES = dict(vocab_size=V, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False)
GEMMA = dict(head_dim=6, tie_word_embeddings=True)
FAMILIES = {
    "llama": ("llama", {}),
    "llama_bias": ("llama", dict(attention_bias=True, mlp_bias=True, head_dim=6)),
    "llama3": ("llama", dict(rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=16))),
    "llama_linear": ("llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0), tie_word_embeddings=True)),
    "granite": ("granite", dict(embedding_multiplier=3.0, attention_multiplier=0.4, residual_multiplier=0.3, logits_scaling=2.0)),
    "mixtral": ("mixtral", dict(num_local_experts=4, num_experts_per_tok=2, sliding_window=None)),
    "qwen2": ("qwen2", {}),
    "qwen2_yarn": ("qwen2", dict(rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16))),
    "qwen3": ("qwen3", dict(head_dim=6)),
    "qwen3_moe": ("qwen3_moe", dict(head_dim=6, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12, norm_topk_prob=True)),
    "smollm3": ("smollm3", dict(num_hidden_layers=4)),
    "olmo2": ("olmo2", {}),
    "phi3": ("phi3", dict(sliding_window=8)),
    "phi3_partial": ("phi3", dict(sliding_window=None, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))),
    "phi3_longrope": ("phi3", dict(original_max_position_embeddings=16, sliding_window=None, rope_parameters=dict(rope_type="longrope", rope_theta=10000.0,
        short_factor=[1.0, 1.2], long_factor=[1.5, 2.5], original_max_position_embeddings=16))),
    "gemma": ("gemma", GEMMA),
    "gemma2": ("gemma2", dict(GEMMA, query_pre_attn_scalar=6, sliding_window=8, attn_logit_softcapping=0.5, final_logit_softcapping=0.4)),
    "gemma3": ("gemma3_text", dict(GEMMA, num_hidden_layers=6, query_pre_attn_scalar=6, sliding_window=8)),
    "gpt_neox": ("gpt_neox", dict(hidden_act="gelu", rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))),
    "gpt_neox_serial": ("gpt_neox", dict(hidden_act="gelu", use_parallel_residual=False, rope_parameters=dict(rope_type="default", rope_theta=10000.0,
        partial_rotary_factor=0.5))),
    "falcon": ("falcon", dict(new_decoder_architecture=True, num_kv_heads=2, alibi=False, bias=False, tie_word_embeddings=True)),
    "falcon7b": ("falcon", dict(new_decoder_architecture=False, multi_query=True, alibi=False, bias=False, parallel_attn=True, tie_word_embeddings=True)),
}


def vocabulary(folder):
    words = random.Random(5); letters = "abcdefghijklmnopqrstuvwxyz"
    lines = [" ".join("".join(words.choices(letters, k=words.randint(2, 6))) for _ in range(8)) for _ in range(200)] + [letters]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=V, num_threads=1, minloglevel=2,
        character_coverage=1.0, hard_vocab_limit=True)
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))


def model(out, kind, more, seed):
    torch.manual_seed(seed)
    sizes = {k: v for k, v in SIZES.items() if not (kind == "falcon" and k == "num_key_value_heads")}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**sizes, **more}), attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, values in model.named_parameters():
            scale = 0.2 if "norm" in name or "ln_" in name or values.dim() == 1 else values.shape[-1] ** -0.5
            values.add_(torch.randn_like(values) * scale)
    model.save_pretrained(out)
    ids = torch.randint(3, V, (1, TOKENS))
    with torch.no_grad():
        logits = model(input_ids=ids).logits.float()
    save_file({"input_ids": ids, "logits": logits.contiguous()}, out / "expected.safetensors")


def convert(folder):
    hparams = ModelBase.load_hparams(folder, False)
    # What the converter reads and transformers 5 says by other keys.
    rope = hparams.get("rope_parameters") or {}
    if hparams["model_type"] == "gpt_neox": hparams["rotary_pct"] = rope["partial_rotary_factor"]
    if hparams["model_type"] == "falcon" and not hparams["new_decoder_architecture"]: hparams["num_kv_heads"] = 1
    if hparams["model_type"] == "phi3": rope.setdefault("original_max_position_embeddings", SIZES["max_position_embeddings"])
    model_class = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    model_class.set_vocab = TextModel._set_vocab_sentencepiece
    model_class(folder, gguf.LlamaFileType.ALL_F32, folder / "model.gguf", hparams=hparams).write()


if __name__ == "__main__":
    failed = 0
    for number, (name, (kind, more)) in enumerate(FAMILIES.items()):
        if a.only and name not in a.only.split(","): continue
        folder = Path(a.out) / name; folder.mkdir(parents=True, exist_ok=True)
        try:
            model(folder, kind, more, 100 * a.seed + number); vocabulary(folder); convert(folder)
            print(f"{name:16} {(folder / 'model.gguf').stat().st_size} bytes")
        except Exception as error:
            failed += 1; print(f"{name:16} {type(error).__name__}: {error}"[:300])
    sys.exit(failed > 0)
