// `allot catalogue`: what is known of device models. It asks no scheduler; rows of the user's come
// from --file, as catalogue_files in an agent's config gives them.
#include "client/catalogue_view.h"
#include "client/commands/commands.h"
#include "client/text.h"

namespace allot::client {
namespace {

struct Wish {
  std::string glob;
  std::vector<std::string> files;
};

}  // namespace

void AddCatalogue(CLI::App& app, Session& session) {
  CLI::App* command = AddCommand(
      app, "catalogue", "Show what is known of device models, with sources",
      "  allot catalogue 'nvidia/*'\n"
      "  allot catalogue nvidia/h100-sxm-80g\n"
      "  allot catalogue --file my-devices.csv --json\n"
      "* marks an estimate; - is unknown. Rates are dense, in 1e12 operations a second.\n"
      "A price only starts a price book: the policy's decides.");
  auto wish = std::make_shared<Wish>();
  command->add_option("MODEL", wish->glob, "A model, or a pattern with * and ?");
  command
      ->add_option("--file", wish->files,
                   "CSV file whose rows replace and add to the built-in ones (repeatable)")
      ->type_name("FILE");
  AddJson(command, session);
  OnRun(command, session, [&session, wish]() -> StatusOr<int> {
    ASSIGN_OR_RETURN(const Catalogue catalogue, LoadCatalogue(wish->files));
    ASSIGN_OR_RETURN(const std::vector<CatalogueRow> rows, SelectRows(catalogue, wish->glob));
    if (session.json) {
      Print(CatalogueJson(rows));
    } else if (rows.size() == 1 && !wish->glob.empty()) {
      Print(CatalogueFacts(rows[0]));
    } else {
      Print(CatalogueTable(rows));
    }
    return 0;
  });
}

}  // namespace allot::client
