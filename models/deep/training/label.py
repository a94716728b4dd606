"""Probabilities for the rows of a file, the mean of several models: for distilling into smaller ones.

usage: label.py MODEL_DIR[,MODEL_DIR...] FILE.tsv OUT.tsv      (MODEL_DIR: what export.py wrote)
"""
import sys
from pathlib import Path

import torch

import released
from bert import LABELS, predict
from split import read_tsv


def main():
    torch.set_num_threads(1)
    folders, source, target = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
    rows = read_tsv(source)
    total = 0
    for folder in folders:
        model, tokenizer, config = released.read(Path(folder))
        ids = [encoding.ids for encoding in tokenizer.encode_batch([row["text"] for row in rows])]
        total = total + torch.softmax(predict(model, ids) / config["temperature"], -1)
    with open(target, "w", encoding="utf8") as file:
        print("id", *LABELS, sep="\t", file=file)
        for row, values in zip(rows, (total / len(folders)).tolist()):
            print(row["id"], *(f"{v:.4f}" for v in values), sep="\t", file=file)


if __name__ == "__main__":
    main()
