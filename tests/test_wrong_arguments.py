"""Wrong arguments of a public function: it raises charloom's errors only."""

import inspect
import io
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import charloom
from charloom import (
    CharloomError,
    Codec,
    CorpusSettings,
    LanguageModel,
    ModelSettings,
    Recipe,
    RecordCodec,
    RecordFile,
    SamplingSettings,
    TrainingSettings,
    Vocabulary,
    build_model,
    corpus_from,
    forecasting,
)
from charloom.settings import ForecastSettings, TableSettings
from charloom.settings.names import find_setting
from examples import examples

_CORPUS = corpus_from("a fox and a dog\n" * 9, name="made")
_VOCABULARY = _CORPUS.vocabulary
_MODEL = build_model(_VOCABULARY, ModelSettings("gru", hidden_size=4))
_IDS = torch.zeros(2, 3, dtype=torch.int64)
_RECIPE = charloom.load_recipe("section")
_CODEC, _RECORDS = Codec(_MODEL), RecordCodec(_MODEL)

_WRONG: st.SearchStrategy[Any] = st.one_of(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(),
    st.text(max_size=2) | st.binary(max_size=2),
    st.lists(st.none() | st.integers(-3, 3) | st.floats() | st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=1), st.none() | st.integers(0, 2), max_size=1),
    st.builds(object),
    st.builds(np.zeros, st.just((2, 2))),
    st.builds(torch.zeros, st.just((2, 2))),
    st.builds(torch.tensor, st.just(math.nan)),
    st.builds(np.float64, st.just(math.nan)),
)

