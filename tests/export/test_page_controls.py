"""The controls of an exported page in a browser: the temperature and its exponent, and the keys of shaded text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import charloom
from browser import open_browser
from charloom import LanguageModel, SamplingSettings

_HOME, _END, _PAGE_UP, _PAGE_DOWN = "\ue011", "\ue010", "\ue00e", "\ue00f"
_CONTROL, _LEFT, _RIGHT, _TAB, _DELETE = "\ue009", "\ue012", "\ue014", "\ue004", "\ue017"
_TEXT = "the quick brown fox jumps over the lazy dog " * 40 + "\nthe fox\n\nthe dog"


@pytest.fixture(scope="module")
def model(char_model: Path) -> LanguageModel:
    return LanguageModel.load(char_model)


@pytest.fixture(scope="module")
def page(model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yields the driver of a browser of 600 pixels, in which a screenful is less than the text."""
    path = tmp_path_factory.mktemp("page") / "model.html"
    charloom.export_html(model, path, prefix="the quick fox")
    with open_browser(width=500, height=600) as browser:
        browser.get(path.as_uri())
        _wait_for(browser, "!document.querySelector('main').hidden")
        yield browser


def _wait_for(browser: Any, condition: str) -> None:
    browser.execute_async_script(
        f"const done = arguments[0], check = () => ({condition} ? done() : setTimeout(check, 10)); check();"
    )


def _type(page: Any, name: str, text: str) -> None:
    page.find_element("name", name).send_keys(_CONTROL + "a", _CONTROL + _DELETE, text)


def _value(page: Any, name: str) -> str:
    found: str = page.find_element("name", name).get_property("value")
    return found


def _is_valid(page: Any) -> bool:
    found: bool = page.execute_script("return document.getElementById('generation').checkValidity();")
    return found


def test_the_prefix(page: Any) -> None:
    assert _value(page, "prompt") == "the quick fox"


@pytest.mark.parametrize(
    ("temperature", "alpha"), [("0.5", "2"), ("0.7", "1.429"), ("1e-12", "1000000000000"), ("20", "0.05"), ("", "")]
)
def test_temperature_and_exponent_are_one_setting(temperature: str, alpha: str, page: Any) -> None:
    _type(page, "alpha", "7")
    _type(page, "temperature", temperature)
    assert _value(page, "alpha") == alpha
    assert page.find_element("name", "alpha").get_property("placeholder") == "1"
    assert _is_valid(page)
    _type(page, "temperature", "7")
    _type(page, "alpha", alpha)
    assert float(_value(page, "temperature") or 1) == pytest.approx(float(temperature or 1), rel=1e-3)
    assert _is_valid(page)


def test_limits(page: Any) -> None:
    """Those of SamplingSettings; a temperature of 0 is an infinite exponent."""
    for name, text, is_valid in (
        ("temperature", "0", True),
        ("temperature", "-1", False),
        ("alpha", "-1", False),
        ("alpha", "0", False),
        ("alpha", "0.001", True),
        ("temperature", "1e6", True),
    ):
        _type(page, name, text)
        assert _is_valid(page) == is_valid, text
        if text in ("0", "-1"):
            assert _value(page, "alpha" if name == "temperature" else "temperature") == ""
    _type(page, "temperature", "0")
    assert page.find_element("name", "alpha").get_property("placeholder") == "\u221e"


def test_the_fields_are_labeled_and_follow_each_other(page: Any) -> None:
    names = "return arguments[0].labels[0].textContent.trim().split('\\n')[0];"
    temperature = page.find_element("name", "temperature")
    assert page.execute_script(names, temperature) == "Temperature"
    temperature.send_keys(_TAB)
    assert page.switch_to.active_element.get_attribute("name") == "alpha"
    assert page.execute_script(names, page.switch_to.active_element) == "Exponent alpha"


@pytest.mark.parametrize(
    ("name", "text", "sampling"),
    [
        ("alpha", "3", SamplingSettings(power=3, seed=4)),
        ("temperature", "0.3", SamplingSettings(temperature=0.3, seed=4)),
        ("temperature", "1e-310", SamplingSettings(temperature=1e-310, seed=4)),
        ("alpha", "", SamplingSettings(power=1, seed=4)),
    ],
)
def test_the_text_is_that_of_generate(
    name: str, text: str, sampling: SamplingSettings, page: Any, model: LanguageModel
) -> None:
    for field, value in {"prompt": "fox", "seed": "4", "numChars": "300", name: text}.items():
        _type(page, field, value)
    page.find_element("id", "start").click()
    _wait_for(page, "document.getElementById('status').textContent.startsWith('300 characters')")
    assert page.find_element("id", "text").get_property("textContent") == charloom.generate(model, "fox", 300, sampling)
    page.execute_script("document.getElementById('status').textContent = '';")


def _press(page: Any, *keys: str) -> int:
    """Returns the place of the cursor after keys."""
    page.find_element("id", "shaded").send_keys(*keys)
    found: int = page.execute_script(
        "return [...document.querySelectorAll('#shaded span')].findIndex((span) => span.className.includes('here'));"
    )
    return found


def test_keys_of_shaded_text(page: Any) -> None:
    page.execute_script(
        """const field = document.getElementById("scored");
        field.value = arguments[0];
        field.dispatchEvent(new Event("input"));""",
        _TEXT,
    )
    _wait_for(page, f"document.querySelectorAll('#shaded span').length === {len(_TEXT)}")
    tops = page.execute_script("return [...document.querySelectorAll('#shaded span')].map((span) => span.offsetTop);")
    assert _press(page, _CONTROL + _END) == len(_TEXT) - 1
    assert _press(page, _HOME) == _TEXT.rindex("the dog")
    assert _press(page, _LEFT, _HOME) == _press(page, _END) == len(_TEXT) - len("\nthe dog")  # an empty line
    assert _press(page, _LEFT, _HOME) == _TEXT.rindex("the fox")
    assert _press(page, _CONTROL + _HOME) == _press(page, _HOME) == 0
    end = _press(page, _END)
    assert 10 < end < 80
    assert tops[end] == tops[0] < tops[end + 1]  # the end of the line as it is shown
    assert _press(page, _RIGHT, _END, _HOME) == end + 1
    down = _press(page, _CONTROL + _HOME, _PAGE_DOWN)
    height = page.execute_script("return innerHeight;")
    assert 0.7 * height < tops[down] - tops[0] < height
    _press(page, _PAGE_DOWN)
    box = "const box = document.querySelector('#shaded .here').getBoundingClientRect();"
    assert page.execute_script(f"{box} return box.top >= 0 && box.bottom <= innerHeight;")
    assert _press(page, _PAGE_UP, _PAGE_UP) == 0
    assert _press(page, *[_PAGE_DOWN] * 20) == len(_TEXT) - 1
    assert not page.get_log("browser")
