"""The held-out fifth of train.tsv, by groups: what is nearly the same text or a translation stays on one side.

Deterministic: the same files and seed give the same split.
"""
import hashlib
import re
import unicodedata
import zlib
from collections import defaultdict

import numpy as np

SHINGLE = 5
BANDS, ROWS_PER_BAND = 24, 4  # candidates from a Jaccard index of about 0.45 up
NEAR = 0.7


def read_tsv(path):
    with open(path, encoding="utf8", newline="\n") as file:
        header, *lines = file.read().rstrip("\n").split("\n")
    names = header.split("\t")
    return [dict(zip(names, line.split("\t"))) for line in lines]


def plain(text):
    """Letters and digits only: masks, punctuation, emoji and case make no different text."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).lower()).strip() or text


def shingles(text):
    text = f" {plain(text)} "
    cut = {zlib.crc32(text[i : i + SHINGLE].encode()) for i in range(max(1, len(text) - SHINGLE + 1))}
    return np.fromiter(cut, np.uint64)


def near_duplicates(texts):
    """Pairs (i, j) of texts whose shingles have a Jaccard index of at least NEAR: MinHash bands, then an exact check."""
    random = np.random.default_rng(1)
    count = BANDS * ROWS_PER_BAND
    a = random.integers(1, 2**32, count, np.uint64) | np.uint64(1)
    b = random.integers(0, 2**32, count, np.uint64)
    cuts = [shingles(text) for text in texts]
    buckets = defaultdict(list)
    for i, cut in enumerate(cuts):
        signature = (((cut[:, None] * a + b) >> np.uint64(16)) & np.uint64(0xFFFFFFFF)).min(0).astype(np.uint32)
        for band in range(BANDS):
            buckets[band, signature[band * ROWS_PER_BAND : (band + 1) * ROWS_PER_BAND].tobytes()].append(i)
    seen = set()
    for members in buckets.values():
        for at, i in enumerate(members):
            for j in members[at + 1 : at + 40]:  # a bound on the work: longer buckets are chained through neighbours
                if (i, j) not in seen:
                    seen.add((i, j))
                    both = len(np.intersect1d(cuts[i], cuts[j], assume_unique=True))
                    if both >= NEAR * (len(cuts[i]) + len(cuts[j]) - both):
                        yield i, j


def translations(rows, embed):
    """Pairs of nusax rows that are each other's nearest of the other language in the encoder's space.

    The ids are hashes and the rows are sorted by them, so that nothing but the meaning lines translations up.
    """
    nusax = [i for i, row in enumerate(rows) if row["source"].startswith("nusax")]
    vectors = embed([rows[i]["text"] for i in nusax])
    vectors = vectors - vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    by_source = defaultdict(list)
    for at, i in enumerate(nusax):
        by_source[rows[i]["source"]].append(at)
    sources = sorted(by_source)
    for first in sources:
        for second in sources:
            if first < second:
                x, y = by_source[first], by_source[second]
                cosine = vectors[x] @ vectors[y].T
                for at, best in enumerate(cosine.argmax(1)):
                    if cosine[:, best].argmax() == at:
                        yield nusax[x[at]], nusax[y[best]], float(cosine[at, best])


def groups(rows, embed):
    """The group number of each row (the smallest index in it)."""
    parent = list(range(len(rows)))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j, *_ in [*near_duplicates([row["text"] for row in rows]), *translations(rows, embed)]:
        i, j = sorted((root(i), root(j)))
        parent[j] = i
    return [root(i) for i in range(len(rows))]


def held_out(rows, group, seed, share=0.2):
    """True for the rows whose group the seed draws for the held-out part."""
    name = {}
    for row, g in zip(rows, group):
        name[g] = min(name.get(g, row["id"]), row["id"])
    draw = lambda text: int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
    return [draw(f"{seed}:{name[g]}") < share for g in group]
