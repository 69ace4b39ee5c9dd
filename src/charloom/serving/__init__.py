"""A server of language models: an API in the form of OpenAI's, and a page for each model."""
