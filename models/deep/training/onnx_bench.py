"""Texts a second of the released model on one thread: PyTorch and onnxruntime on the same batches, in one run.

usage: onnx_bench.py MODEL_DIR

For the choice of a runtime alone; nothing of it is in the service. What is timed is the forward pass, without the tokenizer, which
is the same for all. With torch==2.4.0 in place of the pinned version it times the kernels of the libtorch that the service links.
"""
import copy
import itertools
import logging
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

import released
from bert import pad
from figures import softmax

BATCHES = (1, 8, 32)
TEXTS = 192
ROUNDS = 6  # the first warms up and does not count
EXACT = "torch, 32 bits"

# Made-up posts: one of each.
OPENINGS = ["Paketku", "Tadi pagi listrik di rumah", "Aplikasinya", "Kemarin antrean di kantor itu", "Barang yang dipesan", "Kak,"]
MIDDLES = ["sudah tiga hari tidak ada kabar sama sekali", "ternyata cepat juga diurusnya, cuma sepuluh menit", "aman",
           "bikin saya bolak-balik dua kali gara-gara fotokopi KTP", "sama seperti di foto dan dibungkus rapi sekali",
           "kata petugasnya harus bawa KTP asli", "coba dulu hapus cache lalu login ulang"]
ENDS = ["kecewa berat!!", "mantap, terima kasih kak", "ada yang tahu kenapa?", "mending datang sebelum jam tujuh ya", "😂"]


def texts():
    every = [f"{opening} {middle}, {end}" for opening in OPENINGS for middle in MIDDLES for end in ENDS]
    return np.random.default_rng(1).permutation(every)[:TEXTS].tolist()


def export(model, path):
    with warnings.catch_warnings():
        # It warns that the test for padding becomes a constant; the batch has padding, so that the mask is always applied.
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (pad([[0, 5, 6, 2], [0, 5, 2]]),), str(path), input_names=["ids"], output_names=["logits"],
                          dynamic_axes={"ids": {0: "rows", 1: "length"}, "logits": {0: "rows"}}, opset_version=17, dynamo=False)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    ready = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda ids: ready.run(None, {"ids": ids.numpy()})[0]


def runtimes(model, folder):
    """Name to function from padded ids to logits."""
    half = copy.deepcopy(model).bfloat16()
    half.classifier = model.classifier  # 32 bits, as in Rust
    plain, tensors, blocks = (folder / f"{name}.onnx" for name in ("plain", "tensors", "blocks"))
    export(model, plain)
    # weights with a scale an output, as released; activations with one scale for all of a batch
    quantize_dynamic(plain, tensors, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
    # weights and activations with a scale for every 128 numbers; level 4: multiplied in 8 bits
    quantiser = MatMulNBitsQuantizer(onnx.load(plain), bits=8, block_size=128, is_symmetric=True, accuracy_level=4)
    quantiser.process()
    quantiser.model.save_model_to_file(str(blocks))
    return {
        EXACT: lambda ids: model(ids).numpy(),
        "torch, bf16": lambda ids: half(ids).numpy(),
        "onnxruntime, 32 bits": session(plain),
        "onnxruntime, int8, a scale a batch": session(tensors),
        "onnxruntime, int8, a scale a block": session(blocks),
    }


@torch.inference_mode()
def main():
    logging.disable(logging.WARNING)  # the quantisers tell of every node
    torch.set_num_threads(1)
    model, tokenizer, config = released.read(Path(sys.argv[1]))
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts())]
    pieces = list(map(len, rows))
    batches = {size: [pad(rows[i : i + size]) for i in range(0, TEXTS, size)] for size in BATCHES}
    rates, answers = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        candidates = runtimes(model, Path(folder))
        for turn in range(ROUNDS):
            # one after the other in each round, so that a busy neighbour slows all of them
            for size, (name, run) in itertools.product(BATCHES, candidates.items()):
                start = time.process_time()  # the processor's time: what others take of it does not count
                logits = [run(ids) for ids in batches[size]]
                if turn > 0:
                    rates.setdefault((name, size), []).append(TEXTS / (time.process_time() - start))
                answers[name, size] = softmax(np.concatenate(logits) / config["temperature"])
    print(f"{TEXTS} texts of {statistics.mean(pieces):.1f} pieces ({min(pieces)} to {max(pieces)}); texts a second, median of "
          f"{ROUNDS - 1} and range; torch {torch.__version__}, onnxruntime {onnxruntime.__version__}\n")
    print("| |", " | ".join(f"batches of {size}" for size in BATCHES), "| off by at most | other labels | by batch |")
    print("|---" * (len(BATCHES) + 4) + "|")
    exact = answers[EXACT, 1]
    for name in candidates:
        cells = [f"{statistics.median(r):.0f} ({min(r):.0f} to {max(r):.0f})" for r in (rates[name, size] for size in BATCHES)]
        mine = np.stack([answers[name, size] for size in BATCHES])
        off, by_batch = np.abs(mine - exact).max(), np.ptp(mine, axis=0).max()
        others = (mine.argmax(2) != exact.argmax(1)).sum(1).max()
        print(f"| {name} |", " | ".join(cells), f"| {off:.4f} | {others} | {by_batch:.4f} |")
        assert off < 1e-3 or "32 bits" not in name, "the exported model is another one"


if __name__ == "__main__":
    main()
