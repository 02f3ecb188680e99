#include "common/config/bind.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/config/binder.h"

namespace allot::config {
namespace {

bool BeginsAsJson(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

// Without the byte order mark that editors of some systems begin every file with (RFC 8259 8.1 lets
// a reader pass over it).
std::string_view WithoutMark(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

// Fills `tree`; true if the text is JSON.
StatusOr<bool> ParseEither(std::string_view text, const std::string& name, Tree* tree) {
  if (name.ends_with(".json")) {
    RETURN_IF_ERROR(ParseJson(text, tree, name));
    return true;
  }
  Status json;
  if (BeginsAsJson(text)) {
    Tree trial;
    json = ParseJson(text, &trial, name);
    if (json.ok()) {
      *tree = std::move(trial);
      return true;
    }
  }
  const Status yaml = ParseYaml(text, name, tree);
  // `{"`: it was meant as JSON, so JSON's error is the one that helps.
  const size_t inside =
      json.ok() ? std::string_view::npos : text.find_first_not_of(" \t\r\n", text.find('{') + 1);
  const bool quoted = inside != std::string_view::npos && text[inside] == '"';
  if (!yaml.ok()) return quoted ? json : yaml;
  return false;
}

Status BindTextIn(std::string_view text, const std::string& file_name, const std::string& folder,
                  google::protobuf::Message* out, const WholeCheck& check) {
  out->Clear();
  text = WithoutMark(text);
  Tree tree;
  const std::string name = file_name.empty() ? "body" : file_name;
  ASSIGN_OR_RETURN(const bool json, ParseEither(text, name, &tree));
  const std::string before = name == "body" ? "" : name + ": ";
  RETURN_IF_ERROR(json ? Binder(tree, "", folder, before).Bind(out)
                       : Binder(tree, name, folder).Bind(out));
  if (check == nullptr) return absl::OkStatus();
  const Status whole = check();
  if (whole.ok()) return whole;
  out->Clear();
  const std::string message = MessageOf(whole);
  if (json) return InvalidArgument("{}{}", before, message);
  const Place at = PlaceOf(tree, std::string_view(message).substr(0, message.find_first_of(" :")));
  return InvalidArgument("{}:{}:{}: {}", name, at.line, at.column, message);
}

StatusOr<std::string> ReadFile(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return InvalidArgument("{}: is a folder; a file is wanted", path);
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT) return NotFound("{}: no such file", path);
    return PermissionDenied("{}: cannot be read: {}", path, std::strerror(errno));
  }
  // One byte more than is taken, so that a file without end is not read to it.
  std::string text(kDocumentBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (file.bad()) return Unavailable("{}: reading failed: {}", path, std::strerror(errno));
  if (text.size() > kDocumentBytesMax) {
    return InvalidArgument("{}: over {} bytes; a document may have no more", path,
                           kDocumentBytesMax);
  }
  return text;
}

}  // namespace

Status BindYaml(std::string_view text, const std::string& file_name, google::protobuf::Message* out,
                const WholeCheck& check) {
  return BindTextIn(text, file_name, "", out, check);
}

Status BindJson(std::string_view text, google::protobuf::Message* out) {
  out->Clear();
  Tree tree;
  RETURN_IF_ERROR(ParseJson(WithoutMark(text), &tree));
  return Binder(tree, "", "").Bind(out);
}

Status LoadYamlFile(const std::string& path, google::protobuf::Message* out,
                    const WholeCheck& check) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return Unavailable("{}: {}", path, error.message());
  return BindTextIn(text, path, absolute.parent_path().string(), out, check);
}

}  // namespace allot::config
