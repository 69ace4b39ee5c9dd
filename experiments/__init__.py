"""The experiments behind the pages of ``docs/exercises``: each measures, draws, and fills in its page's tables."""
