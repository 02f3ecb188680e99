#include "common/transport/intake.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "common/transport/text_fields.h"

namespace allot::transport {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// By field number: what kind of message is in it, if any. Looking fields up in descriptors would
// cost more than to read them.
struct Shape {
  std::vector<const Shape*> parts;
  std::vector<bool> packed;  // a list of numbers in one field
  const Shape* Part(uint64_t number) const {
    return number < parts.size() ? parts[number] : nullptr;
  }
  bool Packed(uint64_t number) const { return number < packed.size() && packed[number]; }
};

const Shape* ShapeOf(const Descriptor* type, std::map<const Descriptor*, Shape*>* known) {
  if (const auto found = known->find(type); found != known->end()) return found->second;
  auto* const shape = new Shape;  // for as long as the program runs
  known->emplace(type, shape);
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* const field = type->field(i);
    const auto number = static_cast<size_t>(field->number());
    if (shape->parts.size() <= number) {
      shape->parts.resize(number + 1);
      shape->packed.resize(number + 1);
    }
    if (field->message_type() != nullptr)
      shape->parts[number] = ShapeOf(field->message_type(), known);
    shape->packed[number] = field->is_packable();
  }
  return shape;
}

const Shape& EnvelopeShape() {
  static const Shape* const shape = [] {
    std::map<const Descriptor*, Shape*> known;
    return ShapeOf(wire::Envelope::descriptor(), &known);
  }();
  return *shape;
}

bool ReadVarint(std::string_view* bytes, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && !bytes->empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes->front());
    bytes->remove_prefix(1);
    *value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// False: it is over. What is broken ends there, and what stands beside it counts on: a reader may
// make something of that (SalvageEnvelope).
bool Count(std::string_view bytes, const Shape& shape, bool outermost, EnvelopeSize* size) {
  const auto most = static_cast<uint64_t>(limits::kEnvelopeValues.value);
  while (!bytes.empty()) {
    uint64_t tag = 0, length = 0;
    if (++size->values > most) return false;
    if (!ReadVarint(&bytes, &tag)) return true;
    const uint64_t number = tag >> 3;
    switch (tag & 7) {
      case 0:
        if (!ReadVarint(&bytes, &length)) return true;
        break;
      case 1:
      case 5: {
        const size_t fixed = (tag & 7) == 1 ? 8 : 4;
        if (bytes.size() < fixed) return true;
        bytes.remove_prefix(fixed);
        break;
      }
      case 2: {
        if (!ReadVarint(&bytes, &length) || length > bytes.size()) return true;
        const std::string_view part = bytes.substr(0, length);
        bytes.remove_prefix(length);
        if (outermost && number == wire::Envelope::kMessagesFieldNumber &&
            ++size->messages > static_cast<uint64_t>(limits::kEnvelopeMessages.value))
          return false;
        if (shape.Packed(number)) size->values += length;
        if (const Shape* const within = shape.Part(number);
            within != nullptr && !Count(part, *within, false, size))
          return false;
        break;
      }
      default:
        break;  // Groups, which nobody sends: what is in them counts here.
    }
  }
  return true;
}

}  // namespace

Status Measure(std::string_view envelope, EnvelopeSize* size) {
  *size = {};
  Count(envelope, EnvelopeShape(), true, size);
  if (size->messages > static_cast<uint64_t>(limits::kEnvelopeMessages.value))
    return ResourceExhausted("more than {} messages are in it", limits::kEnvelopeMessages.value);
  if (size->values > static_cast<uint64_t>(limits::kEnvelopeValues.value))
    return ResourceExhausted("more than {} values are in it", limits::kEnvelopeValues.value);
  return absl::OkStatus();
}

bool Turns::Needed(const wire::Envelope& envelope) {
  return envelope.messages_size() > limits::kTurnMessages.value;
}

Turns::Turns(wire::Envelope envelope, Bodies bodies) : bodies_(std::move(bodies)) {
  messages_.Swap(envelope.mutable_messages());
  envelope_ = std::move(envelope);
}

bool Turns::Next(wire::Envelope* part, Bodies* bodies) {
  const int end =
      static_cast<int>(std::min<int64_t>(messages_.size(), next_ + limits::kTurnMessages.value));
  const bool more = end < messages_.size();
  *part = envelope_;
  bodies->clear();
  for (; next_ < end; ++next_) {
    wire::Message& message = messages_[next_];
    if (HasBody(message.kind_case()) && next_body_ < bodies_.size())
      bodies->push_back(std::move(bodies_[next_body_++]));
    part->add_messages()->Swap(&message);
  }
  // Bodies that belong to nothing are the receiver's to judge.
  while (!more && next_body_ < bodies_.size()) bodies->push_back(std::move(bodies_[next_body_++]));
  return more;
}

}  // namespace allot::transport
