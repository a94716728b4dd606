"""Macro-F1, accuracy and calibration, with a weight for each row."""
import numpy as np

from bert import LABELS

# rows of each label in dev.tsv: the only thing of it that selection may use
DEV_COUNTS = np.array([280, 65, 77, 254, 224])


def dev_weights(labels):
    """Weights that give `labels` (numbers) the label shares of dev.tsv; their mean is 1."""
    share = np.bincount(labels, minlength=len(LABELS)) / len(labels)
    return (DEV_COUNTS / DEV_COUNTS.sum() / share)[labels]


def per_label(labels, guess, weights=None):
    """Precision, recall and F1 of each label, [labels, 3]."""
    weights = np.ones(len(labels)) if weights is None else weights
    confusion = np.zeros((len(LABELS), len(LABELS)))
    np.add.at(confusion, (labels, guess), weights)
    hit = confusion.diagonal()
    precision = hit / np.maximum(confusion.sum(0), 1e-9)
    recall = hit / np.maximum(confusion.sum(1), 1e-9)
    return np.stack([precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-9)], 1)


def macro_f1(labels, guess, weights=None):
    return per_label(labels, guess, weights)[:, 2].mean()


def accuracy(labels, guess, weights=None):
    return np.average(labels == guess, weights=weights)


def calibration_error(labels, probabilities, bins=15, weights=None):
    """Expected calibration error over `bins` equal bins of the winner's probability."""
    weights = np.ones(len(labels)) if weights is None else weights
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = [abs((weights * (right - confidence.astype(float)))[place == b].sum()) for b in range(bins)]
    return sum(gap) / weights.sum()


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)