# Valid arguments of each function; numbers and paths that may have any value are omitted.
_PUBLIC: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "generate": (charloom.generate, {"model": _MODEL, "prefix": "a", "sampling": SamplingSettings(), "stop": "z"}),
    "generate, policies": (charloom.generate, {"model": _MODEL, "unknown": "skip", "precision": "float32"}),
    "generate_samples": (charloom.generate_samples, {"model": _MODEL, "prefix": "a", "num_samples": 2}),
    "stream": (charloom.stream, {"model": _MODEL, "prefix": "a"}),
    "evaluate": (charloom.evaluate, {"model": _MODEL, "text": "a fox", "unknown": "skip"}),
    "evaluate_chunks": (charloom.evaluate_chunks, {"model": _MODEL, "chunks": ["a fox"]}),
    "evaluate_lines": (charloom.evaluate_lines, {"model": _MODEL, "text": "a fox", "sort": "bits", "top": 1}),
    "split_lines": (charloom.split_lines, {"text": "a"}),
    "show_progress": (charloom.show_progress, {"description": "work"}),
    "split_chars": (charloom.split_chars, {"text": "a"}),
    "train": (charloom.train, {"model": _MODEL, "corpus": _CORPUS, "settings": TrainingSettings(batch_size=999)}),
    "train, listeners": (charloom.train, {"listeners": [print]}),
    "build_model": (build_model, {"vocabulary": _VOCABULARY, "settings": ModelSettings(hidden_size=2), "seed": 0}),
    "extend_model": (charloom.extend_model, {"model": _MODEL, "vocabulary": _VOCABULARY, "init_sigma": 0.1, "seed": 0}),
    "check_novelty": (
        charloom.check_novelty,
        {"texts": "a fox", "corpus": "a fox and a dog", "clean_up": None, "min_length": 3, "num_stretches": 1},
    ),
    "load_corpus": (charloom.load_corpus, {"source": "nowhere", "unit": "char", "max_chars": 5, "lowercase": False}),
    "corpus_from": (corpus_from, {"documents": "abc", "name": "n", "unit": "char", "separator": "", "max_chars": 2}),
    "in_vocabulary": (_CORPUS.in_vocabulary, {"vocabulary": _VOCABULARY}),
    "load_recipe": (charloom.load_recipe, {"name": "section"}),
    "fit_recipe": (charloom.fit_recipe, {"corpus": _CORPUS, "recipe": _RECIPE}),
    "Vocabulary": (Vocabulary, {"characters": ["a"], "clean_up": charloom.CleanUp()}),
    "of_text": (Vocabulary.of_text, {"text": "ab"}),
    "of_counts": (Vocabulary.of_counts, {"counts": {"a": 1}}),
    "encode": (_VOCABULARY.encode, {"text": "a", "unknown": "skip"}),
    "decode": (_VOCABULARY.decode, {"ids": [1]}),
    "in_units": (_VOCABULARY.in_units, {"text": "a"}),
    "load": (LanguageModel.load, {"path": "nowhere"}),
    "LanguageModel": (
        LanguageModel,
        {
            "layer": charloom.layers.GRU(len(_VOCABULARY), 3),
            "vocabulary": _VOCABULARY,
            "dropout": 0.1,
            "tied_output": False,
        },
    ),
    "LanguageModel, embedding": (LanguageModel, {"embedding_size": 4}),
    "forward": (_MODEL, {"ids": _IDS, "state": None}),
    "loss": (_MODEL.loss, {"ids": _IDS, "targets": _IDS, "state": None}),
    "backpropagate": (_MODEL.backpropagate, {"ids": _IDS, "targets": _IDS, "state": None}),
    "begin_state": (_MODEL.begin_state, {"batch_size": 2}),
    "accelerate": (charloom.accelerate, {"module": torch.nn.GRU(2, 3), "precision": "float32"}),
    "restore": (charloom.restore, {"module": torch.nn.GRU(2, 3)}),
    "freeze": (charloom.freeze, {"module": charloom.layers.GRU(2, 3)}),
    "export_html": (charloom.export_html, {"model": _MODEL, "precision": "int8", "title": "a", "force": False}),
    "export_html, prefix": (charloom.export_html, {"prefix": "a"}),
    "export_onnx": (charloom.export_onnx, {"model": _MODEL, "force": False}),
    "push_model": (charloom.push_model, {"folder": "no", "repository": "a/b", "license": "a", "language": ["en"]}),
    "Codec": (Codec, {"model": _MODEL, "fast": False, "threads": 1}),
    "compress": (_CODEC.compress, {"data": b"a"}),
    "decompress": (_CODEC.decompress, {"blob": _CODEC.compress(b"a")}),
    "compress_stream": (_CODEC.compress_stream, {"source": io.BytesIO(), "target": io.BytesIO()}),
    "compress_lines": (_CODEC.compress_lines, {"source": io.BytesIO(), "target": io.BytesIO()}),
    "RecordCodec": (RecordCodec, {"model": _MODEL, "fast": False, "threads": 1}),
    "record": (_RECORDS.encode, {"record": b"a"}),
    "blob": (_RECORDS.decode, {"blob": _RECORDS.encode(b"a")}),
    "records": (_RECORDS.encode_batch, {"records": [b"a"]}),
    "measured records": (_RECORDS.measure_batch, {"records": [b"a"], "progress": None}),
    "blobs": (_RECORDS.decode_batch, {"blobs": [_RECORDS.encode(b"a")]}),
    "newest_checkpoint": (charloom.newest_checkpoint, {"path": "nowhere"}),
    "Checkpoint": (charloom.Checkpoint.read, {"path": "nowhere"}),
    "prepare_codec": (charloom.prepare_codec, {"model": _MODEL, "seen": b"a", "held_out": b"b"}),
    "part": (_CORPUS.ids.part, {"start": 0, "stop": 3}),
    "with_new_ids": (_CORPUS.ids.with_new_ids, {"new_ids": list(range(len(_VOCABULARY)))}),
    "sequences": (_CORPUS.ids.sequences, {"starts": np.zeros(1, np.int64), "length": 3}),
    "StoredIds": (charloom.StoredIds, {"stored": np.zeros(3, np.int64)}),
    "CleanUp": (charloom.CleanUp, {"lowercase": True, "collapse_whitespace": False}),
    "Recipe": (Recipe, vars(_RECIPE)),
    "with_changes": (_RECIPE.with_changes, {"changes": {"hidden_size": 3}}),
    "with_changes, name": (find_setting, {"name": "hidden_size"}),
    "sweep": (
        charloom.sweep,
        {
            "source": "nowhere",
            "vary": {"hidden_size": [4]},
            "recipe": _RECIPE.with_changes({"batch_size": 10**9}),
            "num_seeds": 1,
            "output": None,
            "jobs": 1,
            "keep_models": False,
            "listeners": [print],
        },
    ),
    "sweep, values": (lambda values: charloom.sweep("nowhere", {"hidden_size": values}), {"values": [4]}),
    "sweep, value": (lambda value: charloom.sweep("nowhere", [{"dropout": value}]), {"value": 0.5}),
    "sweep, combination": (lambda one: charloom.sweep("nowhere", [one]), {"one": {"dropout": 0.5}}),
    "train, places": (charloom.train, {"checkpoints": None, "resume": None, "processes": None}),
    "corpus_from, rows": (corpus_from, {"documents": [{"a": "x"}], "column": "a", "progress": None}),
    "load_corpus, progress": (charloom.load_corpus, {"source": "nowhere", "progress": None}),
    "evaluate, progress": (charloom.evaluate, {"progress": None}),
    "evaluate_lines, progress": (charloom.evaluate_lines, {"progress": None}),
    "CheckpointFolder": (charloom.CheckpointFolder, {"path": "nowhere", "source": None}),
    "RunPlan": (charloom.RunPlan, vars(charloom.RunPlan("x", "y"))),
    "TrainingRun": (charloom.TrainingRun, {"plan": charloom.RunPlan("x"), "processes": None, "progress": None}),
    "recipe_of_run": (charloom.recipe_of_run, {"path": "nowhere"}),
    "TensorBoard": (charloom.TensorBoard, {"path": "nowhere", "config": None}),
}
# Of charloom.forecasting.
_SERIES = np.sin(np.arange(40.0))
_QUICK = ForecastSettings(horizon=2, method="drift")
_DRIFT = forecasting.fit(_SERIES, _QUICK)
_NAIVE = forecasting.Naive()
_TABULATED: dict[str, Any] = {"series": _SERIES, "forecast": _DRIFT.forecast(), "levels": (0.5,)}
_AUTO = forecasting.AutoCharloom(settings=_QUICK).fit(_SERIES)
_AUTO_ARGUMENTS: dict[str, Any] = {"y": _SERIES, "h": 2, "X": None, "X_future": None, "level": [80], "fitted": True}
_ORIGINS: dict[str, Any] = {"values": _SERIES, "origins": [30, 40], "horizon": 2}
_PUBLIC |= {
    "Series": (forecasting.Series, {"values": _SERIES, "name": "n", "dates": None, "filled": 0}),
    "Series.head": (forecasting.Series(_SERIES).head, {"length": 3}),
    "Series.label": (forecasting.Series(_SERIES).label, {"place": 3}),
    "fit": (forecasting.fit, {"series": _SERIES, "settings": _QUICK, "horizon": 2, "progress": print}),
    "backtest": (
        forecasting.backtest,
        {
            "series": _SERIES,
            "settings": _QUICK,
            "horizon": 2,
            "held_out": 10,
            "baselines": [_NAIVE],
            "levels": (0.5,),
            "progress": print,
        },
    ),
    "find_season": (forecasting.find_season, {"values": _SERIES}),
    "read_series": (forecasting.read_series, {"file": "nowhere", "column": 1, "time": "none"}),
    "read_series, table": (
        forecasting.read_series,
        {field.name: field.default for field in fields(TableSettings)},
    ),
    "Forecaster.forecast": (_DRIFT.forecast, {"horizon": 3, "history": _SERIES}),
    "Forecaster.forecast_from": (_DRIFT.forecast_from, _ORIGINS | {"num_paths": 2}),
    "Forecaster.sample_paths": (_DRIFT.sample_paths, {"num_paths": 3, "horizon": 2}),
    "Forecaster.load": (forecasting.Forecaster.load, {"path": "nowhere"}),
    "Forecast.to_frame": (_DRIFT.forecast().to_frame, {"level": 0.5}),
    "Forecast.interval": (_DRIFT.forecast().interval, {"level": 0.5}),
    "draw_forecast": (forecasting.draw_forecast, _TABULATED | {"format": "svg"}),
    "tabulate_forecast": (forecasting.tabulate_forecast, _TABULATED),
    "AutoCharloom": (forecasting.AutoCharloom, {"season_length": 4, "settings": _QUICK, "alias": "a"}),
    "AutoCharloom.fit": (forecasting.AutoCharloom(settings=_QUICK).fit, {"y": _SERIES, "X": None}),
    "AutoCharloom.predict": (_AUTO.predict, {"h": 2, "X": None, "level": [80]}),
    "AutoCharloom.predict_in_sample": (_AUTO.predict_in_sample, {"level": [80]}),
    "AutoCharloom.forecast": (_AUTO.forecast, _AUTO_ARGUMENTS),
    "AutoCharloom.forward": (_AUTO.forward, _AUTO_ARGUMENTS),
    "SeasonalNaive": (forecasting.SeasonalNaive, {"season": 4}),
    "SeasonalMean": (forecasting.SeasonalMean, {"season": 4, "num_seasons": 2}),
    "AutoRegression": (forecasting.AutoRegression, {"num_lags": 2}),
    "AutoRegression.fit": (forecasting.AutoRegression().fit, {"values": _SERIES}),
    "AutoRegression.forecast": (forecasting.AutoRegression().forecast, _ORIGINS),
    "Drift.fit": (forecasting.Drift().fit, {"values": _SERIES}),
    "Mean.fit": (forecasting.Mean().fit, {"values": _SERIES}),
    "Naive.forecast": (_NAIVE.forecast, _ORIGINS),
}
_UNTRIED = {
    "Backtest": "made by backtest",
    "Baseline": "the base of the others",
    "Forecast": "made by Forecaster.forecast",
    "Forecaster": "made by fit",
    **dict.fromkeys(["Naive", "Drift", "Mean"], "without arguments"),
    "Scores": "made by backtest",
}
_ALSO: dict[str, dict[str, Any]] = {
    "read_series, table": {"file": "nowhere"},
    "LanguageModel, embedding": {"layer": charloom.layers.GRU(4, 3), "vocabulary": _VOCABULARY},
    "generate, policies": {"prefix": "a", "num_chars": 1},
    "train, listeners": {"model": _MODEL, "corpus": _CORPUS, "settings": TrainingSettings(batch_size=999)},
    "train, places": {"model": _MODEL, "corpus": _CORPUS, "settings": TrainingSettings(batch_size=999)},
    "evaluate, progress": {"model": _MODEL, "text": "a fox"},
    "evaluate_lines, progress": {"model": _MODEL, "text": "a fox"},
    "prepare_codec": {"folder": "/proc/nowhere"},
    "export_html, prefix": {"model": _MODEL, "path": "/proc/nowhere"},
    **{name: {"path": "/proc/nowhere"} for name in ("export_html", "export_onnx")},
    **{name: {"num_chars": 1} for name in ("generate", "generate_samples", "stream")},
}
for _kind in (CorpusSettings, ForecastSettings, ModelSettings, SamplingSettings, TableSettings, TrainingSettings):
    _PUBLIC[_kind.__name__] = _kind, {field.name: field.default for field in fields(_kind)}


