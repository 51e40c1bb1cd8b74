"""The references of attention against loops over queries, and of heads against single ones."""

from __future__ import annotations

from math import exp, sqrt

import numpy as np

from conformance.reference import attention

RANDOM = np.random.default_rng(0)


def test_attention_is_its_formula() -> None:
    q, k, v = (RANDOM.normal(size=shape) for shape in ((2, 3), (4, 3), (4, 2)))
    added = RANDOM.normal(size=(2, 4))
    got = attention.scaled_dot_product_attention(q, k, v, added)
    for i in range(2):
        powers = [exp(float(q[i] @ k[j]) / sqrt(3) + added[i, j]) for j in range(4)]
        expected = sum(p * v[j] for j, p in enumerate(powers)) / sum(powers)
        assert np.allclose(got[i], expected, rtol=1e-13)


def test_masked_keys_are_as_if_they_were_not() -> None:
    q, k, v = (RANDOM.normal(size=(3, 2)) for _ in range(3))
    causal = attention.scaled_dot_product_attention(q, k, v, is_causal=True, scale=2.0)
    for i in range(3):
        part = slice(i + 1)
        alone = attention.scaled_dot_product_attention(q[i : i + 1], k[part], v[part], scale=2.0)
        assert np.allclose(causal[i], alone[0], rtol=1e-13)
    mask = np.array([[True, False, True]] * 3)
    masked = attention.scaled_dot_product_attention(q, k, v, mask)
    plain = attention.scaled_dot_product_attention(q, k[[0, 2]], v[[0, 2]])
    assert np.allclose(masked, plain, rtol=1e-13)


def test_grouped_heads_share_keys_side_by_side() -> None:
    q, k, v = (RANDOM.normal(size=(heads, 2, 3)) for heads in (4, 2, 2))
    got = attention.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    for head in range(4):
        one = attention.scaled_dot_product_attention(q[head], k[head // 2], v[head // 2])
        assert np.allclose(got[head], one, rtol=1e-13)


def test_several_heads_are_single_ones_side_by_side() -> None:
    q, k, v = (RANDOM.normal(size=(2, length, 4)) for length in (2, 3, 3))
    a, b, c, last = (RANDOM.normal(size=(4, 4)) for _ in range(4))
    got, weights = attention.multi_head_attention(
        q, k, v, 2, (a, b, c), (None, None, None), (last, None)
    )
    parts = []
    for head in (slice(2), slice(2, 4)):
        one = (q @ a[head].T, k @ b[head].T, v @ c[head].T)
        parts.append(attention.scaled_dot_product_attention(one[0], one[1], one[2]))
    assert np.allclose(got, np.concatenate(parts, -1) @ last.T, rtol=1e-12)
    assert weights.shape == (2, 2, 2, 3)
