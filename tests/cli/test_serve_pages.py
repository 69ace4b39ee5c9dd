"""The pages of ``charloom serve`` in a browser: a comparison of two models, and a run while it trains."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import charloom
from browser import open_browser
from charloom import LanguageModel, SamplingSettings
from process import PATIENCE, start, wait_until

pytest.importorskip("starlette")
_TEXT = "The quick fox\u2603 jumps"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    """Returns a function that serves folders and returns the address."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: object) -> str:
        process = start(tmp_path, "serve", *map(str, words), "--port", "0", text=True)
        started.append(process)
        assert process.stderr is not None
        found = re.search(r"http://[\d.:]+", process.stderr.readline())
        assert found is not None
        return found[0]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def _wait_for(browser: Any, condition: str, seconds: float = PATIENCE) -> None:
    """Waits until a JavaScript expression is true in the page."""
    browser.set_script_timeout(seconds)
    browser.execute_async_script(
        f"const done = arguments[0], check = () => ({condition} ? done() : setTimeout(check, 20)); check();"
    )


def _read(browser: Any, element: str) -> str:
    found: str = browser.execute_script("return document.getElementById(arguments[0]).textContent;", element)
    return found


def _write(browser: Any, selector: str, text: str) -> None:
    browser.execute_script(
        """const field = document.querySelector(arguments[0]);
        field.value = arguments[1];
        field.dispatchEvent(new Event("input", { bubbles: true }));""",
        selector,
        text,
    )


def test_two_models_are_compared(serve: Any, browser: Any, char_model: Path, byte_model: Path, tmp_path: Path) -> None:
    folders = [shutil.copytree(char_model, tmp_path / "chars"), shutil.copytree(byte_model, tmp_path / "bytes")]
    models = [LanguageModel.load(folder) for folder in folders]
    browser.get(serve(*folders) + "/compare")
    seed = 2**59 + 7
    for name, value in {"prompt": "the quick ", "seed": str(seed), "temperature": "0.8", "numChars": "300"}.items():
        _write(browser, f"[name={name}]", value)
    browser.find_element("id", "start").click()
    _wait_for(browser, 'document.getElementById("status").textContent.startsWith("Complete")')
    sampling = SamplingSettings(temperature=0.8, seed=seed)
    for side, model in zip(("first", "second"), models, strict=True):
        assert _read(browser, f"text-{side}") == charloom.generate(model, "the quick ", 300, sampling)
    _write(browser, "#scored", _TEXT)
    _wait_for(browser, 'document.getElementById("bits-second").textContent')
    for side, model, unknown in zip(("first", "second"), models, (2, 0), strict=True):
        _, parts = charloom.evaluate_chunks(model, charloom.split_chars(_TEXT), unknown="unk")
        mean = sum(part.bits for part in parts[1:]) / len(parts[1:])
        assert _read(browser, f"bits-{side}").startswith(f"{mean:.3f} bits per character, 19 characters scored")
        assert (f"{unknown} of them not known" in _read(browser, f"bits-{side}")) == bool(unknown)
        assert _read(browser, f"shaded-{side}") == _TEXT
    rows = browser.execute_script(
        """return [...document.querySelectorAll("#differences tbody tr")].map(
          (row) => [...row.cells].map((cell) => cell.textContent));"""
    )
    sizes = [abs(float(row[3].replace("\u2212", "-"))) for row in rows]
    assert len(rows) == 10
    assert sizes == sorted(sizes, reverse=True)
    assert float(rows[0][1]) - float(rows[0][2]) == pytest.approx(float(rows[0][3].replace("\u2212", "-")), abs=0.02)
    # The cursor of one text moves that of the other.
    browser.find_element("id", "shaded-first").send_keys(*["\ue014"] * 2)
    detail = browser.find_element("id", "detail").text.split("\n")
    assert [line[:11] for line in detail] == ["chars: \u201ch\u201d:", "bytes: \u201ch\u201d:"]
    assert browser.execute_script("return document.querySelectorAll('.here').length") == 2
    assert not browser.get_log("browser")


