"""A benchmark by lm-evaluation-harness (lm-eval 0.4.13, its transformers backend), item by item beside `rtune eval --benchmark`:
    lm_eval_items.py REPORT.json MODEL BENCHMARK.jsonl SHOTS [EXAMPLES.jsonl]

The tasks are those that the harness ships, pointed at these files. Exits with 1 where a log-likelihood is more than 1e-3 nats off, or any score,
greedy flag or answer differs.
"""
import json, os, shutil, sys, tempfile
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
import lm_eval
from lm_eval.tasks import TaskManager

report_file, model, benchmark, shots, *examples = sys.argv[1:]
report = json.load(open(report_file, encoding="utf-8"))
first = json.loads(open(benchmark, encoding="utf-8").readline())
letters = "".join(f"{c}. {{{{choices[{i}]}}}}\n" for i, c in enumerate("ABCD"))
texts = {
    "mmlu": ("{{question.strip()}}\n" + letters + "Answer:", '["A", "B", "C", "D"]', "answer"),
    "arc": ("Question: {{question}}\nAnswer:", '"{{choices.text}}"', "{{choices.label.index(answerKey)}}"),
    "piqa": ("Question: {{goal}}\nAnswer:", '"{{[sol1, sol2]}}"', "label"),
    "hellaswag": ("{{query}}", "choices", "{{label}}"),
    "choices": ("{{query}}", '"{{choices}}"', "gold"),
    "gsm8k": ("Question: {{question}}\nAnswer:", None, "{{answer}}"),
}
prompt, choices, target = texts[report["form"]]
splits = {"test": os.path.abspath(benchmark)}
if examples:
    splits["dev"] = os.path.abspath(examples[0])
task = f"""task: files
dataset_path: json
dataset_kwargs:
  data_files: {json.dumps(splits)}
test_split: test
fewshot_split: {"dev" if examples else "test"}
fewshot_config:
  sampler: first_n
doc_to_text: {json.dumps(prompt)}
doc_to_target: {json.dumps(target)}
"""
if report["form"] == "mmlu" and "subject" in first:
    about = first["subject"].replace("_", " ")
    task += f"description: {json.dumps(f'The following are multiple choice questions (with answers) about {about}.' + chr(10) * 2)}\n"
if choices:
    task += f"""output_type: multiple_choice
doc_to_choice: {choices}
metric_list:
  - metric: acc
  - metric: acc_norm
  - metric: acc_bytes
"""
else:
    shipped = open(os.path.join(os.path.dirname(lm_eval.__file__), "tasks/gsm8k/gsm8k.yaml"), encoding="utf-8").read()
    task += "output_type: generate_until\n" + shipped[shipped.index("metric_list:") : shipped.index("metadata:")].replace("num_fewshot: 5\n", "")

if report["form"] == "hellaswag":
    task += "process_docs: !function utils.process_docs\n"

with tempfile.TemporaryDirectory() as folder:
    # Texts of HellaSwag are made by the harness's own function.
    if report["form"] == "hellaswag":
        shutil.copy(os.path.join(os.path.dirname(lm_eval.__file__), "tasks/hellaswag/utils.py"), folder)
    open(os.path.join(folder, "files.yaml"), "w", encoding="utf-8").write(task)
    found = lm_eval.simple_evaluate(
        model="hf", model_args={"pretrained": model, "dtype": "float32"}, tasks=["files"], num_fewshot=int(shots), batch_size=1,
        device="cpu", log_samples=True, task_manager=TaskManager(include_path=folder, include_defaults=False), bootstrap_iters=0)
samples = found["samples"]["files"]
wrong, worst = 0, 0.0
for sample in samples:
    item = report["items"][sample["doc_id"]]
    side = item["base"]
    if choices:
        theirs = sample["filtered_resps"]
        for (likelihood, greedy), ours, our_greedy in zip(theirs, side["log_likelihoods"], side["is_greedy"], strict=True):
            worst = max(worst, abs(float(likelihood) - ours))
            wrong += (str(greedy) == "True") != our_greedy
        scores = {name: sample[name] for name in ("acc", "acc_norm", "acc_bytes")}
    else:
        scores = {f"exact_match,{sample['filter']}": sample["exact_match"]}
        answer = sample["resps"][0][0]
        if answer != side["answer"]:
            wrong += 1
            print(f"item {sample['doc_id']}: {answer!r}, ours {side['answer']!r}")
    for name, score in scores.items():
        if float(score) != side["scores"][name]:
            wrong += 1
            print(f"item {sample['doc_id']}: {name} {score}, ours {side['scores'][name]}")
for name, value in found["results"]["files"].items():
    metric = name.removesuffix(",none")
    if metric in report["base"]["metrics"]:
        ours = report["base"]["metrics"][metric]["mean"]
        wrong += abs(ours - value) > 1e-12
        print(f"{metric}: {ours:.4f}, lm-eval {value:.4f}")
print(f"{report['form']}, {shots} examples: {len(samples)} samples, {wrong} differences, log-likelihoods at most {worst:.2e} nats off")
if wrong or worst > 1e-3:
    sys.exit(1)
print("item by item the same")
