"""Data of an engine: the integer model, its bounds, and the text that primes the context models."""
