// The catalogue as people and programs see it.
#pragma once

#include <string>
#include <vector>

#include "common/catalogue/catalogue.h"

namespace allot::client {

// The built-in rows, replaced and added to by those of the files, in their order.
StatusOr<Catalogue> LoadCatalogue(const std::vector<std::string>& files);

// Those whose model matches (* and ?); all for an empty glob. NotFound names near ones.
StatusOr<std::vector<CatalogueRow>> SelectRows(const Catalogue& catalogue, const std::string& glob);

std::string CatalogueTable(const std::vector<CatalogueRow>& rows);  // a line each, * on estimates
std::string CatalogueFacts(const CatalogueRow& row);                // one model, fact by fact
std::string CatalogueJson(const std::vector<CatalogueRow>& rows);

}  // namespace allot::client
