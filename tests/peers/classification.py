"""Writes labels, scores and ranks that are drawn with a seed, and what scikit-learn and scipy say of them.

    python classification.py > ../fixtures/metrics/peers.json   # needs scikit-learn and scipy
    python classification.py 7 40 > peers.json             # 40 sets with seed 7, for RTUNE_PEER_METRICS
"""

import json
import random
import sys
import warnings

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics

warnings.simplefilter("ignore")
UNPARSED = "<unparsed>"


def classification(draw):
    labels = [f"label_{i}" for i in range(draw.choice([2, 2, 3, 5, 12]))]
    weights = [draw.random() ** 3 + 0.01 for _ in labels]
    gold = draw.choices(labels, weights, k=draw.choice([5, 20, 60]))
    right, unparsed = draw.random(), draw.choice([0.0, 0.1])
    predicted = [
        UNPARSED if draw.random() < unparsed else g if draw.random() < right else draw.choice(labels) for g in gold
    ]
    present = sorted(set(gold))
    # Classes that are answered and never right stand after those of gold.
    others = sorted(set(predicted) - set(gold) - {UNPARSED})
    average = lambda kind, beta=1.0: dict(zip(
        ("precision", "recall", "f1"),
        metrics.precision_recall_fscore_support(
            gold, predicted, labels=present, average=kind, beta=beta, zero_division=0)))
    each = metrics.precision_recall_fscore_support(gold, predicted, labels=present, zero_division=0)
    half = metrics.fbeta_score(gold, predicted, beta=0.5, labels=present, average=None, zero_division=0)
    kappa = metrics.cohen_kappa_score(gold, predicted)
    return {
        "gold": gold,
        "predicted": predicted,
        "labels": present,
        "accuracy": metrics.accuracy_score(gold, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(gold, predicted),
        "mcc": metrics.matthews_corrcoef(gold, predicted),
        "cohen_kappa": None if np.isnan(kappa) else kappa,
        "precision": each[0].tolist(),
        "recall": each[1].tolist(),
        "f1": each[2].tolist(),
        "support": each[3].tolist(),
        "f_half": half.tolist(),
        "macro": average("macro"),
        "micro": average("micro"),
        "weighted": average("weighted"),
        "macro_f2": average("macro", 2.0)["f1"],
        "micro_f2": average("micro", 2.0)["f1"],
        "weighted_f2": average("weighted", 2.0)["f1"],
        "confusion": metrics.confusion_matrix(gold, predicted, labels=present + others + [UNPARSED]).tolist(),
    }


def curve(draw):
    count = draw.choice([3, 10, 50])
    positive = [True] + [draw.random() < 0.3 for _ in range(count - 1)]
    scores = [round(draw.random() * 0.7 + 0.3 * p, draw.choice([1, 3])) for p in positive]
    precision, recall, thresholds = metrics.precision_recall_curve(positive, scores, drop_intermediate=False)
    return {
        "scores": scores,
        "positive": positive,
        "thresholds": thresholds.tolist(),
        "precision": precision.tolist()[:-1],
        "recall": recall.tolist()[:-1],
        "average_precision": metrics.average_precision_score(positive, scores),
    }


def calibration(draw):
    classes, count = draw.choice([2, 4]), draw.choice([5, 40])
    rows = []
    for _ in range(count):
        row = np.array([draw.random() ** 2 + 1e-3 for _ in range(classes)])
        rows.append((row / row.sum()).tolist())
    gold = [draw.choices(range(classes), row)[0] for row in rows]
    return {
        "probabilities": rows,
        "gold": gold,
        "brier": metrics.brier_score_loss(gold, rows, labels=list(range(classes)), scale_by_half=False),
    }


def ranks(draw):
    count = draw.choice([4, 10, 40])
    one = [draw.choice([draw.randrange(4), draw.random() * 4]) for _ in range(count)]
    other = [round(x * draw.choice([1, -1, 1]) + draw.random() * 3, draw.choice([0, 2])) for x in one]
    spearman, kendall = stats.spearmanr(one, other).statistic, stats.kendalltau(one, other).statistic
    defined = not (np.isnan(spearman) or np.isnan(kendall))
    return {
        "one": one,
        "other": other,
        "spearman": float(spearman) if defined else None,
        "kendall": float(kendall) if defined else None,
    }


def paired(draw):
    gained, lost, cases = draw.randrange(40), draw.randrange(40), 100
    test = stats.binomtest(gained, gained + lost) if gained + lost else None
    right = draw.randrange(cases + 1)
    wilson = stats.binomtest(right, cases).proportion_ci(method="wilson")
    return {
        "gained": gained,
        "lost": lost,
        "p": float(test.pvalue) if test else 1.0,
        "right": right,
        "cases": cases,
        "wilson": [float(wilson.low), float(wilson.high)],
    }


seed, sets = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) == 3 else (3, 3)
draw = random.Random(seed)
print(json.dumps({
    "versions": {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__},
    **{kind.__name__: [kind(draw) for _ in range(sets)] for kind in (classification, curve, calibration, ranks, paired)},
}))
