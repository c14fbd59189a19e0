"""Loads what rtune wrote with transformers and peft and holds their logits against ours:
    logits.py EXPECTED.safetensors MODEL [ADAPTER] [--nf4 | --nf4-double]
    logits.py --each FOLDER...

With --each, every FOLDER has an `expected.safetensors`, a MODEL `base` and an ADAPTER `adapter`.
EXPECTED holds, for each row N, `N.tokens` [T] and `N.logits` [T, V] as rtune computed them, and in its metadata the `messages`
of the rows, as JSON. MODEL is a folder that rtune wrote: a base alone, or a merged model. With ADAPTER, a PEFT folder is loaded
beside it; with --nf4, MODEL is quantised by bitsandbytes first, as in training.

All arithmetic is in float32. Fails on a difference above 1e-4 * max(1, |logit|); on weights that are missing or left over;
where the tokenizer and the chat template that lie in ADAPTER, or else in MODEL, give other tokens than ours; and where an adapter
does nothing. Needs transformers and safetensors, for an adapter peft, for --nf4 bitsandbytes.
"""
import json, os, sys, warnings
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4


def load(model, adapter, nf4):
    settings = {}
    if nf4:
        from transformers import BitsAndBytesConfig
        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=nf4 == "--nf4-double", bnb_4bit_compute_dtype=torch.float32)
        settings["device_map"] = {"": "cpu"}
    loaded, info = AutoModelForCausalLM.from_pretrained(
        model, attn_implementation="eager", dtype=torch.float32, output_loading_info=True, **settings)
    problems = [f"{key}: {sorted(info[key])}" for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(key)]
    # Where a processor multiplies in bfloat16, bitsandbytes answers in that; numbers are compared with float32.
    for module in loaded.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"): module.support_avx512bf16_for_cpu = False
    if adapter:
        from peft import PeftModel
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = PeftModel.from_pretrained(loaded, adapter)
        # Deprecations are between peft and its libraries, and say nothing about the folder.
        problems += [f"warning: {w.message}" for w in caught if not issubclass(w.category, (DeprecationWarning, FutureWarning))]
    return loaded.eval(), problems


@torch.no_grad()
def main(expected, model, adapter=None, nf4=None):
    loaded, problems = load(model, adapter, nf4)
    tokenizer = AutoTokenizer.from_pretrained(adapter or model)
    worst, largest, does, agreed, count, place = 0.0, 0.0, 0.0, 0, 0, "nowhere"
    with safe_open(expected, "pt") as file:
        conversations = json.loads(file.metadata()["messages"])
        for row, messages in enumerate(conversations):
            tokens, ours = file.get_tensor(f"{row}.tokens"), file.get_tensor(f"{row}.logits")
            # A row ends with its last trained token; what the template prints behind it is cut off there.
            ids = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
            if ids[: len(tokens)] != tokens.tolist():
                problems.append(f"row {row}: tokens differ: {tokenizer.convert_ids_to_tokens(ids)}")
            theirs = loaded(input_ids=tokens[None]).logits[0]
            difference = (theirs - ours).abs() / theirs.abs().clamp(min=1)
            if float(difference.max()) > worst:
                worst, (token, entry) = float(difference.max()), divmod(int(difference.argmax()), ours.shape[1])
                place = f"row {row}, token {token}, entry {entry}: {float(theirs[token, entry]):.6f} there, {float(ours[token, entry]):.6f} here"
            largest, count = max(largest, float(theirs.abs().max())), count + len(tokens)
            agreed += int((theirs.argmax(-1) == ours.argmax(-1)).sum())
            if adapter:
                with loaded.disable_adapter():
                    does = max(does, float((loaded(input_ids=tokens[None]).logits[0] - ours).abs().max()))
    if worst > TOLERANCE:
        problems.append(f"logits differ by {worst:.2e}; at most {TOLERANCE} expected")
    if adapter and does <= 100 * TOLERANCE:
        problems.append(f"without the adapter logits differ by {does:.2e} only, so nothing was shown")
    what = " + ".join(filter(None, [os.path.basename(model), nf4, adapter and os.path.basename(adapter)]))
    without = f"; without the adapter {does:.2e}" if adapter else ""
    print(f"{what}: {count} tokens, largest logit {largest:.1f}, worst difference {worst:.2e} of max(1, logit) ({place}), likeliest tokens equal: {agreed}{without}")
    for problem in problems:
        print(f"{what}: {problem}")
    return not problems and count > 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--each"] and sys.argv[2:]:
        done = []
        for folder in sys.argv[2:]:
            print(open(f"{folder}/name").read() if os.path.exists(f"{folder}/name") else folder)
            done.append(main(f"{folder}/expected.safetensors", f"{folder}/base", f"{folder}/adapter"))
        sys.exit(0 if all(done) else 1)
    flags = [argument for argument in sys.argv[1:] if argument.startswith("--")]
    paths = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    if not 2 <= len(paths) <= 3 or flags not in ([], ["--nf4"], ["--nf4-double"]):
        sys.exit(__doc__)
    sys.exit(0 if main(*paths[:2], *(paths[2:] or [None]), *flags) else 1)
