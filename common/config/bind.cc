#include "common/config/bind.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/config/binder.h"

namespace allot::config {
namespace {

Status BindYamlIn(std::string_view text, const std::string& file_name, const std::string& folder,
                  google::protobuf::Message* out, const WholeCheck& check) {
  out->Clear();
  Tree tree;
  const std::string name = file_name.empty() ? "body" : file_name;
  RETURN_IF_ERROR(ParseYaml(text, name, &tree));
  RETURN_IF_ERROR(Binder(tree, name, folder).Bind(out));
  if (check == nullptr) return absl::OkStatus();
  const Status whole = check();
  if (whole.ok()) return whole;
  out->Clear();
  const std::string message = MessageOf(whole);
  const Place at = PlaceOf(tree, std::string_view(message).substr(0, message.find_first_of(" :")));
  return InvalidArgument("{}:{}:{}: {}", name, at.line, at.column, message);
}

StatusOr<std::string> ReadFile(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return InvalidArgument("{}: is a folder; a YAML file is wanted", path);
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
  return BindYamlIn(text, file_name, "", out, check);
}

Status BindJson(std::string_view text, google::protobuf::Message* out) {
  out->Clear();
  Tree tree;
  RETURN_IF_ERROR(ParseJson(text, &tree));
  return Binder(tree, "", "").Bind(out);
}

Status LoadYamlFile(const std::string& path, google::protobuf::Message* out,
                    const WholeCheck& check) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return Unavailable("{}: {}", path, error.message());
  return BindYamlIn(text, path, absolute.parent_path().string(), out, check);
}

}  // namespace allot::config
