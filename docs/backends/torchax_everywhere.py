"""What ``--load`` names for torchax: it takes tensors on ``jax`` only where it is enabled."""

import torchax

torchax.enable_globally()
