"""The numbers of an engine: the model in integers, its bounds, and the text that the mixture starts from."""
