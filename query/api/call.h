#pragma once
// One request on its way through a route: what every handler needs. Private to the room.

#include <memory>
#include <string>
#include <vector>

#include "query/api/api.h"
#include "query/api/params.h"
#include "query/logql/ast.h"

namespace skald::query::api {

class Ingest;
class TailHub;
struct RouteMetrics;

struct Call {
  Api::Impl& api;
  net::ServerRequest& http;
  Params params;
  std::shared_ptr<const ApiSettings> settings;
  std::string tenant;                 // the first, or the only one
  std::vector<std::string> tenants;   // several: results gain __tenant_id__
  std::vector<std::string> segments;  // what {} in the route matched, decoded
  std::int64_t now_ns = 0;

  const TenantLimits& limits() const { return settings->limits_of(tenant); }
};

// HTTP status of an error; one table for the whole API. `push`: a limit is 429, else 400.
int http_status(base::Code code, bool push = false) noexcept;
net::ServerResponse error_response(const base::Status& status, bool push = false);

// Handlers, by file.
net::ServerResponse query_range(Call& call);
net::ServerResponse query_instant(Call& call);
net::ServerResponse legacy_query(Call& call);
net::ServerResponse format_query(Call& call);
net::ServerResponse labels(Call& call);
net::ServerResponse label_values(Call& call);
net::ServerResponse series(Call& call);
net::ServerResponse index_stats(Call& call);
net::ServerResponse index_volume(Call& call);
net::ServerResponse index_volume_range(Call& call);
net::ServerResponse detected_labels(Call& call);
net::ServerResponse detected_fields(Call& call);
net::ServerResponse detected_field_values(Call& call);
net::ServerResponse drilldown_limits(Call& call);
net::ServerResponse patterns(Call& call);
net::ServerResponse tail(Call& call);
net::ServerResponse deletes(Call& call);
net::ServerResponse rules(Call& call);
net::ServerResponse push(Call& call);
net::ServerResponse push_legacy(Call& call);
net::ServerResponse push_otlp(Call& call);
net::ServerResponse marks(Call& call);
net::ServerResponse ready(Call& call);
net::ServerResponse metrics(Call& call);
net::ServerResponse buildinfo(Call& call);
net::ServerResponse config(Call& call);
net::ServerResponse services(Call& call);
net::ServerResponse log_level(Call& call);
net::ServerResponse flush(Call& call);
net::ServerResponse compact(Call& call);
net::ServerResponse backup(Call& call);
net::ServerResponse reload(Call& call);
net::ServerResponse status_page(Call& call);

}  // namespace skald::query::api
