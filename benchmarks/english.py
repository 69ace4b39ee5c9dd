"""How well does ``english``, the model of the package, compress texts that it has not seen, and other data?

Each file is compressed whole and, if it is longer, its first 5,000, 20,000 and 100,000 bytes after a quarter of it, so
that titles and licences at the start do not count. The sizes are compared with those of compressors without a model,
and with the codec without its priming, which is what data unlike prose is compressed with. The source code, the log and
the JSON are generated or come from this Python installation.
"""

import argparse
import argparse as python_module
import json
import random
import time
from pathlib import Path
from typing import Any

from alternate import machine, write_result
from charloom import Codec
from charloom.inference.baselines import measure_compressors
from charloom_codec.format.opening import make_engine
from charloom_codec.model.codec_files import load_codec_files
from charloom_codec.model.priming import Priming
from charloom_codec.named_models.finding import find_folder
from watch import make_lines

_LENGTHS = (5_000, 20_000, 100_000)


def other_data() -> dict[str, bytes]:
    """Returns data that is not prose, by name."""
    rows = [
        {"id": n, "name": f"user{n * 7 % 97}", "tags": ["a", str(n % 5)], "score": n * n % 1000} for n in range(900)
    ]
    return {
        "Python source": Path(str(python_module.__file__)).read_bytes(),
        "log of a web server": make_lines(700, 0),
        "JSON": json.dumps(rows, indent=1).encode(),
        "random bytes": random.Random(0).randbytes(20_000),
    }


def measure(data: bytes, unprimed: Codec) -> dict[str, Any]:
    """Returns the compressed sizes of the data by method, and the bytes per second of charloom."""
    codec = Codec("english", threads=1)
    codec.compress(data[:1])  # reads the model
    started = time.perf_counter()
    blob = codec.compress(data)
    seconds = time.perf_counter() - started
    assert Codec(None).decompress(blob) == data
    sizes = {"english": len(blob), "without priming": len(unprimed.compress(data)), **measure_compressors(data)}
    return {"bytes": len(data), "sizes": sizes, "bytes_per_second": round(len(data) / seconds)}


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", type=Path, help="English prose, none of it in the training text")
    options = parser.parse_args()
    integers, _ = load_codec_files(find_folder("english"), fast=False)
    unprimed = Codec(make_engine(integers, Priming()), threads=1)
    parts = {}
    for path in options.texts:
        data = path.read_bytes()
        start = len(data) // 4
        for length in _LENGTHS:
            if start + length <= len(data):
                parts[f"{path.name}, {length:,} bytes"] = data[start : start + length]
        parts[path.name] = data
    results = {}
    for name, data in {**parts, **other_data()}.items():
        results[name] = found = measure(data, unprimed)
        ours = found["sizes"]["english"]
        others = {method: size for method, size in found["sizes"].items() if size and method != "english"}
        ratios = ", ".join(f"{method} {100 * (ours / size - 1):+.1f}%" for method, size in others.items())
        print(f"{name}: {ours:,} of {found['bytes']:,} bytes; {ratios}; {found['bytes_per_second']:,} B/s", flush=True)
    write_result("english", {"question": __doc__, "results": results, "machine": machine()})


if __name__ == "__main__":
    main()