def test_every_function_is_tested() -> None:
    """Each public function of charloom.forecasting is called with all arguments, unless there is a reason."""
    assert not {*forecasting.__all__} - {*_PUBLIC} - {*_UNTRIED}
    assert {*_UNTRIED} <= {*forecasting.__all__}
    for name in {*forecasting.__all__} & {*_PUBLIC}:
        function = _PUBLIC[name][0]
        known = {argument for other, good in _PUBLIC.values() if other is function for argument in good}
        assert {*inspect.signature(function).parameters} == known, name


@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "argument"), [(name, one) for name, (_, good) in _PUBLIC.items() for one in good])
@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wrong=_WRONG)
def test_only_charloom_errors(name: str, argument: str, wrong: object) -> None:
    # A valid number of gigabytes: if memory runs out, Linux kills the tests.
    assume(
        not (argument == "batch_size" and name == "begin_state" and isinstance(wrong, int) and 2**20 < wrong < 2**31)
    )
    function, good = _PUBLIC[name]
    try:
        result = function(**_ALSO.get(name, {}) | good | {argument: wrong})
        if inspect.isgenerator(result):
            list(result)
    except CharloomError:
        pass


def test_valid_arguments_are_accepted(tmp_path: Path) -> None:
    """They succeed, or fail for another reason."""
    for name in ("generate", "evaluate", "encode", "decode", "compress", "records", "part", "sequences"):
        function, good = _PUBLIC[name]
        function(**_ALSO.get(name, {}) | good)
    RecordFile.write(tmp_path / "records", [b"a"], _MODEL)
    for wrong in (None, 3, object()):
        with pytest.raises(CharloomError):
            RecordFile(wrong, _MODEL)  # type: ignore[arg-type]
        with pytest.raises(CharloomError):
            RecordFile.write(tmp_path / "more", wrong, _MODEL)  # type: ignore[arg-type]


_NOT_TRIED = {
    "Checkpoint": "its read is",
    "RecordFile": "in test_each_is_right_without",
    "WeightsAndBiases": "starts a run of another program",
    "Predictor": "a protocol",
    "Corpus": "load_corpus and corpus_from make it",
    **dict.fromkeys(["Evaluation", "EvaluatedText", "Surprisal", "Surprisals", "Copied", "CopiedStretch"], "a result"),
    **dict.fromkeys(["CombinationResult", "MeanAndSpread", "SweepResults", "SweepRun"], "a result"),
    **dict.fromkeys(["EpochRecord", "History", "NoveltyReport", "Start", "Outcome", "CodingCosts"], "a result"),
}
"""Public names that are not tested here, and why."""


def test_every_public_name_is_tested() -> None:
    tried = {function for function, _ in _PUBLIC.values()}
    public = {name: getattr(charloom, name) for name in vars(charloom)["__all__"]}
    called = {name: one for name, one in public.items() if callable(one)}
    errors = {name for name, one in called.items() if isinstance(one, type) and issubclass(one, Exception)}
    assert {name for name, one in called.items() if one not in tried} - errors == {*_NOT_TRIED}
