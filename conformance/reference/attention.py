"""Attention, from its formula: values weighed by the softmax of products of queries and keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def softmax(x: Array) -> Array:
    """Return ``exp(x) / sum exp(x)`` along the last dimension."""
    powers = np.exp(x - x.real.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _scores(
    query: Array,
    key: Array,
    attn_mask: Array | None,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Array:
    if enable_gqa:
        key = np.repeat(key, query.shape[-3] // key.shape[-3], axis=-3)
    factor = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.swapaxes(-1, -2) * factor
    if is_causal:
        attn_mask = np.tril(np.ones(scores.shape[-2:], bool))
    if attn_mask is None:
        return np.asarray(scores)
    if attn_mask.dtype == bool:
        return np.where(attn_mask, scores, -np.inf)
    return np.asarray(scores + attn_mask)


def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Array:
    """Return ``softmax(Q K^T / sqrt(E) + mask) V``; without dropout.

    A boolean mask tells which keys take part; a causal one those not after the query; with
    ``enable_gqa`` each head of keys and values serves several of queries, side by side.
    """
    assert dropout_p == 0
    weights = softmax(_scores(query, key, attn_mask, is_causal, scale, enable_gqa))
    if enable_gqa:
        value = np.repeat(value, query.shape[-3] // value.shape[-3], axis=-3)
    return np.asarray(weights @ value)


def attention_size(query: Array, key: Array, value: Array, *rest: Any, **options: Any) -> Array:
    """Return the sizes of what is added, times those of the scores: errors of these are powers'."""
    factor = options.get("scale")
    scale = None if factor is None else abs(factor)
    grouped = options.get("enable_gqa", False)
    scores = _scores(np.abs(query), np.abs(key), None, False, scale, grouped)
    largest = scores.max(initial=0.0)
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype != bool:
        largest = largest + np.abs(mask).max(initial=0.0)
    found = scaled_dot_product_attention(query, key, np.abs(value), *rest, **options)
    return np.asarray(found * (1 + largest))


def split_heads(x: Array, heads: int) -> Array:
    """Return (batch, length, features) as (batch, head, length, features of one head)."""
    batch, length, features = x.shape
    return x.reshape(batch, length, heads, features // heads).transpose(0, 2, 1, 3)


def multi_head_attention(
    query: Array,
    key: Array,
    value: Array,
    heads: int,
    projections: tuple[Array, Array, Array],
    biases: tuple[Any, Any, Any],
    output: tuple[Array, Any],
    extra: tuple[Any, Any] = (None, None),
    zero: bool = False,
    allowed: Array | None = None,
    added: Array | None = None,
) -> tuple[Array, Array]:
    """Return the attention of several heads, and the weights of each, (batch, head, query, key).

    All inputs are (batch, length, features). ``extra`` is one more key and value for all, after
    their projection, and ``zero`` yet another of zeros. ``allowed`` and ``added`` are masks over
    the keys that were given, boolean or added to the scores: (batch, head, query, key).
    """
    q, k, v = (
        x @ weight.T + (0 if bias is None else bias)
        for x, weight, bias in zip((query, key, value), projections, biases, strict=True)
    )
    more = 0
    if extra[0] is not None:
        k, v = (
            np.concatenate([x, np.tile(one, (len(x), 1, 1))], 1)
            for x, one in zip((k, v), extra, strict=True)
        )
        more += 1
    if zero:
        k, v = (np.concatenate([x, np.zeros_like(x[:, :1])], 1) for x in (k, v))
        more += 1
    q, k, v = (split_heads(x, heads) for x in (q, k, v))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    widths = [(0, 0)] * 3 + [(0, more)]
    if added is not None:
        scores = scores + np.pad(added, widths)
    if allowed is not None:
        scores = np.where(np.pad(allowed, widths, constant_values=True), scores, -np.inf)
    weights = softmax(scores)
    joined = (weights @ v).transpose(0, 2, 1, 3).reshape(*query.shape[:2], -1)
    return joined @ output[0].T + (0 if output[1] is None else output[1]), weights
