"""One training run: the encoder and its head on the labelled rows, mixed with rows that have soft targets.

usage: deep_train.py DATA_DIR WORK_DIR OUT_DIR [options]     (WORK_DIR: what prepare.py wrote)

After each epoch OUT_DIR gets epoch-N.safetensors (fp32) and heldout-N.npy (logits), and log.jsonl a line of figures.
"""
import argparse
import json
import math
import random
import re
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from bert import LABELS, Classifier, pad, predict
from figures import accuracy, dev_weights, macro_f1
from split import read_tsv

AMBIGUOUS = 0.6  # weight of a row that a careful reader could label otherwise
SMOOTHING = 0.05
CHUNK = 40  # batches sorted by length at a time: little padding, and batches still differ from epoch to epoch


def options():
    a = argparse.ArgumentParser()
    a.add_argument("data", type=Path)
    a.add_argument("work", type=Path)
    a.add_argument("out", type=Path)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--layers", type=int, default=12, help="fewer: evenly spaced layers of the start checkpoint")
    a.add_argument("--start", type=Path, help="checkpoint to start from (default: WORK_DIR/base.safetensors)")
    a.add_argument("--epochs", type=int, default=4)
    a.add_argument("--labelled-rows", type=int, default=1 << 30, help="take so many of them only, drawn by the seed")
    a.add_argument("--soft", type=Path, help="soft targets of unlabelled rows, columns as in teacher.tsv")
    a.add_argument("--soft-rows", type=lambda s: [int(n) for n in s.split(",")], default=[0], help="of each epoch")
    a.add_argument("--soft-weight", type=float, default=0.7)
    a.add_argument("--hard", type=float, default=1.0, help="share of the own label in a labelled row's target")
    a.add_argument("--batch", type=int, default=32)
    a.add_argument("--rate", type=float, default=6e-5, help="of the top layer")
    a.add_argument("--head-rate", type=float, default=1e-3)
    a.add_argument("--embedding-rate", type=float, default=0.0, help="0: word embeddings stay as they are")
    a.add_argument("--layer-decay", type=float, default=0.9)
    a.add_argument("--minutes", type=float, default=1e9, help="stop after the epoch that passes this")
    return a.parse_args()


def start(o, config):
    """The model with the start checkpoint's weights; the head starts small and random if there is none."""
    tensors = load_file(o.start or o.work / "base.safetensors")
    have = 1 + max(int(m.group(1)) for m in (re.match(r"encoder\.layer\.(\d+)\.", name) for name in tensors) if m)
    take = [round(i * (have - 1) / (o.layers - 1)) for i in range(o.layers)]
    model = Classifier({**config, "layers": o.layers})
    torch.nn.init.normal_(model.classifier.weight, std=0.02)
    torch.nn.init.zeros_(model.classifier.bias)
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith("encoder.")}
    for to, layer in enumerate(take):
        prefix = f"encoder.layer.{layer}."
        own |= {f"encoder.layer.{to}." + n[len(prefix):]: t for n, t in tensors.items() if n.startswith(prefix)}
    missing, unexpected = model.load_state_dict(own, strict=False)
    assert not unexpected and set(missing) <= {"classifier.weight", "classifier.bias"}
    return model


def optimizer(o, model):
    """AdamW; lower layers, which know the languages, move less than upper ones."""
    parameters = {}
    for name, parameter in model.named_parameters():
        layer = re.match(r"encoder\.layer\.(\d+)\.", name)
        if name.startswith("classifier"):
            rate = o.head_rate
        elif name == "embeddings.word_embeddings.weight":
            rate = o.embedding_rate
        else:
            rate = o.rate * o.layer_decay ** (o.layers - 1 - int(layer.group(1)) if layer else o.layers)
        parameter.requires_grad = rate > 0
        if rate > 0:
            decay = 0.01 if parameter.dim() == 2 and not name.startswith("embeddings") else 0.0
            parameters.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), p in parameters.items()],
        fused=True,
    )


def labelled(o, rows, soft):
    """(text, target, weight) of the labelled rows. `soft` is mixed in where --hard is below 1."""
    second = {row["id"]: row for row in read_tsv(o.data / "second.tsv")}
    out = []
    for row in rows:
        target = np.zeros(len(LABELS))
        readings = [row["label"]] + ([second[row["id"]]["label"]] if row["id"] in second else [])
        for label in readings:
            target[LABELS.index(label)] += 1 / len(readings)
        # two readings that agree settle what one had left open
        sure = row["ambiguous"] == "0" or (len(readings) == 2 and readings[0] == readings[1])
        if o.hard < 1 and row["id"] in soft:
            target = o.hard * target + (1 - o.hard) * soft[row["id"]]
        out.append((row["text"], target * (1 - SMOOTHING) + SMOOTHING / len(LABELS), 1.0 if sure else AMBIGUOUS))
    return out


