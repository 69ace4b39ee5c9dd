"""Compression with a language model: the codecs of ``charloom_codec``, and the integers that they compute with."""

from charloom_codec.codec import Codec as Codec
from charloom_codec.engines.engine import CodingCosts as CodingCosts
from charloom_codec.records.record_codec import RecordCodec as RecordCodec
from charloom_codec.records.record_file import RecordFile as RecordFile
