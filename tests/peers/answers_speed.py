"""Seconds of `rtune eval` and of transformers' generate for the same prompts, in turn:
    answers_speed.py RTUNE MODEL GOLDEN.jsonl MAX_NEW_TOKENS BATCH ROUNDS [--sorted]

The side of transformers is eval_speed.py: generate alone, loading not counted, float32, prompts in the file's order or with --sorted by their
length. Ours is the whole command less that of a golden set of one row with one token, which is mostly loading: expected answers are scored too.
Machines that others use give ratios, not seconds: each round measures both sides, and the order changes from round to round.
"""
import json, os, statistics, subprocess, sys, tempfile, time

arguments = [a for a in sys.argv[1:] if a != "--sorted"]
rtune, model, golden, limit, batch, rounds = arguments
is_sorted = ["--sorted"] * ("--sorted" in sys.argv)
here = os.path.dirname(os.path.abspath(__file__))


def ours(rows, tokens):
    began = time.perf_counter()
    out = subprocess.run([rtune, "eval", model, "--set", "quantization.kind=none", "--golden", rows, "--max-new-tokens", tokens, "--batch", batch, "--json"],
                         check=True, capture_output=True, text=True)
    return time.perf_counter() - began, json.loads(out.stdout)["base"]["answer_tokens"]


def theirs():
    out = subprocess.run([sys.executable, f"{here}/eval_speed.py", model, golden, limit, batch, *is_sorted], check=True, capture_output=True, text=True)
    found = json.loads(out.stdout.splitlines()[-1])
    return found["seconds"], found["answer_tokens"]


with tempfile.TemporaryDirectory() as folder:
    one = f"{folder}/one.jsonl"
    open(one, "w", encoding="utf-8").write(open(golden, encoding="utf-8").readline())
    ratios = []
    for number in range(int(rounds)):
        sides = {}
        for side in (("theirs", "ours"), ("ours", "theirs"))[number % 2]:
            if side == "theirs":
                sides[side] = theirs()
            else:
                (whole, tokens), (start, _) = ours(golden, limit), ours(one, "1")
                sides[side] = (whole - start, tokens)
        ratios.append(sides["theirs"][0] / sides["ours"][0])
        print(f"round {number + 1}: rtune {sides['ours'][0]:.1f} s for {sides['ours'][1]} tokens, transformers {sides['theirs'][0]:.1f} s for "
              f"{sides['theirs'][1]}: {ratios[-1]:.2f} times as fast", flush=True)
print(f"median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
