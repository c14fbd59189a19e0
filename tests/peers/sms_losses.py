"""The first steps of a run beside transformers + peft + bitsandbytes: the same NF4 base, adapter, rows of each step and schedule.

    python sms_losses.py MODEL TRAIN.jsonl INIT PEER.json [--rtune target/release/rtune]

PEER.json and INIT are what the peer wrote: `task.py MODEL TRAIN.jsonl GOLDEN.jsonl --save-init INIT --steps 20 --no-eval > PEER.json`.
Writes the rows in the peer's order, runs `rtune train` on them, and compares each step's loss: at most max(1e-3 nats, 1%) apart.
Exits 1 if one is further off."""
import argparse, json, pathlib, random, subprocess, sys, tempfile

p = argparse.ArgumentParser()
p.add_argument("model"); p.add_argument("train"); p.add_argument("init"); p.add_argument("peer")
p.add_argument("--rtune", default="target/release/rtune")
a = p.parse_args()
peer = json.loads([line for line in open(a.peer) if line.startswith("{")][-1])
rows = [json.loads(line) for line in open(a.train)]
order = list(range(len(rows))); random.Random(0).shuffle(order)
batch = len(peer["rows_of_step"][0])
assert [i for step in peer["rows_of_step"] for i in step] == order[:batch * len(peer["losses"])], "the peer's order is not the one expected"
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    data = folder / "rows.jsonl"
    # The peer leaves the last incomplete step out; so do we.
    whole = len(rows) // batch * batch
    data.write_text("".join(json.dumps({**rows[i], "id": str(n)}) + "\n" for n, i in enumerate(order[:whole])))
    steps = whole // batch
    (folder / "c.toml").write_text(f"""
[model]
base = "{a.model}"
[lora]
from = "{a.init}"
[data]
train = "{data}"
validation = 0.0
shuffle = false
[data.clean]
duplicates = "keep"
[train]
epochs = 1
rows-per-step = {batch}
micro-batch-tokens = 1024
learning-rate = 5e-4
schedule = "linear"
warmup = 5
weight-decay = 0.0
max-grad-norm = 1.0
[checkpoint]
every = {steps}
[eval]
every = {steps}
[output]
dir = "{folder / 'run'}"
""")
    run = subprocess.Popen([a.rtune, "train", str(folder / "c.toml")])
    metrics, losses = folder / "run" / "metrics.jsonl", []
    while len(losses) < len(peer["losses"]) and run.poll() is None:
        try: run.wait(2)
        except subprocess.TimeoutExpired: pass
        if metrics.exists():
            lines = [json.loads(line) for line in metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]
            losses = [line["train_loss_nats"] for line in lines if "train_loss_nats" in line]
    if run.poll() is None: run.terminate(); run.wait()
bad, worst = 0, 0.0
for step, (ours, theirs) in enumerate(zip(losses, peer["losses"]), 1):
    off, allowed = abs(ours - theirs), max(1e-3, 0.01 * theirs); worst = max(worst, off / allowed); bad += off > allowed
    print(f"{step:3} rtune {ours:.7f}  peer {theirs:.7f}  difference {off:.1e}{'  TOO FAR' if off > allowed else ''}")
print(f"{len(losses)} of {len(peer['losses'])} steps compared; the worst difference is {worst:.3f} of what is allowed")
sys.exit(bad > 0 or len(losses) < len(peer["losses"]))
