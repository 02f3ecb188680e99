#include "common/transport/text_fields.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>
#include <unordered_map>

#include "common/base/text.h"

namespace allot::transport {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;
using ProtoMessage = google::protobuf::Message;

// Most messages of the request plane hold no text at all and are not looked at further.
bool MayHoldText(const Descriptor* type) {
  thread_local std::unordered_map<const Descriptor*, bool> known;
  if (const auto it = known.find(type); it != known.end()) return it->second;
  known[type] = false;  // for a type that contains itself
  bool holds = false;
  for (int i = 0; i < type->field_count() && !holds; ++i) {
    const FieldDescriptor* const field = type->field(i);
    holds = field->type() == FieldDescriptor::TYPE_STRING ||
            (field->message_type() != nullptr && MayHoldText(field->message_type()));
  }
  return known[type] = holds;
}

bool IsSound(const ProtoMessage& message) {
  if (!MayHoldText(message.GetDescriptor())) return true;
  const Reflection* const reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  std::string scratch;
  for (const FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->type() == FieldDescriptor::TYPE_STRING) {
        const std::string& text =
            field->is_repeated()
                ? reflection->GetRepeatedStringReference(message, field, i, &scratch)
                : reflection->GetStringReference(message, field, &scratch);
        if (!IsValidUtf8(text)) return false;
      } else if (field->message_type() != nullptr) {
        const ProtoMessage& part = field->is_repeated()
                                       ? reflection->GetRepeatedMessage(message, field, i)
                                       : reflection->GetMessage(message, field);
        if (!IsSound(part)) return false;
      }
    }
  }
  return true;
}

void Mend(ProtoMessage* message) {
  if (!MayHoldText(message->GetDescriptor())) return;
  const Reflection* const reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? reflection->FieldSize(*message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->type() == FieldDescriptor::TYPE_STRING) {
        const std::string text = field->is_repeated()
                                     ? reflection->GetRepeatedString(*message, field, i)
                                     : reflection->GetString(*message, field);
        if (IsValidUtf8(text)) continue;
        field->is_repeated()
            ? reflection->SetRepeatedString(message, field, i, ReplaceInvalidUtf8(text))
            : reflection->SetString(message, field, ReplaceInvalidUtf8(text));
      } else if (field->message_type() != nullptr) {
        Mend(field->is_repeated() ? reflection->MutableRepeatedMessage(message, field, i)
                                  : reflection->MutableMessage(message, field));
      }
    }
  }
}

uint32_t KindOf(std::string_view message) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(message.data()),
                                            static_cast<int>(message.size()));
  return in.ReadTag() >> 3;
}

}  // namespace

bool HasBody(uint32_t kind) {
  using wire::Message;
  return kind == Message::kForwardRequest || kind == Message::kRequestChunk ||
         kind == Message::kResponseHead || kind == Message::kResponseChunk;
}

bool TextIsSound(const wire::Envelope& envelope) {
  for (const wire::Message& message : envelope.messages())
    if (!IsSound(message)) return false;
  return true;
}

void MendText(wire::Envelope* envelope) {
  for (wire::Message& message : *envelope->mutable_messages()) Mend(&message);
}

bool SalvageEnvelope(std::string_view frame, wire::Envelope* envelope,
                     std::vector<std::string>* bodies, size_t* lost) {
  using google::protobuf::internal::WireFormatLite;
  envelope->Clear();
  *lost = 0;
  size_t body = 0;  // of the next message that has one
  // All but the messages, as it came: whatever an envelope says of itself, now or in a later build,
  // is read as it is read in one that is whole.
  std::string head;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(frame.data()),
                                            static_cast<int>(frame.size()));
  for (;;) {
    const auto begin = static_cast<size_t>(in.CurrentPosition());
    const uint32_t tag = in.ReadTag();
    if (tag == 0) break;
    if (tag != WireFormatLite::MakeTag(wire::Envelope::kMessagesFieldNumber,
                                       WireFormatLite::WIRETYPE_LENGTH_DELIMITED)) {
      if (!WireFormatLite::SkipField(&in, tag)) return false;
      head.append(frame.substr(begin, static_cast<size_t>(in.CurrentPosition()) - begin));
      continue;
    }
    uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return false;
    const auto at = static_cast<size_t>(in.CurrentPosition());
    if (size > frame.size() - at || !in.Skip(static_cast<int>(size))) return false;
    const std::string_view part = frame.substr(at, size);
    const bool has_body = HasBody(KindOf(part)) && body < bodies->size();
    if (envelope->add_messages()->ParseFromArray(part.data(), static_cast<int>(part.size()))) {
      if (has_body) ++body;
      continue;
    }
    envelope->mutable_messages()->RemoveLast();
    if (has_body) bodies->erase(bodies->begin() + static_cast<std::ptrdiff_t>(body));
    ++*lost;
  }
  return in.ConsumedEntireMessage() && envelope->MergeFromString(head);
}

}  // namespace allot::transport
