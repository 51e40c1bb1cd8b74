"""Formatting: a tensor of rank 0 prints as its number."""

from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import tensors


def by_format(spec, element):
    return format(element, spec)


def by_method(spec, element):
    return f"epoch {{}}/{{}}, loss {{:{spec}}}".format(1, 30, element)


def by_percent(spec, element):
    return f"%{spec}" % element


WAYS = {"format": by_format, "method": by_method, "percent": by_percent}
SPECS = st.sampled_from((".4f", ".2e", "g", "10.3f", "+.1f"))


@law("formatting.number", docs="torch.Tensor.item", level="should", over=WAYS, needs=("item",))
@given(tensor=tensors(dtype="floating", shape=(5,)), spec=SPECS, records=st.booleans())
def test_number(target, case, tensor, spec, records):
    """A tensor of rank 0 is formatted as its number, also if it requires grad.

    Not so one of another rank: format with a specification raises TypeError for it, without one
    gives its text. ``%`` takes any tensor of one element.
    """
    numbers = compare.to_numpy(tensor).tolist()
    for element, number in zip(tensor.detach().unbind(), numbers, strict=True):
        one = element.clone()
        expected = case(spec, number)
        if case is by_percent:
            compare.fact(case(spec, one), expected, "text")
            compare.fact(case(spec, one.reshape(1, 1)), expected, "text of a tensor of rank 2")
        else:
            compare.fact(case(spec, one.requires_grad_(records)), expected, "text")
            with compare.raises(TypeError, "unsupported format string"):
                case(spec, one.reshape(1))
    compare.fact(format(tensor.detach(), ""), str(tensor.detach()), "text without specification")