def soft_rows(o, rows, soft):
    """Unlabelled rows with soft targets, shuffled. Reddit is most of the pool and little of our use: a third of it."""
    pool = [
        (row["text"], soft[row["id"]], o.soft_weight)
        for row in rows
        if row["id"] in soft and (row["source"] != "goemotions" or random.random() < 0.33)
    ]
    random.shuffle(pool)
    return pool


def batches(o, items):
    """Index lists: shuffled, sorted by length within chunks, batches shuffled again."""
    order = list(range(len(items)))
    random.shuffle(order)
    size = CHUNK * o.batch
    out = []
    for at in range(0, len(order), size):
        chunk = sorted(order[at : at + size], key=lambda i: len(items[i][0]))
        out += [chunk[i : i + o.batch] for i in range(0, len(chunk), o.batch)]
    random.shuffle(out)
    return out


def main():
    o = options()
    torch.set_num_threads(1)
    random.seed(o.seed)
    torch.manual_seed(o.seed)
    o.out.mkdir(parents=True, exist_ok=True)

    config = json.loads((o.work / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(o.work / "tokenizer.json"))
    tokens = lambda texts: [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    encode = lambda items: [(i, t, w) for i, (_, t, w) in zip(tokens([text for text, _, _ in items]), items)]

    part = {row["id"]: row["part"] for row in read_tsv(o.work / "split.tsv")}
    every = read_tsv(o.data / "train.tsv")
    held = [row for row in every if part[row["id"]] == "held-out"]
    soft = {}
    if o.soft:
        soft = {r["id"]: (p := np.array([float(r[x]) for x in LABELS])) / p.sum() for r in read_tsv(o.soft)}
    train = encode(labelled(o, [row for row in every if part[row["id"]] == "train"], soft))
    random.shuffle(train)
    train = train[: o.labelled_rows]
    rest = [row for row in read_tsv(o.data / "unlabelled.tsv") if part.get(row["id"]) == "unlabelled"]
    pool = encode(soft_rows(o, rest, soft)) if o.soft else []

    held_ids = tokens([row["text"] for row in held])
    held_labels = np.array([LABELS.index(row["label"]) for row in held])
    held_weights = dev_weights(held_labels)

    count = sum(target for _, target, _ in train)
    class_weight = torch.tensor(np.sqrt(count.mean() / count), dtype=torch.float32)

    model = start(o, config)
    adam = optimizer(o, model)
    per_epoch = [o.soft_rows[min(e, len(o.soft_rows) - 1)] for e in range(o.epochs)]
    plan = []
    at = 0
    for n in per_epoch:
        plan.append([pool[(at + i) % len(pool)] for i in range(n)] if n else [])
        at += n
    steps = sum(math.ceil((len(train) + n) / o.batch) for n in per_epoch)
    warm = max(1, int(0.06 * steps))
    print(f"labelled {len(train)}, soft pool {len(pool)}, held out {len(held)}, steps {steps}", vars(o), flush=True)

    step, began = 0, time.time()
    for epoch, extra in enumerate(plan, 1):
        items = train + extra
        model.train()
        total, lap = 0.0, time.time()
        for index in batches(o, items):
            factor = min((step + 1) / warm, max(0.02, (steps - step) / (steps - warm)))
            for group in adam.param_groups:
                group["lr"] = group["peak"] * factor
            ids = pad([items[i][0] for i in index])
            target = torch.tensor(np.array([items[i][1] for i in index]), dtype=torch.float32)
            weight = torch.tensor([items[i][2] for i in index])
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(ids)
            loss = -(target * class_weight * F.log_softmax(logits.float(), -1)).sum(-1)
            loss = (loss * weight).sum() / len(index)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
            adam.step()
            adam.zero_grad(set_to_none=True)
            total += loss.item()
            step += 1
            if step % 100 == 0:
                pace = (time.time() - lap) / 100
                print(f"step {step}/{steps} loss {total / 100:.4f} {pace:.3f} s a step", flush=True)
                total, lap = 0.0, time.time()
        save_file(model.state_dict(), o.out / f"epoch-{epoch}.safetensors")
        logits = predict(model, held_ids).numpy()
        np.save(o.out / f"heldout-{epoch}.npy", logits)
        guess = logits.argmax(1)
        line = {
            "epoch": epoch, "minutes": round((time.time() - began) / 60, 1),
            "macro_f1": round(float(macro_f1(held_labels, guess, held_weights)), 4),
            "accuracy": round(float(accuracy(held_labels, guess, held_weights)), 4),
            "macro_f1_unweighted": round(float(macro_f1(held_labels, guess)), 4),
        }
        with open(o.out / "log.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)
        if line["minutes"] > o.minutes:
            break


if __name__ == "__main__":
    main()
