"""Kills a real run ten times at random moments, resumes it each time on two threads, and compares every byte with an undisturbed
run on one thread: ten_kills.py PROGRAM CONFIG FOLDER [KEY=VALUE ...]

Compared is every file of the run folders but metrics.jsonl and those of TensorBoard, which have times; manifest.json without its
`environment`, and config.toml without the name of the run folder. Needs no package.
"""
import hashlib, json, os, random, shutil, subprocess, sys, time
from pathlib import Path

KILLS = 10
# Of the undisturbed run's time: long enough for the loop, short enough for ten kills before the end.
LONGEST_SHARE = 0.18
program, config, folder, *overrides = sys.argv[1:]
folder = Path(folder)


def start(run, threads):
    command = [program, "train", config, "--resume"]
    for override in [*overrides, f"output.dir={run}"]:
        command += ["--set", override]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ, RAYON_NUM_THREADS=str(threads)))


def hashes(run):
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file() and "tensorboard" not in name and name not in (".lock", "metrics.jsonl"):
            data = path.read_bytes()
            if name == "manifest.json":
                manifest = json.loads(data)
                manifest["environment"] = None
                data = json.dumps(manifest).encode()
            if name == "config.toml":
                data = data.replace(str(run).encode(), b"RUN")
            found[name] = hashlib.sha256(data).hexdigest()
    return found


def main():
    random.seed(1)
    whole, killed = folder / "whole", folder / "killed"
    for run in (whole, killed):
        shutil.rmtree(run, ignore_errors=True)
    began = time.time()
    assert start(whole, 1).wait() == 0
    seconds = time.time() - began
    print(f"undisturbed, 1 thread: {seconds:.0f} s", flush=True)
    began = time.time()
    for kill in range(1, KILLS + 1):
        child = start(killed, 2)
        time.sleep(random.uniform(0.2, LONGEST_SHARE * seconds))
        if child.poll() is not None:
            sys.exit(f"it ended by itself after {kill - 1} kills: give it more steps")
        child.kill()
        child.wait()
        print(f"kill {kill}: last is {os.path.basename(os.path.realpath(killed / 'last'))}", flush=True)
    assert start(killed, 2).wait() == 0
    one, other = hashes(whole), hashes(killed)
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    print(f"{KILLS} kills and the rest: {time.time() - began:.0f} s; {len(one)} files, different: {different}")
    sys.exit(bool(different))


main()
