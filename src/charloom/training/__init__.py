"""Training: truncated backpropagation through time, its events and its history."""
