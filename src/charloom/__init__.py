"""charloom: recurrent language models of your own text, on the CPU you have.

The public names are listed in ``__init__.pyi``; each is imported when it is first used, so that ``import charloom`` and
``charloom --help`` need not wait for PyTorch.
"""

import lazy_loader

from charloom.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
