"""The released form: 8-bit rows in, fp32 model out, and the other way round."""
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from bert import Classifier


def quantise(tensors):
    """Matrices to int8 with one f16 scale a row (symmetric: value = int8 * scale); the rest, which is small, stays f32.

    The head and the positions stay f32 too: 0.2 MB buys exactness where an error reaches every logit.
    """
    out = {}
    for name, tensor in tensors.items():
        tensor = tensor.float()
        exact = tensor.dim() < 2 or name.startswith(("classifier", "embeddings.position", "embeddings.token_type"))
        if exact:
            out[name] = tensor.contiguous()
            continue
        # the scale is rounded up to f16 first, so that the largest weight of a row still fits 127
        scale = (tensor.abs().amax(1) / 127).clamp_min(1e-7)
        half = scale.half()
        half = torch.where(half.float() < scale, torch.nextafter(half, torch.full_like(half, torch.inf)), half)
        out[name] = (tensor / half.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        out[name + ".scale"] = half
    return out


def dequantise(tensors):
    return {
        name: tensor.float() * tensors[name + ".scale"].float()[:, None] if tensor.dtype == torch.int8 else tensor
        for name, tensor in tensors.items()
        if not name.endswith(".scale")
    }


def write(folder, tensors, tokenizer, config):
    """weights.safetensors, tokenizer.json and config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "weights.safetensors")
    (folder / "tokenizer.json").write_text(Path(tokenizer).read_text(encoding="utf8"), encoding="utf8")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def read(folder):
    """(model, tokenizer, config) of a released folder, 8-bit or fp32."""
    config = json.loads((folder / "config.json").read_text())
    model = Classifier(config)
    model.load_state_dict(dequantise(load_file(folder / "weights.safetensors")))
    return model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json")), config
