"""The order in which the handbook's chapters are read: parts, each with its chapters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Part(NamedTuple):
    """Chapters that belong together, and what they tell a reader."""

    title: str
    tells: str
    chapters: tuple[str, ...]

    @property
    def page(self) -> str:
        """The name of its page."""
        return "part-" + self.title.lower().replace(" ", "-")


def _part(title: str, tells: str, chapters: str) -> Part:
    return Part(title, tells, tuple(chapters.split()))


PARTS = (
    _part(
        "Tensors",
        "How tensors are made, which dtype and device they have, and whose memory they see.",
        """creation creation_data creation_tensor creation_legacy creation_like creation_ranges
        creation_options leaf_creation promotion conversion devices device_names reading storage
        views view_identity interop numpy_names serialization formatting sparse package
        deprecated""",
    ),
    _part(
        "Indexing",
        "Reading and writing parts of tensors: subscripts, scatter and gather, and their limits.",
        "subscripts scatter_gather index_relations index_rejections",
    ),
    _part(
        "Operators",
        "What every operator of the catalogue keeps, and a few families that need words of "
        "their own.",
        """operators operator_rejections operator_transforms signatures broadcasting products
        equality selection signs shape_in_place decompositions spectral""",
    ),
    _part(
        "Autograd",
        "The heart: leaves, the graph, backward passes, what they accumulate, and how to stay "
        "out of the graph. Read in this order, it needs no other text.",
        """leaf_flags graph graph_nodes backward backward_arguments leaf_grad accumulation
        retain_graph roots autograd_grad jacobian detach grad_mode grad_mode_scope
        inference_mode engine tape""",
    ),
    _part(
        "Writing in place",
        "What a write does to a graph that has saved the old value, and to views.",
        "in_place version_counter view_writes in_place_views",
    ),
    _part(
        "Hooks and saved tensors",
        "Looking into a backward pass, changing it, and deciding what is kept for it.",
        """tensor_hooks grad_function_hooks post_accumulate_hooks multi_grad_hooks node_hooks
        saved_values saved_tensors checkpoint""",
    ),
    _part(
        "Functions of your own",
        "torch.autograd.Function: its contract, its context, and its place among transforms.",
        """custom_function custom_function_use custom_function_context
        custom_function_gradients
        custom_function_transforms double_backward gradcheck anomaly""",
    ),
    _part(
        "Higher order and transforms",
        "Derivatives of derivatives, forward mode, and functions that transform functions.",
        """higher_order forward_ad autograd_functional functional_products func func_jacobian
        func_vmap func_vmap_refusals func_modules""",
    ),
    _part(
        "Derivatives where it is delicate",
        "Exact derivatives of every operator, and rules where mathematics leaves a choice.",
        "operator_derivatives subgradients ties vanishing complex_gradients",
    ),
    _part(
        "Modules and losses",
        "Parameters, state, hooks, layers, initialization, and losses up to their limits.",
        """modules module_conduct module_state module_casts containers container_limits
        module_hooks module_backward_hooks layers layer_conduct lazy_modules module_memory
        embedding_bags fused_layers packed_sequences packed_recurrent recurrent_cells attention
        transformers transformer_conduct parametrizations normalized_weights pruning pruning_methods
        initialization losses loss_arguments loss_limits""",
    ),
    _part(
        "Optimizers",
        "Updates against their closed forms, and everything around a step.",
        """optimizers optimizer_steps step_lengths optimizer_conduct optimizer_groups
        optimizer_state optimizer_rejections
        optimizer_layouts optimizer_relations optimizer_derivatives matrix_optimizers
        quasi_newton sparse_gradients""",
    ),
    _part(
        "Learning rates",
        "Schedules, epoch by epoch, against their closed forms.",
        "schedulers scheduler_composition scheduler_state scheduler_rejections plateau",
    ),
    _part(
        "Training",
        "From batches to whole trainings.",
        """gradient_clipping autocast autocast_regions autocast_conduct gradient_scaling
        scaled_steps micro_batches averaging datasets data_loader training_loops trainings""",
    ),
    _part(
        "Randomness",
        "Seeds, generators, distributions and dropout.",
        """random_state random_seeding random random_fill random_distributions random_discrete
        random_dropout random_layers""",
    ),
)


def parts_of(chapters: Iterable[str]) -> list[Part]:
    """Return the parts with those of the chapters that there are; the unknown come last."""
    there = list(dict.fromkeys(chapters))
    known = {name for part in PARTS for name in part.chapters}
    parts = [
        part._replace(chapters=tuple(name for name in part.chapters if name in there))
        for part in PARTS
    ]
    rest = tuple(name for name in there if name not in known)
    return [part for part in [*parts, Part("Further chapters", "", rest)] if part.chapters]
