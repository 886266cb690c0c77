using Microsoft.Extensions.Options;

namespace AiAspire.Core.Models;

/// <summary>A model at one provider: what a route leads to.</summary>
/// <param name="Provider">The provider's name in configuration.</param>
/// <param name="Settings">The provider.</param>
/// <param name="Model">The model.</param>
public sealed record ModelTarget(string Provider, ProviderOptions Settings, ModelOptions Model)
{
    public string UpstreamModel => Model.UpstreamModel ?? Model.Id;

    /// <summary>Of an embedding model: what its vectors may be compared with.</summary>
    public string VectorSpace => new CatalogModel(Provider, Model).VectorSpace;
}

/// <summary>A model is on its way out.</summary>
/// <param name="Since">When it was, or will be, deprecated.</param>
/// <param name="Sunset">From when it is refused; null: that is not decided.</param>
/// <param name="Replacement">What to use instead.</param>
public sealed record ModelDeprecation(DateTimeOffset Since, DateTimeOffset? Sunset, string? Replacement)
{
    public static ModelDeprecation? Of(ModelOptions model) => model.DeprecatedAt is { } since ? new ModelDeprecation(since, model.SunsetAt, model.Replacement) : null;
}

/// <summary>
/// The models on offer: those of every provider that has a key, in configuration or added since. Configuration's models are overridden
/// and added to by the operators' entries. What changes is another set of offers: a call goes on with the one it began with.
/// </summary>
public sealed class ModelCatalog
{
    private readonly CatalogOptions _options;
    private readonly Lock _changing = new();
    private volatile Offers _offers;

    public ModelCatalog(IOptions<CatalogOptions> options)
    {
        _options = options.Value;
        _offers = new Offers(_options, CatalogModel.Of(_options), new HashSet<string>());
    }

    /// <summary>Every model, also those of providers without a key.</summary>
    public IReadOnlyList<CatalogModel> All => _offers.All;

    /// <summary>The model of this name, by its id or by another name of its own; null for an alias of several and for what is unknown.</summary>
    public ModelTarget? Model(string name) => _offers.Names.GetValueOrDefault(name);

    /// <summary>Everything a caller may name, models and aliases, with the target that would serve it first.</summary>
    public IEnumerable<KeyValuePair<string, ModelTarget>> Offered => _offers.Routes.Select(r => KeyValuePair.Create(r.Key, r.Value.Targets[0]));

    /// <summary>The same without what has had its sunset by then.</summary>
    public IEnumerable<KeyValuePair<string, ModelTarget>> OfferedAt(DateTimeOffset now)
    {
        foreach (var (name, route) in _offers.Routes)
        {
            if (route.Targets.FirstOrDefault(t => !(t.Model.SunsetAt <= now)) is { } target)
                yield return KeyValuePair.Create(name, target);
        }
    }

    /// <summary>Whether a model or alias has this name, offered or not.</summary>
    public bool Knows(string name)
        => _options.Aliases.ContainsKey(name)
            || All.Any(m => string.Equals(m.Model.Id, name, StringComparison.OrdinalIgnoreCase) || m.Model.Aliases.Contains(name, StringComparer.OrdinalIgnoreCase));

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
        lock (_changing)
        {
            if (!_offers.Extra.SetEquals(providersWithKeys))
                _offers = new Offers(_options, _offers.All, providersWithKeys);
        }
    }

    /// <summary>Takes in the operators' entries. What does not fit configuration any more is left out and returned; the rest serves.</summary>
    /// <param name="entries">The last version of each.</param>
    internal IReadOnlyList<CatalogFault> Hold(IReadOnlyCollection<CatalogEntry> entries)
    {
        lock (_changing)
        {
            var (models, faults) = Merge(entries.Where(e => !e.Removed));
            // The same models tell their readers that nothing changed.
            if (!models.SequenceEqual(_offers.All))
                _offers = new Offers(_options, models, _offers.Extra);
            return faults;
        }
    }

    /// <summary>What would be wrong if this were the models.</summary>
    internal List<CatalogFault> Check(IReadOnlyList<CatalogModel> models) => CatalogRules.Faults(_options, models);

    /// <summary>The models as they would be with these entries.</summary>
    internal List<CatalogModel> With(IEnumerable<CatalogEntry> entries)
    {
        var models = CatalogModel.Of(_options);
        foreach (var entry in entries)
        {
            models.RemoveAll(m => string.Equals(m.Model.Id, entry.ModelId, StringComparison.OrdinalIgnoreCase));
            models.Add(_offers.All.FirstOrDefault(m => m.Version == entry.Version && string.Equals(m.Model.Id, entry.ModelId, StringComparison.OrdinalIgnoreCase))
                ?? new CatalogModel(entry.Provider, entry.ToModel(), entry.Version));
        }

        return models;
    }

    private (List<CatalogModel> Models, IReadOnlyList<CatalogFault> Faults) Merge(IEnumerable<CatalogEntry> entries)
    {
        CatalogEntry[] all = [.. entries.OrderBy(e => e.ModelId, StringComparer.Ordinal)];
        var models = With(all);
        if (Check(models) is not { Count: > 0 } faults)
            return (models, []);
        // Configuration has changed since they were written. One by one, so that one which does not fit takes no other with it.
        var fitting = new List<CatalogEntry>();
        foreach (var entry in all)
        {
            fitting.Add(entry);
            if (Check(With(fitting)).Count > 0)
                fitting.Remove(entry);
        }

        return (With(fitting), faults);
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
        public Offers(CatalogOptions options, IReadOnlyList<CatalogModel> all, IReadOnlySet<string> extra)
        {
            All = all;
            Extra = extra;
            foreach (var (provider, model, _) in all)
            {
                if (options.Providers.TryGetValue(provider, out var settings) && (settings.HasKey || extra.Contains(provider)))
                    Models[model.Id] = new ModelTarget(provider, settings, model);
            }

            foreach (var (id, target) in Models)
            {
                var route = new ModelRoute([[new WeightedTarget(target, 1)]]);
                foreach (var name in target.Model.Aliases.Prepend(id))
                    (Routes[name], Names[name]) = (route, target);
            }

            AddRoutes(Routes, options.Aliases);
            foreach (var (feature, routes) in options.FeatureRoutes)
                AddRoutes(Features[feature] = new Dictionary<string, ModelRoute>(StringComparer.OrdinalIgnoreCase), routes);
        }

        public IReadOnlyList<CatalogModel> All { get; }

        public IReadOnlySet<string> Extra { get; }

        public Dictionary<string, ModelTarget> Models { get; } = new(StringComparer.OrdinalIgnoreCase);

        /// <summary>The models by their own names, aliases of one model included.</summary>
        public Dictionary<string, ModelTarget> Names { get; } = new(StringComparer.OrdinalIgnoreCase);

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
