using Microsoft.Extensions.Options;

namespace AiAspire.Core.Models;

/// <summary>A model at one provider: what a route leads to.</summary>
/// <param name="Provider">The provider's name in configuration.</param>
/// <param name="Settings">The provider.</param>
/// <param name="Model">The model.</param>
public sealed record ModelTarget(string Provider, ProviderOptions Settings, ModelOptions Model)
{
    public string UpstreamModel => Model.UpstreamModel ?? Model.Id;
}

/// <summary>The models on offer: those of every provider that has a key, in configuration or added since.</summary>
public sealed class ModelCatalog
{
    private readonly CatalogOptions _options;
    private volatile Offers _offers;

    public ModelCatalog(IOptions<CatalogOptions> options)
    {
        _options = options.Value;
        _offers = new Offers(_options, new HashSet<string>());
    }

    /// <summary>Everything a caller may name, models and aliases, with the target that would serve it first.</summary>
    public IEnumerable<KeyValuePair<string, ModelTarget>> Offered => _offers.Routes.Select(r => KeyValuePair.Create(r.Key, r.Value.Targets[0]));

    public IEnumerable<ModelTarget> Targets => _offers.Models.Values;

    /// <summary>All providers, also those without a key.</summary>
    public IReadOnlyDictionary<string, ProviderOptions> Providers => _options.Providers;

    /// <summary>The targets of a model or alias, first choice first; empty when the name is unknown.</summary>
    public IReadOnlyList<ModelTarget> Route(string name) => Find(name, feature: "")?.Targets ?? [];

    /// <summary>The route of a model or alias for a feature's calls; null when the name is unknown.</summary>
    public ModelRoute? Find(string name, string feature)
    {
        var offers = _offers;
        return offers.Features.TryGetValue(feature, out var routes) && routes.TryGetValue(name, out var special) ? special
            : offers.Routes.GetValueOrDefault(name);
    }

    /// <summary>Takes in which providers have a key besides the configured ones.</summary>
    public void Offer(IReadOnlySet<string> providersWithKeys)
    {
        if (!_offers.Extra.SetEquals(providersWithKeys))
            _offers = new Offers(_options, providersWithKeys);
    }

    /// <summary>
    /// The routes that were given more than one model but lead to one company alone, as <c>Aliases:…</c> or <c>FeatureRoutes:…</c>:
    /// when that company is down, they are.
    /// </summary>
    public IEnumerable<string> RoutesOfOneCompany()
    {
        var offers = _offers;
        return _options.Aliases.Select(a => (Path: $"Aliases:{a.Key}", Entries: a.Value, Route: offers.Routes.GetValueOrDefault(a.Key)))
            .Concat(_options.FeatureRoutes.SelectMany(f => f.Value.Select(r => (
                Path: $"FeatureRoutes:{f.Key}:{r.Key}", Entries: r.Value, Route: offers.Features.GetValueOrDefault(f.Key)?.GetValueOrDefault(r.Key)))))
            .Where(r => r.Route is not null && (r.Entries.Length > 1 || r.Entries[0].Contains(',', StringComparison.Ordinal)))
            .Where(r => r.Route!.Targets.Select(t => t.Settings.Company).Distinct(StringComparer.OrdinalIgnoreCase).Count() < 2)
            .Select(r => r.Path);
    }

    private sealed class Offers
    {
        public Offers(CatalogOptions options, IReadOnlySet<string> extra)
        {
            Extra = extra;
            foreach (var (id, provider) in options.Providers.Where(p => !string.IsNullOrEmpty(p.Value.ApiKey) || extra.Contains(p.Key)))
            {
                foreach (var model in provider.Models)
                    Models[model.Id] = new ModelTarget(id, provider, model);
            }

            foreach (var (id, target) in Models)
                Routes[id] = new ModelRoute([[new WeightedTarget(target, 1)]]);
            AddRoutes(Routes, options.Aliases);
            foreach (var (feature, routes) in options.FeatureRoutes)
                AddRoutes(Features[feature] = new Dictionary<string, ModelRoute>(StringComparer.OrdinalIgnoreCase), routes);
        }

        public IReadOnlySet<string> Extra { get; }

        public Dictionary<string, ModelTarget> Models { get; } = new(StringComparer.OrdinalIgnoreCase);

        public Dictionary<string, ModelRoute> Routes { get; } = new(StringComparer.OrdinalIgnoreCase);

        public Dictionary<string, Dictionary<string, ModelRoute>> Features { get; } = new(StringComparer.OrdinalIgnoreCase);

        private void AddRoutes(Dictionary<string, ModelRoute> routes, Dictionary<string, string[]> configured)
        {
            foreach (var (name, entries) in configured)
            {
                WeightedTarget[][] groups =
                [
                    .. entries
                        .Select(e => RouteGroup.Parse(e, out _).Where(t => Models.ContainsKey(t.Model)).Select(t => new WeightedTarget(Models[t.Model], t.Weight)).ToArray())
                        .Where(g => g.Length > 0),
                ];
                if (groups.Length > 0)
                    routes[name] = new ModelRoute(groups);
            }
        }
    }
}
