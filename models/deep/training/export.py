"""Checkpoints of one start, averaged and calibrated, to the released files; what 8 bits cost is measured.

usage: export.py DATA_DIR WORK_DIR OUT_DIR CHECKPOINT...

Writes OUT_DIR/{weights.safetensors,tokenizer.json,config.json,heldout.tsv,reference.jsonl} and OUT_DIR-fp32/.
Everything is chosen on the held-out fifth, weighted to the label shares of dev.tsv.
"""
import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

import released
from bert import LABELS, Classifier, predict
from figures import accuracy, calibration_error, dev_weights, macro_f1, softmax
from split import read_tsv


def nll(logits, labels, weights):
    return -np.average(np.log(softmax(logits)[np.arange(len(labels)), labels] + 1e-12), weights=weights)


def temperature(logits, labels, weights):
    """The temperature of the least negative log-likelihood, to two decimals."""
    return min(np.arange(0.3, 3.0, 0.01).round(2), key=lambda t: nll(logits / t, labels, weights))


def figures(logits, labels, weights):
    guess = logits.argmax(1)
    return {
        "macro_f1": round(float(macro_f1(labels, guess, weights)), 4),
        "accuracy": round(float(accuracy(labels, guess, weights)), 4),
        "ece": round(float(calibration_error(labels, softmax(logits), weights=weights)), 4),
        "nll": round(float(nll(logits, labels, weights)), 4),
    }


def main():
    a = argparse.ArgumentParser()
    a.add_argument("data", type=Path)
    a.add_argument("work", type=Path)
    a.add_argument("out", type=Path)
    a.add_argument("checkpoints", nargs="+", type=Path, help="the best first")
    a.add_argument("--version", default="deep-1")
    a.add_argument("--compare", type=int, default=1 << 30, help="held-out rows on which 8 bits are set against fp32")
    o = a.parse_args()
    torch.set_num_threads(1)

    part = {row["id"]: row["part"] for row in read_tsv(o.work / "split.tsv")}
    held = [row for row in read_tsv(o.data / "train.tsv") if part[row["id"]] == "held-out"]
    labels = np.array([LABELS.index(row["label"]) for row in held])
    weights = dev_weights(labels)
    tokenizer = Tokenizer.from_file(str(o.work / "tokenizer.json"))
    ids = [encoding.ids for encoding in tokenizer.encode_batch([row["text"] for row in held])]
    config = json.loads((o.work / "config.json").read_text())

    def logits(tensors, bf16=True, count=None):
        model = Classifier(config)
        model.load_state_dict(tensors)
        return predict(model, ids[:count], bf16=bf16).numpy()

    # a checkpoint joins the average only if the held-out part is the better for it
    loaded = [load_file(path) for path in o.checkpoints]
    config["layers"] = 1 + max(int(n.split(".")[2]) for n in loaded[0] if n.startswith("encoder.layer."))
    mean = lambda members: {name: sum(m[name] for m in members) / len(members) for name in members[0]}
    calibrated = lambda z: z / temperature(z, labels, weights)
    chosen, best = [loaded[0]], figures(calibrated(logits(loaded[0])), labels, weights)
    print(o.checkpoints[0], best, flush=True)
    for path, tensors in zip(o.checkpoints[1:], loaded[1:]):
        line = figures(calibrated(logits(mean(chosen + [tensors]))), labels, weights)
        print("with", path, line, flush=True)
        if line["macro_f1"] + line["accuracy"] > best["macro_f1"] + best["accuracy"]:
            chosen, best = chosen + [tensors], line
    tensors = mean(chosen)

    small = released.quantise(tensors)
    coarse = logits(released.dequantise(small), bf16=False)
    exact = logits(tensors, bf16=False, count=o.compare)
    config["labels"] = LABELS
    config["temperature"] = float(temperature(coarse, labels, weights))
    digest = hashlib.sha256(b"".join(small[n].numpy().tobytes() for n in sorted(small))).hexdigest()
    config = {"name": "sinyal-deep", "version": f"{o.version}+{digest[:8]}", **config, "pooling": "mean", "pad": 1}
    t = config["temperature"]
    q = softmax(coarse / t)
    rows = slice(len(exact))
    p, change = softmax(exact / t), abs(softmax(exact / t) - q[rows])
    report = {
        "checkpoints": len(chosen),
        "int8": figures(coarse / t, labels, weights),
        "int8, macro-F1 without weights": round(float(macro_f1(labels, coarse.argmax(1))), 4),
        "compared rows": len(exact),
        "compared, fp32": figures(exact / t, labels[rows], weights[rows]),
        "compared, int8": figures(coarse[rows] / t, labels[rows], weights[rows]),
        "largest change of a probability": round(float(change.max()), 4),
        "mean change of a probability": round(float(change.mean()), 5),
        "labels changed": int((p.argmax(1) != q[rows].argmax(1)).sum()),
    }
    print(json.dumps(report, indent=1))

    released.write(o.out, small, o.work / "tokenizer.json", config)
    released.write(o.out.with_name(o.out.name + "-fp32"), tensors, o.work / "tokenizer.json", config)
    (o.out / "export.json").write_text(json.dumps(report, indent=1) + "\n")
    with open(o.out / "heldout.tsv", "w", encoding="utf8") as file:
        print("id", "label", *LABELS, sep="\t", file=file)
        for row, values in zip(held, q):
            print(row["id"], row["label"], *(f"{v:.4f}" for v in values), sep="\t", file=file)

    model, tokenizer, config = released.read(o.out)
    texts = (Path(__file__).parent / "reference.txt").read_text(encoding="utf8").splitlines()
    with open(o.out / "reference.jsonl", "w", encoding="utf8") as file:
        for text in texts:
            one = tokenizer.encode(text).ids
            values = [round(v, 5) for v in predict(model, [one], bf16=False)[0].tolist()]
            print(json.dumps({"text": text, "ids": one, "logits": values}, ensure_ascii=False), file=file)


if __name__ == "__main__":
    main()
