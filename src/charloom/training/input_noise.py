"""Noise in the inputs of training: a regularizer for texts that are trained on many times."""

import torch

from charloom.shapes import Ids


def add_input_noise(inputs: Ids, probability: float) -> Ids:
    """Replaces random inputs by others of the same minibatch; targets are not changed.

    A model that sees a text many times memorizes it: from a few exact characters it recalls the rest. With a part of
    the characters replaced, it has to predict from many contexts that are similar instead. Source: Xie et al., Data
    Noising as Smoothing in Neural Network Language Models, 2017 (unigram noising).

    Args:
        inputs: Token ids (batch, steps), on the CPU.
        probability: Probability with which each id is replaced.

    Returns:
        The ids with noise; ``inputs`` itself if the probability is 0, with no random number drawn.
    """
    if not probability:
        return inputs
    # PyTorch's global generator: a checkpoint stores its state, so that a resumed run draws the same noise.
    replaced = torch.rand(inputs.shape, device="cpu") < probability
    # The minibatch has the frequencies of the text. Drawn for every place, so that the number of draws is constant.
    others = inputs.flatten()[torch.randint(inputs.numel(), inputs.shape, device="cpu")]
    return torch.where(replaced, others, inputs)