def test_models_that_read_different_characters_are_compared_by_the_same_text(
    serve: Any, browser: Any, tmp_path: Path
) -> None:
    """A model that knows the carriage return reads two characters at each line end."""
    texts = {"unix": "ab\nab\nab", "windows": "ab\r\nab\r\nab"}
    models = {name: charloom.build_model(charloom.Vocabulary.of_text(text)) for name, text in texts.items()}
    for name, model in models.items():
        model.save(tmp_path / name)
    browser.get(serve(*(tmp_path / name for name in texts)) + "/compare")
    _write(browser, "#scored", texts["unix"])
    _wait_for(browser, 'document.getElementById("bits-second").textContent')
    for side, (name, text) in zip(("first", "second"), texts.items(), strict=True):
        _, parts = charloom.evaluate_chunks(models[name], charloom.split_chars(text))
        mean = sum(part.bits for part in parts[1:]) / (len(texts["unix"]) - 1)
        assert _read(browser, f"bits-{side}") == f"{mean:.3f} bits per character of the text as typed"


def test_characters_of_the_prompt_that_a_model_does_not_know_are_named(
    serve: Any, browser: Any, char_model: Path, byte_model: Path, tmp_path: Path
) -> None:
    """In the words of the page of a model."""
    folders = [shutil.copytree(char_model, tmp_path / "chars"), shutil.copytree(byte_model, tmp_path / "bytes")]
    address, notes = serve(*folders), []
    for page, element in (("compare", "unknown-first"), ("models/chars", "status")):
        browser.get(f"{address}/{page}")
        for name, value in {"prompt": "the \u2603 \u00e9\u2603", "numChars": "5", "seed": "1"}.items():
            _write(browser, f"[name={name}]", value)
        browser.find_element("id", "start").click()
        _wait_for(browser, f"document.getElementById('{element}').textContent.includes('skipped')")
        notes.append(_read(browser, element))
        if page == "compare":
            _wait_for(browser, 'document.getElementById("status").textContent.startsWith("Complete")')
            assert _read(browser, "unknown-second") == ""
    assert notes[0] == "Not known to the model, and skipped: \u201c\u2603\u201d \u201c\u00e9\u201d"
    assert notes[1].endswith(f" {notes[0]}")


def test_errors_of_the_server_are_shown(
    serve: Any, browser: Any, char_model: Path, byte_model: Path, tmp_path: Path
) -> None:
    folders = [shutil.copytree(char_model, tmp_path / "chars"), shutil.copytree(byte_model, tmp_path / "bytes")]
    browser.get(serve(*folders, "--max-tokens", "50") + "/compare")
    _write(browser, "[name=prompt]", "\u2603")
    browser.find_element("id", "start").click()
    _wait_for(browser, 'document.getElementById("status").textContent.startsWith("the prompt has no character")')
    browser.get_log("browser")  # of the refused requests
    assert browser.find_element("name", "numChars").get_property("value") == "50"
    # More than the server generates is refused at the field.
    _write(browser, "[name=numChars]", "51")
    assert browser.execute_script("return document.querySelector('[name=numChars]').matches(':invalid')")


def test_an_open_page_follows_a_model_that_is_replaced(serve: Any, browser: Any, tmp_path: Path) -> None:
    """Texts get the line ends of the new model."""
    for name in ("first", "second"):
        charloom.build_model(charloom.Vocabulary.of_text("ab\n")).save(tmp_path / name)
    browser.get(serve(tmp_path / "first", tmp_path / "second") + "/compare")
    _write(browser, "#scored", "ab\nab")
    _wait_for(browser, 'document.getElementById("bits-first").textContent')
    assert "4 characters scored" in _read(browser, "bits-first")
    model = charloom.build_model(charloom.Vocabulary.of_text("ab\r\n"))
    model.save(tmp_path / "first")
    # Between the description and the request, the model is replaced once more.
    browser.execute_script(
        """const ask = globalThis.fetch, asked = (globalThis.asked = []);
        globalThis.fetch = async (address, options) => {
          const response = await ask(address, options);
          asked.push(response.status);
          if (!String(address).endsWith("/first") || asked.includes(412)) return response;
          const description = await response.json();
          return new Response(JSON.stringify({ ...description, system_fingerprint: "old", line_end: "?" }));
        };"""
    )
    _write(browser, "#scored", "ab\nabb")
    _wait_for(browser, 'document.getElementById("bits-first").textContent.includes("as typed")')
    assert browser.execute_script("return asked.filter((status) => status === 412).length") == 1
    mean = charloom.evaluate(model, "ab\r\nabb").bits_per_char * 6 / 5
    assert _read(browser, "bits-first").startswith(f"{mean:.3f} bits")
    for selector, value in {"prompt": "a\nb", "seed": "1", "numChars": "40", "stopText": ""}.items():
        _write(browser, f"[name={selector}]", value)
    browser.find_element("id", "start").click()
    _wait_for(browser, 'document.getElementById("status").textContent.startsWith("Complete")')
    sampling = SamplingSettings(temperature=0.7, seed=1)
    assert _read(browser, "text-first") == charloom.generate(model, "a\r\nb", 40, sampling)
    browser.get_log("browser")  # of the refused request


