#include "query/api/api.h"

#include <algorithm>

#include "query/api/api_impl.h"
#include "query/api/tenant.h"

namespace skald::query::api {
namespace {

bool has_method(std::string_view methods, std::string_view method) {
  for (std::size_t at = methods.find(method); at != std::string_view::npos;
       at = methods.find(method, at + 1)) {
    const bool starts = at == 0 || methods[at - 1] == ' ';
    const std::size_t end = at + method.size();
    if (starts && (end == methods.size() || methods[end] == ' ')) return true;
  }
  return false;
}

net::ServerResponse dispatch(Api::Impl& impl, const Route& route,
                             const std::vector<std::string_view>& segments,
                             net::ServerRequest& request) {
  if (!has_method(route.methods, request.method)) {
    net::ServerResponse response = net::ServerResponse::text(405, "Method Not Allowed");
    response.headers.emplace_back("Allow", route.methods);
    return response;
  }
  Call call{impl, request, {}, impl.settings(), {}, {}, {}, impl.deps.clock->wall_ns()};
  if (route.tenant) {
    auto tenants = resolve_tenants(request, call.settings->auth_enabled, route.one_tenant);
    if (!tenants.ok()) return error_response(tenants.status());
    call.tenants = std::move(*tenants);
    call.tenant = call.tenants.front();
  }
  if (const base::Status status =
          impl.authenticator.check(call.settings->auth, request, route.scope, call.tenants);
      !status.ok())
    return error_response(status);
  for (const std::string_view segment : segments)
    call.segments.push_back(net::percent_decode(segment));
  if (route.scope != kPush || request.method == "GET") call.params = Params::from(request);
  return route.handler(call);
}

}  // namespace

void RouteMetrics::observe(std::int64_t elapsed_ns, int status) noexcept {
  const double seconds = static_cast<double>(elapsed_ns) / 1e9;
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  buckets[static_cast<std::size_t>(bound - kBounds.begin())].fetch_add(1,
                                                                       std::memory_order_relaxed);
  nanoseconds.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(elapsed_ns, 0)),
                        std::memory_order_relaxed);
  by_class[static_cast<std::size_t>(std::clamp(status / 100, 1, 5))].fetch_add(
      1, std::memory_order_relaxed);
}

Api::Impl::Impl(ApiDeps deps_in, std::shared_ptr<const ApiSettings> settings_in)
    : deps(std::move(deps_in)),
      started_ns(deps.clock->wall_ns()),
      ingest(*deps.store, *deps.clock),
      tails(*deps.clock),
      results(*deps.clock),
      settings_(std::move(settings_in)) {
  for (std::size_t i = 0; i < routes().size(); ++i)
    route_metrics.push_back(std::make_unique<RouteMetrics>());
  deps.store->set_append_listener([this](std::string_view tenant, const model::PushBatch& batch) {
    results.on_append(tenant, batch);
    shared_runs.on_change();
    tails.on_append(tenant, batch);
  });
  deps.store->set_delete_filter_factory(
      [this](const store::DeleteRequest& request) { return delete_filters.make(request); });
}
Api::Impl::~Impl() { deps.store->set_append_listener(nullptr); }

Api::Api(ApiDeps deps, std::shared_ptr<const ApiSettings> settings)
    : impl_(std::make_unique<Impl>(std::move(deps), std::move(settings))) {}
Api::~Api() = default;

net::ServerResponse Api::handle(net::ServerRequest& request) {
  std::vector<std::string_view> segments;
  const Route* route = find_route(request.path(), &segments);
  if (route == nullptr) return net::ServerResponse::text(404, "404 page not found\n");
  const std::int64_t start_ns = impl_->deps.clock->monotonic_ns();
  net::ServerResponse response = dispatch(*impl_, *route, segments, request);
  impl_->route_metrics[static_cast<std::size_t>(route - routes().data())]->observe(
      impl_->deps.clock->monotonic_ns() - start_ns, response.status);
  return response;
}

void Api::set_settings(std::shared_ptr<const ApiSettings> settings) {
  impl_->set_settings(std::move(settings));
}
std::shared_ptr<const ApiSettings> Api::settings() const { return impl_->settings(); }
void Api::set_ready(bool ready) { impl_->ready.store(ready); }
void Api::stop() {
  impl_->ready.store(false);
  impl_->tails.stop();
}

std::vector<net::Lane> Api::lanes(unsigned query_threads) {
  // Pushes mostly wait for the disk together: many of them make large group commits.
  return {{"small", 2, 512}, {"push", 16, 512}, {"query", query_threads, 512}};
}

std::size_t Api::lane_of(const net::ServerRequest& request) {
  const Route* route = find_route(request.path(), nullptr);
  return route == nullptr ? std::size_t{kSmallLane} : route->lane;
}

}  // namespace skald::query::api
