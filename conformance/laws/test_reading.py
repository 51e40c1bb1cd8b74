"""Reading: a result does not depend on whether what led to it was looked at on the way."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import tensors


def raised(x, number):
    return x + number


def scaled_in_place(x, number):
    x *= number
    return x


def corner_raised(x, number):
    x[:1, -1:] += number
    return x


def transposed(x, _):
    return x.swapaxes(0, 1)


def added_to_its_transpose(x, number):
    y = x.swapaxes(0, 1)
    x = x + number
    x[0, 0] += y[0, 0]
    return x


# Each works in torch and in NumPy alike: new tensors, writes in place, views and writes to them.
STEPS = (raised, scaled_in_place, corner_raised, transposed, added_to_its_transpose)


def by_cpu(x):
    return x.cpu()


def by_list(x):
    return x.tolist()


def by_item(x):
    return x[0, 0].item()


def by_text(x):
    return repr(x)


def by_truth(x):
    return bool((x == 0).any())


def by_copy(x):
    return x.clone()


READS = {
    "cpu": by_cpu, "list": by_list, "item": by_item, "text": by_text, "truth": by_truth,
    "copy": by_copy,
}  # fmt: skip


def after(steps, x, read=None, read_at=()):
    """Take the steps from x; read what is there after some of them."""
    for place, (step, number) in enumerate(steps):
        x = STEPS[step](x, number)
        if place in read_at:
            read(x)
    return x


@law("reading.changes-nothing", docs="notes/cuda.html#asynchronous-execution", over=READS)
@given(
    x=tensors(dtype=torch.float32, shape=st.sampled_from([(1, 1), (2, 3), (3, 2)])),
    steps=st.lists(
        st.tuples(st.integers(0, len(STEPS) - 1), st.sampled_from((2.0, -1.0, 0.5))),
        min_size=1, max_size=6,
    ),
    read_at=st.lists(st.integers(0, 5), min_size=1, max_size=4),
)  # fmt: skip
def test_changes_nothing(target, case, x, steps, read_at):
    """Reading a tensor between two steps changes no result, neither of these nor of later steps.

    A device may compute later, or all at once; who reads sees what was computed in order.
    """
    start = compare.to_numpy(x)
    unread = target.run(after, steps, x.clone())
    read = target.run(after, steps, x.clone(), case, read_at)
    expected = after(steps, start.copy())
    compare.close(unread, expected, bound=0.0, dtype=torch.float32, what="result unread")
    compare.close(read, expected, bound=0.0, dtype=torch.float32, what="result read on the way")
    compare.unchanged(x, start, "input")
