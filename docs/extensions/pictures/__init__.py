"""Pictures that code draws while the site is built, of what torch does there and then.

``{picture} NAME`` puts one into a page, as SVG within the page, so that its ink follows the
colours of the page, light or dark. The text that describes it, for those who cannot see it, is
made together with it.
"""

from __future__ import annotations

from functools import cache

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from extensions.pictures.canvas import Picture, to_svg
from extensions.pictures.graph import saved_tensors
from extensions.pictures.histories import HISTORIES
from extensions.pictures.passes import PASSES
from extensions.pictures.quasi_newton import quasi_newton
from extensions.pictures.scatter import gather_arrows, scatter_arrows
from extensions.pictures.schedules import learning_rates
from extensions.pictures.valley import descents
from extensions.pictures.views import strided_views

PICTURES = {
    "graph": saved_tensors,
    **PASSES,
    "scatter": scatter_arrows,
    "gather": gather_arrows,
    "views": strided_views,
    "valley": descents,
    "schedules": learning_rates,
    **{f"history-{name}": draw for name, draw in HISTORIES.items()},
    "history-LBFGS": quasi_newton,
}
"""Every picture by its name."""


@cache
def drawn(name: str) -> str:
    """Return a picture as an element of a page."""
    picture: Picture = PICTURES[name]()
    svg = to_svg(picture, name)
    return f'<figure class="picture">{svg}<figcaption>{picture.caption}</figcaption></figure>'


class PictureDirective(SphinxDirective):
    """A figure of the picture that the argument names, with its description below."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Draw it."""
        name = self.arguments[0]
        if name not in PICTURES:
            raise self.error(f"no picture {name!r}; there are {', '.join(PICTURES)}")
        return [nodes.raw("", drawn(name), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("picture", PictureDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
