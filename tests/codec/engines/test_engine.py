"""Properties that all engines share."""

from charloom_codec.engines.engine import MAX_SEGMENT, Engine, compute_lane_capacity
from charloom_codec.reference.plain_engine import ReferenceEngine
from small_engines import MODELS, PRIMINGS


def test_fingerprints_distinguish_engines() -> None:
    models = list(MODELS.values())
    engines: list[Engine] = [ReferenceEngine(model, None) for model in models]
    engines += [ReferenceEngine(model, priming) for model in models for priming in PRIMINGS.values()]
    assert len({engine.fingerprint for engine in engines}) == len(engines)


def test_number_of_lanes_depends_on_the_length() -> None:
    model = next(iter(MODELS.values()))
    fast, mixing = Engine(model, None), Engine(model, PRIMINGS["primed"])
    assert (fast.mode, mixing.mode) == ("fast", "mixing")
    assert [fast.choose_num_lanes(n) for n in (1, 4096, 4 * 4096, 1 << 20)] == [1, 1, 4, 64]
    assert [mixing.choose_num_lanes(n) for n in (1, (1 << 20) - 1, 1 << 20)] == [1, 1, 16]
    assert all(compute_lane_capacity(lanes) * lanes >= MAX_SEGMENT for lanes in (1, 4, 16, 64))
