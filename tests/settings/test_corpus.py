from charloom import CorpusSettings, corpus_from


def test_they_are_arguments_of_reading_a_text() -> None:
    """With none given, a text stays as it is."""
    assert str(corpus_from("A  b").text) == "A  b"
    settings = CorpusSettings(max_chars=3, lowercase=True, collapse_whitespace=True)
    assert str(corpus_from("A  bc", **vars(settings)).text) == "a b"
