"""How small is held-out text, compared with other compressors that have read the same training text?

The last tenth of three texts and the second half of the lines of two logs are compressed after the first part. The
model is trained on the first part by ``charloom train FILE --minutes M``, which also primes the context models with it.
A peer's size is that of the whole minus that of the first part, so that the peer learns from the first part too.
charloom's files are decoded and compared: with all models, without the network, and with the network alone (--fast).
The logs are then compressed line by line, each line decodable on its own. Models are trained in the same run, unless
--models has them.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from alternate import machine, write_result
from compressors.ours import FAST, MIXING, file_size, make_model, open_engines, records_size
from compressors.picture import draw
from compressors.texts import TEXTS, Text
from peers.workers import Worker

_STREAM_PEERS = ("zpaq -m5", "PPMd order 6", "brotli 11", "xz -9e", "zstd -19", "bzip2 -9")
_RECORD_PEERS = ("PPMd order 6", "zstd -19, dictionary", "zlib -9, dictionary")
_UNPRIMED = ("zpaq -m5", "xz -9e")


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs="+", default=[text.name for text in TEXTS], choices=[t.name for t in TEXTS])
    parser.add_argument("--models", type=Path, help="folder for the models; existing ones are reused")
    parser.add_argument("--minutes", type=float, default=5.0, help="time for training each model")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = options.models or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers = _peers()
        for text in TEXTS:
            if text.name not in options.texts:
                continue
            first, rest = text.parts()
            model = make_model(first, ["--minutes", str(options.minutes)], folder / text.name)
            results[text.name] = _measure(text, first, rest, folder / text.name, peers) | {"model": model}
            _print_result(text, results[text.name])
        versions = peers.measure({"method": "versions"}) if peers else {}
        if peers:
            peers.close()
    write_result("compression", {"question": __doc__, "texts": results, "peers": versions, "machine": machine()})
    draw(results)


def _peers() -> Worker | None:
    try:
        return Worker("compressors", 1)
    except RuntimeError as error:
        print(f"no peers: {error}")
        return None


def _measure(text: Text, first: bytes, rest: bytes, folder: Path, peers: Worker | None) -> dict[str, Any]:
    engines = open_engines(folder)
    result: dict[str, Any] = {
        "bytes_known": len(first),
        "bytes": len(rest),
        "lines": len(text.records()),
        "stream": {name: file_size(engine, rest) for name, engine in engines.items()},
        "refused": {},
    }
    if text.is_log:
        result["records"] = {name: records_size(engine, text.records()) for name, engine in engines.items()}
    for kind, method, primed in (
        *(("stream", method, True) for method in _STREAM_PEERS),
        *(("records", method, True) for method in _RECORD_PEERS if text.is_log),
        *(("not primed", method, False) for method in _UNPRIMED),
    ):
        answer = _peer_size(peers, method, first, rest, kind == "records", primed)
        if "bytes" in answer:
            result.setdefault(kind, {})[method] = answer["bytes"]
        else:
            result["refused"][method] = answer["refused"]
    result["fewer_percent"] = _comparison(text, result)
    return result


def _peer_size(
    peers: Worker | None, method: str, first: bytes, rest: bytes, records: bool, primed: bool
) -> dict[str, Any]:
    if peers is None:
        return {"refused": "no environment for peers"}
    with tempfile.TemporaryDirectory() as folder:
        files = {"first": first, "rest": rest}
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        request = {name: str(Path(folder) / name) for name in files}
        return peers.measure({"method": method, "records": records, "primed": primed, **request})


def _comparison(text: Text, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns by how many percent charloom's size is smaller than each peer's, with the requirement."""
    rows = []
    for kind, bars in (("stream", text.bars), ("records", text.record_bars)):
        for peer, bar in bars.items():
            if peer in result.get(kind, {}):
                fewer = 100 * (1 - result[kind][MIXING] / result[kind][peer])
                rows.append({"kind": kind, "peer": peer, "fewer": round(fewer, 2), "bar": bar})
    return rows


def break_even(result: dict[str, Any], peer: str) -> float | None:
    """Returns the bytes of text from which charloom, including its model, is smaller than the peer; None if never."""
    saved = (result["not primed"].get(peer, 0) - result["stream"][MIXING]) / result["bytes"]
    shipped: int = result["model"]["network_bytes"] + result["model"]["priming_bytes"]
    return shipped / saved if saved > 0 else None


def _print_result(text: Text, result: dict[str, Any]) -> None:
    for kind in ("stream", "records"):
        if kind not in result:
            continue
        print(f"{text.name}, {'line by line' if kind == 'records' else 'one stream'}: {result['bytes']:,} bytes")
        for name, size in sorted(result[kind].items(), key=lambda item: int(item[1])):
            unit = (
                (size / result["lines"], "bytes per line")
                if text.is_log
                else (8 * size / result["bytes"], "bits per byte")
            )
            print(f"  {name:28s} {size:8,d} bytes   {unit[0]:7.3f} {unit[1]}")
    for row in result["fewer_percent"]:
        verdict = "met" if row["fewer"] >= row["bar"] else "MISSED"
        print(f"  {row['fewer']:.1f}% fewer than {row['peer']} ({row['kind']}): required {row['bar']:.0f}%, {verdict}")
    for method, reason in result["refused"].items():
        print(f"  {method}: {reason}")
    model = result["model"]
    print(f"  model: network {model['network_bytes']:,} bytes, priming {model['priming_bytes']:,} bytes", end="")
    for peer in result.get("not primed", {}):
        at = break_even(result, peer)
        print(f"; break-even with {peer} {at / 1e6:.1f} MB" if at else f"; no break-even with {peer}", end="")
    print(f"; {FAST} needs the network only", flush=True)


if __name__ == "__main__":
    main()
