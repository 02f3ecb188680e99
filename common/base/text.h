// What counts as text and as a name wherever something enters from outside.
#pragma once

#include <string>
#include <string_view>

namespace allot {

// Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsValidUtf8(std::string_view text);

// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD. For what we pass on
// but did not write (a process's last words): one bad byte must not cost a whole message.
std::string ReplaceInvalidUtf8(std::string_view text);

// Names of nodes, deployments, devices, policies: [a-z0-9]([a-z0-9.-]*[a-z0-9])?, at most 63
// characters, so that each is also a DNS label, a path component and a metric label.
bool IsName(std::string_view text);
inline constexpr std::string_view kNameHelp =
    "use a-z, 0-9, '-' and '.', start and end with a letter or digit, at most 63 characters";

// Names of jobs and tenants: [A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?, at most 63 characters, as
// Kubernetes' label values; they are never a part of a host's name. Capitals count: `ML` and `ml`
// are two tenants.
bool IsLabelValue(std::string_view text);
inline constexpr std::string_view kLabelValueHelp =
    "use letters, digits, '-', '_' and '.', start and end with a letter or digit, at most 63 "
    "characters";

}  // namespace allot
