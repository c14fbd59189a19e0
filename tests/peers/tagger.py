#!/usr/bin/env python3
"""What other libraries compute for a token classifier, written beside the model for `cargo test -p rtune-models tagger`.

    tagger.py tiny FOLDER            a tiny random BertForTokenClassification with its vocabulary, by transformers
    tagger.py onnx FOLDER OUTPUT     the ONNX file of FOLDER run by onnxruntime; OUTPUT gets what the test compares with

Both write texts.json and expected.safetensors: for the text number N the token ids `ids_N` [T] and the logits
`logits_N` [T, labels], all as 32-bit floats. RTUNE_TAGGER_PEER=FOLDER names another such folder to the test.
"""

import json
import os
import shutil
import sys

TEXTS = [
    "My name is Anna Jensen and I live in Aarhus.",
    "Please send it to Jean-Luc O'Neil, 12 rue Victor Hugo, 75001 Paris.",
    "Herr Müller wohnt in der Hauptstraße 5.",
    "call me on +1 212 555 0199",
    "anna.jensen@example.org",
    "",
    "Łukasz Wiśniewski, ul. Cicha 86, Kraków",
    "東京 and Δημήτρης",
    "Dear Sir, the invoice of 3 May is still unpaid. Regards, Grace Hopper",
    "IBAN GB33BUKB20201555555555",
    "Will may mark the bill.",
    "x" * 150,
    "Tab\tand\nline breaks   and   spaces",
    "María José Carreño Quiñones vive en Calle Mayor 7, Madrid",
    "He said: \"I'm Bob!\" (and left)",
    "SSN 078-05-1120, card 4111 1111 1111 1111",
    "emoji 👩‍👩‍👧 between Ann and Ben",
    "Σίσυφος Ångström naïve café",
    "one",
    "The quick brown fox jumps over the lazy dog near the river bank in London, and then it goes home to Springfield.",
]


def save(folder, rows):
    import numpy as np
    from safetensors.numpy import save_file

    tensors = {}
    for number, (ids, logits) in enumerate(rows):
        tensors[f"ids_{number}"] = np.asarray(ids, dtype=np.float32)
        tensors[f"logits_{number}"] = np.ascontiguousarray(logits, dtype=np.float32)
    save_file(tensors, os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "texts.json"), "w", encoding="utf-8") as file:
        json.dump(TEXTS, file, ensure_ascii=False, indent=0)


def tiny(folder):
    import torch
    from transformers import BertConfig, BertForTokenClassification, BertTokenizerFast

    os.makedirs(folder, exist_ok=True)
    letters = sorted({letter for text in TEXTS for letter in text.lower() if not letter.isspace()})
    words = ["name", "is", "the", "and", "in", "call", "me", "an", "##na", "jen", "##sen"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *("##" + letter for letter in letters)]
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(dict.fromkeys(vocabulary)) + "\n")
    tokenizer = BertTokenizerFast(os.path.join(folder, "vocab.txt"), do_lower_case=True)
    labels = ["O", "B-GIVEN", "I-GIVEN", "B-CITY", "I-CITY"]
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=160, type_vocab_size=2, hidden_act="gelu", initializer_range=0.2,
        id2label=dict(enumerate(labels)), label2id={label: number for number, label in enumerate(labels)},
    )
    torch.manual_seed(7)
    model = BertForTokenClassification(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Biases and norms start at 0 and 1, which would hide a mistake.
            if name.endswith("bias") or "LayerNorm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
        model.save_pretrained(folder)
        rows = []
        for text in TEXTS:
            ids = tokenizer(text, return_tensors="pt").input_ids
            rows.append((ids[0].numpy(), model(ids).logits[0].numpy()))
    save(folder, rows)


def onnx(model, output):
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    os.makedirs(output, exist_ok=True)
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(os.path.join(model, name), output)
    os.makedirs(os.path.join(output, "onnx"), exist_ok=True)
    shutil.copy(os.path.join(model, "onnx", "model_q4.onnx"), os.path.join(output, "onnx"))
    session = onnxruntime.InferenceSession(os.path.join(model, "onnx", "model_q4.onnx"), providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = []
    for text in TEXTS:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        rows.append((ids[0], session.run(None, feed)[0][0]))
    save(output, rows)


{"tiny": tiny, "onnx": onnx}[sys.argv[1]](*sys.argv[2:])
