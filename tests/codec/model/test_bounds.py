"""Models whose numbers could overflow a kernel's are refused."""

import numpy as np
import pytest

from charloom_codec.model.integer_model import IntegerModel
from integer_models import random_model


def test_a_row_of_weights_whose_sum_could_overflow() -> None:
    model = random_model(0, "rnn_tanh", hidden=1000, vocabulary=3)
    arrays = model.to_arrays()
    arrays["output.weights"] = np.full((3, 1000), 127, np.int8)
    arrays["output.multipliers"] = np.zeros(3, np.int16)
    with pytest.raises(ValueError, match=r"output.weights: the magnitudes of a row sum to more than 65535"):
        IntegerModel.from_arrays(arrays)
