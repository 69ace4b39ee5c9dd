// The decisions that a byte is coded by: a binary tree whose inner nodes divide a range of bytes in two. Context mixing
// predicts each decision on the way from the root to the byte.
//
// In PAQ, the decisions are the eight bits of the byte. A tree that is balanced by the frequencies of the bytes needs
// about five, of which each costs the same time. It keeps the bytes in their order, and divides them between classes,
// such as the digits, if that is fairly balanced: a context often determines the class, but not the byte.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace charloom {

class ByteTree {
 public:
  enum : int { kRoot = 0, kBytes = 256, kDepths = 8 };
  struct Node {
    uint16_t first, middle, last;  // bytes from `first` to `last` - 1; from `middle` on, the decision is 1
    uint16_t id;                   // below 256, unique in its tree
    uint16_t depth;                // number of decisions before this one, at most kDepths - 1
    uint16_t next[2];              // the node after each decision, or kBytes + the byte
  };

  // The tree of the bits. The id is the known bits after a leading 1.
  ByteTree() {
    const uint64_t equal[kBytes] = {};
    build(equal, false);
    for (Node &node : nodes_) node.id = (uint16_t)((kBytes + node.first) / (node.last - node.first));
    find_fourth();
  }
  // The tree in which each node divides the weights of its bytes as equally as possible, but between two classes if
  // each part has at least 1 / kMinShare of them. The id is `middle`.
  explicit ByteTree(const uint64_t *weights) {
    build(weights, true);
    find_fourth();
  }

  const Node &operator[](int at) const { return nodes_[at]; }
  static bool is_byte(int at) { return at >= kBytes; }
  // Returns the node after the first four decisions of a byte, or kBytes + the byte.
  int after_four(int byte) const { return after_four_[byte]; }

 private:
  static constexpr uint64_t kMinShare = 16;

  void build(const uint64_t *weights, bool by_class) {
    uint64_t sums[kBytes + 1] = {};
    for (int i = 0; i < kBytes; i++) sums[i + 1] = sums[i] + weights[i] + 1;
    add(sums, by_class, 0, kBytes, 0);
  }
  int add(const uint64_t *sums, bool by_class, int first, int last, int depth) {
    if (last - first == 1) return kBytes + first;
    int middle = by_class ? best_middle(sums, first, last, true) : 0;
    if (!middle) middle = best_middle(sums, first, last, false);
    const int at = (int)nodes_.size(), limited = depth < kDepths ? depth : kDepths - 1;
    nodes_.push_back({(uint16_t)first, (uint16_t)middle, (uint16_t)last, (uint16_t)middle, (uint16_t)limited, {}});
    // Not assigned in one statement: the calls move the nodes.
    const int low = add(sums, by_class, first, middle, depth + 1);
    const int high = add(sums, by_class, middle, last, depth + 1);
    nodes_[at].next[0] = (uint16_t)low;
    nodes_[at].next[1] = (uint16_t)high;
    return at;
  }
  // Returns the first byte of the upper part, the lowest of those that are equally good. Between classes: only if both
  // parts are large enough; 0 if there is none.
  static int best_middle(const uint64_t *sums, int first, int last, bool between_classes) {
    const uint64_t all = sums[last] - sums[first];
    uint64_t largest = 0;  // smaller part
    int best = 0;
    for (int at = first + 1; at < last; at++) {
      const uint64_t low = sums[at] - sums[first], smaller = low < all - low ? low : all - low;
      if (between_classes && (!starts_class(at) || smaller * kMinShare < all)) continue;
      if (smaller > largest) best = at, largest = smaller;
    }
    return best;
  }
  // Classes: control characters, space, digits, capitals, lower case, bytes above ASCII, and punctuation between them.
  static bool starts_class(int byte) {
    switch (byte) {
      case ' ':
      case ' ' + 1:
      case '0':
      case '9' + 1:
      case 'A':
      case 'Z' + 1:
      case 'a':
      case 'z' + 1:
      case 128:
        return true;
      default:
        return false;
    }
  }
  void find_fourth() {
    for (int byte = 0; byte < kBytes; byte++) {
      int at = kRoot;
      for (int i = 0; i < 4 && !is_byte(at); i++) at = nodes_[at].next[byte >= nodes_[at].middle];
      after_four_[byte] = (uint16_t)at;
    }
  }

  std::vector<Node> nodes_;
  uint16_t after_four_[kBytes];
};

// The trees of a text: one for each class of the byte before.
class ByteTrees {
 public:
  enum : int { kClasses = 7 };

  // The tree of the bits for all classes.
  ByteTrees() : trees_(kClasses) {}
  // Trees that are balanced by the frequencies of the bytes in a text after each class, and, with the weight of kPrior
  // bytes, in the whole text.
  ByteTrees(const uint8_t *text, size_t size) : is_balanced_(true) {
    std::vector<uint64_t> of_class(kClasses * 256), of_all(256);
    int before = '\n';
    for (size_t i = 0; i < size; before = text[i++]) {
      of_class[class_of(before) * 256 + text[i]]++;
      of_all[text[i]]++;
    }
    for (int c = 0; c < kClasses; c++) {
      uint64_t weights[256];
      for (int b = 0; b < 256; b++)
        weights[b] = kScale * of_class[c * 256 + b] + (size ? kScale * kPrior * of_all[b] / size : 0);
      trees_.emplace_back(weights);
    }
  }

  const ByteTree &after(int byte) const { return trees_[class_of(byte)]; }
  // Returns the number of the tree after a byte; 0 if all trees are equal.
  int number_after(int byte) const { return is_balanced_ ? class_of(byte) : 0; }

 private:
  static constexpr uint64_t kScale = 64, kPrior = 20;

  // Digits, space, line feed, capitals, vowels, consonants, and all others.
  static int class_of(int byte) {
    if (byte >= '0' && byte <= '9') return 0;
    if (byte == ' ') return 1;
    if (byte == '\n') return 2;
    if (byte >= 'A' && byte <= 'Z') return 3;
    if (byte == 'a' || byte == 'e' || byte == 'i' || byte == 'o' || byte == 'u') return 4;
    return byte >= 'a' && byte <= 'z' ? 5 : 6;
  }

  std::vector<ByteTree> trees_;
  bool is_balanced_ = false;
};

}  // namespace charloom
