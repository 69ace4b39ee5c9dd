"""Uses of a trained model: generate, evaluate, compare with other compressors."""
