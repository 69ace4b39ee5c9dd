from charloom import CorpusSettings, corpus_from


def test_settings_are_arguments_of_reading_a_text() -> None:
    assert str(corpus_from("A  b").text) == "A  b"
    settings = CorpusSettings(max_chars=3, lowercase=True, collapse_whitespace=True)
    assert str(corpus_from("A  bc", **vars(settings)).text) == "a b"
