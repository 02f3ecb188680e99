#include "client/verbs.h"

#include <algorithm>

#include "common/config/bind.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace allot::client {
namespace {

struct Translation {
  std::string_view words;  // with a space on each side
  std::string_view ours;   // what follows "here it is"
};

constexpr Translation kTranslations[] = {
    {" squeue qstat bjobs ps ls list queue job-list ", "`allot jobs`"},
    {" sbatch qsub bsub condor_submit create new ",
     "`allot submit job.yaml`, or `allot deploy FILE`"},
    {" srun run start train exec-job salloc ", "`allot submit --follow -- COMMAND`"},
    {" scancel qdel bkill kill stop abort ", "`allot cancel ID` for a job, `allot undeploy NAME`"},
    {" delete del rm remove ",
     "`allot cancel ID` for a job, `allot undeploy NAME` for a deployment"},
    {" sinfo bhosts pbsnodes hosts machines ", "`allot nodes`, `allot devices`"},
    {" gpus gpu gpustat nvidia-smi accelerators ", "`allot devices`"},
    {" sacct history ", "`allot jobs --all`"},
    {" scontrol ", "`allot job ID`, `allot drain NODE`, `allot policy apply FILE`"},
    {" sprio sdiag why describe events ", "`allot explain ID`, `allot doctor NODE`"},
    {" get ", "`allot jobs`, `allot nodes`, `allot devices`, `allot deployments`"},
    {" apply ", "`allot deploy FILE`, `allot policy apply FILE`"},
    {" serve rollout scale service svc expose ", "`allot deploy FILE --wait`"},
    {" log tail output attach ", "`allot logs -f ID`"},
    {" exec ssh shell sh bash ",
     "nothing: tasks are not entered; `allot logs -f ID` follows one, `allot submit -- COMMAND` "
     "starts "
     "another"},
    {" cordon ", "`allot drain NODE`"},
    {" uncordon ", "`allot undrain NODE`"},
    {" status info cluster-info stat ", "`allot top`, `allot doctor`, `allot local status`"},
    {" watch ", "`allot top --watch`; listings take --watch as well"},
    {" bench benchmark curl ", "`allot load --model NAME`"},
    {" up init ", "`allot local up` for a cluster on this machine"},
    {" down ", "`allot local down`"},
    {" login auth config context ", "--server and --token-file, or ALLOT_SERVER and ALLOT_TOKEN"},
    {" models ", "`allot deployments`; `allot catalogue` for device models"},
    {" sim ", "`allot simulate`"},
};

}  // namespace

std::string UnknownVerb(std::string_view word, const std::vector<std::string>& known) {
  std::string out = "allot: there is no command \"" + std::string(word) + "\"";
  const auto meant =
      std::find_if(std::begin(kTranslations), std::end(kTranslations), [&](const Translation& row) {
        return row.words.find(" " + std::string(word) + " ") != std::string_view::npos;
      });
  if (meant != std::end(kTranslations)) {
    out += "; here it is " + std::string(meant->ours);
  } else if (const std::string near = config::DidYouMean(word, known); !near.empty()) {
    out += "; did you mean `allot " + near + "`?";
  }
  return out + "\n  `allot --help` lists all commands, `allot COMMAND --help` shows one.";
}

std::string UnknownSubcommand(std::string_view group, std::string_view word,
                              const std::vector<std::string>& known) {
  std::string out = word.empty()
                        ? fmt::format("allot: `allot {}` takes a command", group)
                        : fmt::format("allot: `allot {}` has no command \"{}\"", group, word);
  if (const std::string near = config::DidYouMean(word, known); !word.empty() && !near.empty())
    out += fmt::format("; did you mean `allot {} {}`?", group, near);
  return out + fmt::format("\n  It has {}; `allot {} --help` tells what each does.",
                           fmt::join(known, ", "), group);
}

std::string UnknownFlag(std::string_view command, std::string_view flag,
                        const std::vector<std::string>& known) {
  const std::string_view name = flag.substr(0, flag.find('='));
  std::string out = fmt::format("allot: `{}` has no flag {}", command, name);
  if (const std::string near = config::DidYouMean(name, known); !near.empty())
    out += fmt::format("; did you mean {}?", near);
  return out + fmt::format("\n  `{} --help` lists what it has.", command);
}

std::string WordTooMany(std::string_view command, std::string_view word) {
  return fmt::format(
      "allot: `{0}` has no place for \"{1}\"\n  `{0} --help` shows how it is written.", command, word);
}

std::string JobId(std::string_view text) {
  const bool number =
      !text.empty() && text.size() <= 19 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return (number ? "job-" : "") + std::string(text);
}

}  // namespace allot::client
