// The words of the command line that are not ours: what was meant by them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace allot::client {

// What to say of a word that is no command: the commands near it, or what does here what the word
// does in Slurm, Kubernetes, LSF or a shell. Ends with where all commands are listed.
std::string UnknownVerb(std::string_view word, const std::vector<std::string>& known);

// What to say of `allot GROUP WORD` where WORD is none of the group's commands, or absent (empty):
// all that the group has, for they are few.
std::string UnknownSubcommand(std::string_view group, std::string_view word,
                              const std::vector<std::string>& known);

// What to say of a flag that `command` ("allot node add") does not have.
std::string UnknownFlag(std::string_view command, std::string_view flag,
                        const std::vector<std::string>& known);

// What to say of a word for which `command` ("allot version") has no place.
std::string WordTooMany(std::string_view command, std::string_view word);

// "17" is "job-17": there is one list of jobs, and their numbers are what people remember.
std::string JobId(std::string_view text);

}  // namespace allot::client
