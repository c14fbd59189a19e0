"""Trains two small SentencePiece vocabularies on the pages of this repository and writes pieces, scores, types and the ids of some texts.

    python sentencepiece_vocabulary.py ../fixtures/sentencepiece.json

One has the settings of Llama 2's, one those of Gemma's (no space in front, tokens of several spaces). Types are those of llama.cpp.
"""
import io, json, sys
from pathlib import Path
import sentencepiece

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/numerics.md"]
TEXTS = ["", " ", "  ", "hello", " hello", "  hello  world ", "The adapters are trained.", "a\nb\n\nc", "\n", "tab\there", "naïve café", "Zürich 1234567",
    "日本語のテキスト", "emoji 🙂🙃", "x = [1, 2, 3]; // why", "aaaaaaaaaaaaaaaa", "ab" * 9, "UPPER lower MiXeD", "    four spaces", "trailing   ",
    "checkpoint/step-000200", "▁ itself", "<0x41> is no byte", "the the the", "\u00a0no-break", "e\u0301 combined", "'s 't 'll", "100.000,00 €"]
SETTINGS = dict(model_type="bpe", vocab_size=700, byte_fallback=True, character_coverage=0.9995, normalization_rule_name="identity",
    remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, split_digits=True, num_threads=1, minloglevel=2)


def train(**more):
    lines = [line for page in PAGES for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, **SETTINGS, **more)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    def kind(i):
        for value, asks in [(2, sp.is_unknown), (3, sp.is_control), (5, sp.is_unused), (6, sp.is_byte)]:
            if asks(i): return value
        return 4 if sp.id_to_piece(i) in more.get("user_defined_symbols", []) else 1
    count = sp.vocab_size()
    return dict(pieces=[sp.id_to_piece(i) for i in range(count)], scores=[sp.get_score(i) for i in range(count)], types=[kind(i) for i in range(count)],
        bos=sp.bos_id(), eos=sp.eos_id(), unknown=sp.unk_id(), texts=[dict(text=t, ids=sp.encode(t)) for t in TEXTS])


if __name__ == "__main__":
    found = dict(llama=train(), plain=train(add_dummy_prefix=False, user_defined_symbols=["<|turn|>", "<b>"]))
    Path(sys.argv[1]).write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
