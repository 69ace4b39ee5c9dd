"""Text compression with a language model computed in integers, so that it decodes bit-exactly on any machine."""
