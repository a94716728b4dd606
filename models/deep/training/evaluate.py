"""Figures of a released model on a labelled file. Meant for dev.tsv, once a release.

usage: evaluate.py MODEL_DIR FILE.tsv
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch

import released
from bert import LABELS, predict
from figures import accuracy, calibration_error, macro_f1, per_label, softmax
from split import read_tsv

RESAMPLES = 1000


def interval(function, count, seed=1):
    """95 % bootstrap interval of function(row numbers)."""
    random = np.random.default_rng(seed)
    values = [function(random.integers(0, count, count)) for _ in range(RESAMPLES)]
    return [round(float(v), 3) for v in np.percentile(values, [2.5, 97.5])]


def main():
    torch.set_num_threads(1)
    model, tokenizer, config = released.read(Path(sys.argv[1]))
    rows = read_tsv(sys.argv[2])
    labels = np.array([LABELS.index(row["label"]) for row in rows])
    ids = [encoding.ids for encoding in tokenizer.encode_batch([row["text"] for row in rows])]
    probabilities = softmax(predict(model, ids, bf16=False).numpy() / config["temperature"])
    guess = probabilities.argmax(1)
    language = np.array([row["lang"] for row in rows])
    print(json.dumps({
        "version": config["version"],
        "rows": len(rows),
        "macro_f1": round(float(macro_f1(labels, guess)), 4),
        "macro_f1 interval": interval(lambda i: macro_f1(labels[i], guess[i]), len(rows)),
        "accuracy": round(float(accuracy(labels, guess)), 4),
        "accuracy interval": interval(lambda i: accuracy(labels[i], guess[i]), len(rows)),
        "ece": round(float(calibration_error(labels, probabilities)), 4),
        "accuracy by language": {
            str(x): [int((language == x).sum()), round(float((guess == labels)[language == x].mean()), 3)]
            for x in np.unique(language)
        },
    }, indent=1))
    print("| label | rows | precision | recall | F1 |\n|---|---|---|---|---|")
    for name, count, values in zip(LABELS, np.bincount(labels, minlength=5), per_label(labels, guess)):
        print(f"| {name} | {count} |", " | ".join(f"{v:.3f}" for v in values), "|")


if __name__ == "__main__":
    main()
