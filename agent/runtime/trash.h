// Taking away folders that tasks have filled.
#pragma once

#include <string>

namespace allot::agent {

// Empties `trash`, a folder of ours, keeping it. What lies below may be anything: a million
// entries, ten thousand folders in each other, folders without permissions, mounts. No link is
// followed and no mount is entered (one of a folder elsewhere would be emptied instead): a mount is
// detached where we may. Needs three descriptors however deep it goes. What cannot be removed stays
// for the next time; a folder that somebody fills as fast as it is emptied is left after a while.
void EmptyTrash(const std::string& trash);

}  // namespace allot::agent
