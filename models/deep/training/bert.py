"""The encoder: BERT with mean pooling and one linear head, tensor names as in Hugging Face checkpoints.

Written out here because the training needs little of a library and the Rust side has to mirror every step of it.
"""
import functools

import torch
import torch.nn.functional as F
from torch import nn

LABELS = ["complaint", "tip", "experience", "praise", "other"]
MAX_TOKENS = 128
PAD = 1


class Dropout(nn.Module):
    """Dropout whose mask is a random slice of one fixed pool: drawing fresh numbers takes a twelfth of a step."""

    POOL = 1 << 24

    def __init__(self, rate):
        super().__init__()
        self.rate, self.pool = rate, None

    def forward(self, x):
        if not self.training or self.rate == 0:
            return x
        if self.pool is None:
            self.pool = pool_of(self.rate)
        at = int(torch.randint(self.POOL - x.numel(), (1,)))
        return x * self.pool[at : at + x.numel()].view_as(x)


@functools.cache
def pool_of(rate):
    return ((torch.rand(Dropout.POOL) >= rate) / (1 - rate)).bfloat16()


class SelfAttention(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)

    def forward(self, x, mask):
        rows, length, hidden = x.shape
        if torch.is_autocast_enabled("cpu"):
            x = x.bfloat16()  # once, not once for each of the three
        q, k, v = (
            f(x).view(rows, length, self.heads, hidden // self.heads).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        # by hand: on short texts the backward pass of torch's fused CPU attention takes a third of a step
        scores = q @ k.transpose(2, 3) * (hidden // self.heads) ** -0.5
        if mask is not None:
            scores = scores + mask
        return (scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(rows, length, hidden)


class Residual(nn.Module):
    """dense, dropout, add, LayerNorm: the end of both halves of a layer."""

    def __init__(self, inputs, hidden, eps, dropout):
        super().__init__()
        self.dense = nn.Linear(inputs, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps)
        self.dropout = Dropout(dropout)

    def forward(self, x, residual):
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Layer(nn.Module):
    def __init__(self, hidden, heads, inner, eps, dropout):
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": SelfAttention(hidden, heads), "output": Residual(hidden, hidden, eps, dropout)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(hidden, inner)})
        self.output = Residual(inner, hidden, eps, dropout)

    def forward(self, x, mask):
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Embeddings(nn.Module):
    def __init__(self, config, dropout):
        super().__init__()
        hidden = config["hidden"]
        self.word_embeddings = nn.Embedding(config["vocabulary"], hidden)
        self.position_embeddings = nn.Embedding(config["positions"], hidden)
        self.token_type_embeddings = nn.Embedding(1, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, config["layer_norm_eps"])
        self.dropout = Dropout(dropout)

    def forward(self, ids):
        x = self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]]
        x = x + self.token_type_embeddings.weight[0]
        return self.dropout(self.LayerNorm(x))


class Classifier(nn.Module):
    def __init__(self, config, dropout=0.1, head_dropout=0.1):
        super().__init__()
        self.embeddings = Embeddings(config, dropout)
        layer = (config["hidden"], config["heads"], config["inner"], config["layer_norm_eps"], dropout)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(*layer) for _ in range(config["layers"]))})
        self.classifier = nn.Linear(config["hidden"], len(LABELS))
        self.head_dropout = head_dropout

    def pool(self, ids):
        """Mean of the last layer over the tokens that are not padding, [rows, hidden]."""
        real = ids != PAD
        x = self.embeddings(ids)
        # an all-real batch (the usual one with length buckets) needs no mask, which is the faster path
        mask = None if bool(real.all()) else (1 - real[:, None, None, :].float()) * -1e4
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        weight = real.to(x.dtype).unsqueeze(-1)
        return (x * weight).sum(1) / weight.sum(1)

    def forward(self, ids):
        pooled = F.dropout(self.pool(ids).float(), self.head_dropout, self.training)
        return F.linear(pooled, self.classifier.weight.float(), self.classifier.bias.float())


def pad(rows):
    """Token-id lists to one LongTensor, padded on the right."""
    length = max(map(len, rows))
    return torch.tensor([row + [PAD] * (length - len(row)) for row in rows])


def by_length(rows, batch):
    """Index batches over `rows` sorted by length, so that next to nothing is padded."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    return [order[i : i + batch] for i in range(0, len(order), batch)]


@torch.no_grad()
def predict(model, rows, batch=64, bf16=True, head=True):
    """Logits (or pooled vectors) of token-id lists, in their order."""
    model.eval()
    out = [None] * len(rows)
    for index in by_length(rows, batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            ids = pad([rows[i] for i in index])
            values = model(ids) if head else model.pool(ids)
        for i, value in zip(index, values.float()):
            out[i] = value
    return torch.stack(out)
