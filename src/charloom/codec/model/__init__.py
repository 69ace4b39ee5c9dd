"""What an engine computes with: the model in integers, its bounds, and the text that the mixture starts from."""
