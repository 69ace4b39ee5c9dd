// Coding by the network alone.
#pragma once
#include "range_coder.h"
#include "voices.h"

namespace charloom {

class FastLanes {
 public:
  FastLanes(const Speaker *speaker, long lanes) : voices_(speaker, lanes) {}

  void begin() { voices_.begin(); }
  void forget() {}

  void encode(long lane, uint8_t byte, Encoder &encoder) {
    Voice &voice = voices_[lane];
    voice.begin_byte();
    const Voice::Part part = voice.part_of(byte);
    if (part.size) {
      encoder.encode(part.start, part.size, voice.total());
    } else {  // a byte that the network has no token for
      encoder.encode(voice.escape(), voice.total() - voice.escape(), voice.total());
      encoder.encode(byte, 1, 256);
    }
    end_byte(lane, byte);
  }

  uint8_t decode(long lane, Decoder &decoder) {
    Voice &voice = voices_[lane];
    voice.begin_byte();
    const uint64_t number = decoder.find(voice.total());
    int byte;
    if (number < voice.escape()) {
      byte = voice.byte_at(number);
      const Voice::Part part = voice.part_of(byte);
      decoder.skip(part.start, part.size, voice.total());
    } else {
      decoder.skip(voice.escape(), voice.total() - voice.escape(), voice.total());
      byte = (int)decoder.find(256);
      decoder.skip(byte, 1, 256);
    }
    end_byte(lane, (uint8_t)byte);
    return (uint8_t)byte;
  }

 private:
  void end_byte(long lane, uint8_t byte) {
    voices_[lane].read_byte(byte);
    voices_.end_byte(lane);
  }

  Voices voices_;
};

}  // namespace charloom
