"""BERTScore by the package bert-score, of a small BERT and a small RoBERTa with random weights that this script writes:
    bert_score_pairs.py FOLDER

Writes FOLDER/bert (config.json, vocab.txt, tokenizer.json, model.safetensors) and FOLDER/roberta (without vocab.txt), answers and two references a line,
and expected.json: for encoders, layers, idf and numbers of references the mean precision, recall and F1.
"""
import json, os, random, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel, RobertaTokenizerFast
from bert_score import score

folder = sys.argv[1]
os.makedirs(f"{folder}/bert", exist_ok=True)
words = "the lamp is red not and it was on off green old new ##s ##ed ##ly ##er a b c d e f ä ü . , ! ? house kettle warm cold very".split()
vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + words
open(f"{folder}/bert/vocab.txt", "w", encoding="utf-8").write("\n".join(vocabulary) + "\n")
torch.manual_seed(0)
model = BertModel(BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
                             max_position_embeddings=24), add_pooling_layer=False)
for name, parameter in model.named_parameters():
    if "LayerNorm" not in name:
        torch.nn.init.normal_(parameter, std=0.5)
model.save_pretrained(f"{folder}/bert")
PreTrainedTokenizerFast(
    tokenizer_object=BertWordPieceTokenizer(f"{folder}/bert/vocab.txt", lowercase=True)._tokenizer, model_max_length=24, pad_token="[PAD]",
    unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]").save_pretrained(f"{folder}/bert")

draw = random.Random(1)
def text():
    plain = [w for w in words if not w.startswith("##")]
    return " ".join(draw.choice(plain) + draw.choice(["", "", "s", "ed"]) for _ in range(draw.randrange(1, 12)))
answers, first, second = ([text() for _ in range(40)] for _ in range(3))
# The package fails on an empty text with transformers 5; that case is left to our own tests.
answers[3], answers[5] = first[3], " ".join(["lamp"] * 40)
for name, lines in (("answers", answers), ("first", first), ("second", second)):
    open(f"{folder}/{name}.txt", "w", encoding="utf-8").write("\n".join(lines) + "\n")
# RoBERTa: tokens of bytes, positions behind that of padding. The tokenizer thinks a space before a text, as bert-score asks of it.
bytes_of_words = ByteLevelBPETokenizer(add_prefix_space=True)
bytes_of_words.train_from_iterator(answers + first + second, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
os.makedirs(f"{folder}/roberta", exist_ok=True)
bytes_of_words.save_model(f"{folder}/roberta")
RobertaTokenizerFast(
    f"{folder}/roberta/vocab.json", f"{folder}/roberta/merges.txt", add_prefix_space=True, model_max_length=22).save_pretrained(f"{folder}/roberta")
roberta = RobertaModel(RobertaConfig(vocab_size=bytes_of_words.get_vocab_size(), hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
                                     intermediate_size=48, max_position_embeddings=24, type_vocab_size=1, layer_norm_eps=1e-5,
                                     pad_token_id=1, bos_token_id=0, eos_token_id=2), add_pooling_layer=False)
for name, parameter in roberta.named_parameters():
    if "LayerNorm" not in name:
        torch.nn.init.normal_(parameter, std=0.5)
roberta.save_pretrained(f"{folder}/roberta")
expected = []
for encoder in ("bert", "roberta"):
    for layer in (1, 3):
        for idf in (False, True):
            for references in (1, 2):
                wanted = first if references == 1 else [list(pair) for pair in zip(first, second)]
                # One pair at a time: in a batch, padding counts as a cosine of 0.
                figures = score(answers, wanted, model_type=f"{folder}/{encoder}", num_layers=layer, idf=idf, batch_size=1, nthreads=0)
                expected.append({"encoder": encoder, "layer": layer, "idf": idf, "references": references,
                                 "figures": [f.double().mean().item() for f in figures]})
json.dump(expected, open(f"{folder}/expected.json", "w"))
print("written")
