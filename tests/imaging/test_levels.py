"""Between shares and levels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from rembg_sessions.core.imaging.levels import alpha_to_mask, mask_to_alpha, to_levels


def test_masks_round_there_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    alpha = mask_to_alpha(Image.fromarray(levels))
    assert (alpha.dtype, alpha.max()) == (np.float32, 1)
    np.testing.assert_array_equal(alpha_to_mask(alpha), levels)


def test_shares_are_rounded():
    shares = np.array([0, 0.4 / 255, 0.6 / 255, 127.4 / 255, 1])
    np.testing.assert_array_equal(to_levels(shares), [0, 0, 1, 127, 255])
    assert to_levels(shares.astype(np.float32)).dtype == np.uint8
