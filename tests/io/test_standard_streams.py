"""The name of the standard streams is that of other programs."""

from charloom_codec.io.standard_streams import STANDARD_INPUT


def test_the_name_is_a_hyphen() -> None:
    assert STANDARD_INPUT == "-"