def test_an_unknown_address_is_answered_with_a_page(serve: Any, browser: Any, char_model: Path) -> None:
    address = serve(char_model)
    browser.get(address + "/models/nothing")
    assert browser.title == browser.find_element("tag name", "h1").text == "404 Not Found"
    assert "there is no model nothing" in browser.find_element("tag name", "main").text
    browser.find_element("link text", "Start page").click()
    _wait_for(browser, 'document.getElementById("generation")')
    assert browser.title == "model"
    browser.get_log("browser")  # of the unknown address


def test_a_long_text_is_cut(serve: Any, browser: Any, char_model: Path, byte_model: Path, tmp_path: Path) -> None:
    """Also between the halves of a character."""
    folders = [shutil.copytree(char_model, tmp_path / "chars"), shutil.copytree(byte_model, tmp_path / "bytes")]
    browser.get(serve(*folders) + "/compare")
    _write(browser, "#scored", "a" * 19_999 + "\U0001f642" * 100_000)
    _wait_for(browser, 'document.getElementById("bits-second").textContent')
    assert "Only the first 20,000 of 219,999 characters are read." in _read(browser, "summary")
    assert "19,998 characters scored" in _read(browser, "bits-second")


def test_a_run_while_it_trains(serve: Any, browser: Any, text: str, tmp_path: Path) -> None:
    """Curves and samples arrive by themselves; at its end, the model is served."""
    (tmp_path / "book.txt").write_text(text)
    options = ["--hidden-size", "16", "--batch-size", "4", "--num-steps", "10", "--epochs", "100000"]
    process = start(tmp_path, "train", "book.txt", "-o", "run", *options, "--cell", "gru", "--checkpoint-steps", "50")
    wait_until((tmp_path / "run" / "history.jsonl").exists, process)
    address = serve("run")
    browser.get(address)
    assert browser.find_element("tag name", "h1").text == "Training run run"
    _wait_for(browser, 'document.querySelector("#curves svg") && document.querySelector("#samples pre")')
    assert _read(browser, "status") == "Training."
    epochs = "Number(document.querySelector('#curves td').textContent.replaceAll(',', ''))"
    browser.execute_script(f"globalThis.before = {epochs};")
    samples = browser.execute_script("return document.querySelectorAll('#samples pre').length")
    _wait_for(browser, f"{epochs} > before && document.querySelectorAll('#samples pre').length > {samples}")
    assert browser.execute_script("return document.getElementById('model').hidden")
    # A hidden page asks for nothing.
    browser.execute_script(
        """Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
        document.dispatchEvent(new Event("visibilitychange"));"""
    )
    browser.execute_async_script("setTimeout(arguments[0], 1000);")  # an answer may be on its way
    count = "return performance.getEntriesByType('resource').length"
    requests = browser.execute_script(count)
    browser.execute_async_script("setTimeout(arguments[0], 3000);")
    assert browser.execute_script(count) == requests
    browser.execute_script("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'));")
    process.send_signal(signal.SIGINT)
    _wait_for(browser, 'document.getElementById("status").textContent === "Ended."')
    browser.find_element("css selector", "#model a").click()
    _wait_for(browser, '!document.querySelector("main").hidden && document.getElementById("generation")')
    assert browser.title == "run"
    assert not browser.get_log("browser")
    process.communicate()
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert len(history) > 1
