"""Converts the reference cases to GGUF in float32 with llama.cpp's own converter.

    python gguf_families.py LLAMA_CPP CASES OUT [--only llama,gemma2]

LLAMA_CPP is a checkout of llama.cpp, CASES the folder that make_reference.py wrote, or one like it. The cases have no tokenizer, which
the converter asks for: a SentencePiece vocabulary of their size is trained on the pages of this repository and put beside each.
Only that is done here; keys and tensors are what the converter makes of them.
"""
import argparse, io, json, shutil, sys
from pathlib import Path

p = argparse.ArgumentParser(); p.add_argument("llama_cpp"); p.add_argument("cases"); p.add_argument("out"); p.add_argument("--only")
a = p.parse_args(); sys.path[:0] = [a.llama_cpp, a.llama_cpp + "/gguf-py"]
import sentencepiece
import gguf
from conversion import get_model_class
from conversion.base import ModelBase, ModelType, TextModel, get_model_architecture

ROOT = Path(__file__).resolve().parents[2]


def vocabulary(folder, count):
    lines = [line for line in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines() if line.isascii() and line]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=count, num_threads=1,
        minloglevel=2, character_coverage=1.0, hard_vocab_limit=True)
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))


def older_keys(path):
    """Keys that the converter reads and transformers 5 writes elsewhere."""
    keys = json.loads(path.read_text()); rope = keys.get("rope_parameters") or {}
    if keys["model_type"] == "gpt_neox": keys["rotary_pct"] = rope["partial_rotary_factor"]
    if keys["model_type"] == "phi3": keys["original_max_position_embeddings"] = rope.setdefault("original_max_position_embeddings", keys.get("original_max_position_embeddings") or 4096)
    path.write_text(json.dumps(keys))


def convert(case, out):
    folder = out / f".{case.name}"; shutil.copytree(case, folder, ignore=shutil.ignore_patterns("adapter", "expected.safetensors"), copy_function=shutil.copyfile)
    folder.chmod(0o755)  # copies of a folder that must not be written are writable
    older_keys(folder / "config.json")
    hparams = ModelBase.load_hparams(folder, False)
    vocabulary(folder, hparams["vocab_size"])
    model_class = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    if model_class.set_vocab in (TextModel.set_vocab,): model_class.set_vocab = TextModel._set_vocab_sentencepiece
    model_class(folder, gguf.LlamaFileType.ALL_F32, out / f"{case.name}.gguf").write()
    shutil.rmtree(folder)


if __name__ == "__main__":
    out = Path(a.out); out.mkdir(parents=True, exist_ok=True)
    for case in sorted(path for path in Path(a.cases).iterdir() if (path / "config.json").is_file()):
        if a.only and case.name not in a.only.split(","): continue
        try:
            convert(case, out); print(f"{case.name:16} converted")
        except Exception as error:
            print(f"{case.name:16} {type(error).__name__}: {error}"[:200])
