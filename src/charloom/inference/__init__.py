"""Uses of a trained model: generation, evaluation and comparison with other compressors."""
