namespace AiAspire.Core.Models;

/// <summary>A model of the catalog with its provider, whoever wrote it.</summary>
/// <param name="Provider">The provider's name in configuration.</param>
/// <param name="Model">The model.</param>
/// <param name="Version">The version of the operators' entry; null: it is configuration's.</param>
public sealed record CatalogModel(string Provider, ModelOptions Model, int? Version = null)
{
    /// <summary>
    /// As configuration alone has it. Of an id that several providers name, those with a key have it: the shipped entries of a company
    /// that nobody here has a key for stand in the way of no other server of the same model.
    /// </summary>
    public static List<CatalogModel> Of(CatalogOptions options)
    {
        var all = options.Providers.SelectMany(p => p.Value.Models.Select(m => new CatalogModel(p.Key, m))).ToList();
        var withKey = all.Where(m => options.Providers[m.Provider].HasKey).Select(m => m.Model.Id).ToHashSet(StringComparer.OrdinalIgnoreCase);
        all.RemoveAll(m => !options.Providers[m.Provider].HasKey && withKey.Contains(m.Model.Id));
        return all;
    }

    public string VectorSpace => Model.VectorSpace ?? $"{Provider}/{Model.UpstreamModel ?? Model.Id}";
}

/// <summary>What is wrong with a catalog.</summary>
/// <param name="Place">The model, or the route in configuration.</param>
/// <param name="Field">The field of the model at fault.</param>
/// <param name="Text">For people.</param>
internal sealed record CatalogFault(string Place, string Field, string Text);

/// <summary>What must hold between the models of a catalog, and between them and the routes of configuration.</summary>
internal static class CatalogRules
{
    /// <param name="options">Providers and routes.</param>
    /// <param name="models">The models in force.</param>
    public static List<CatalogFault> Faults(CatalogOptions options, IReadOnlyList<CatalogModel> models)
    {
        var faults = new List<CatalogFault>();
        var byId = new Dictionary<string, CatalogModel>(StringComparer.OrdinalIgnoreCase);
        foreach (var model in models)
            byId.TryAdd(model.Model.Id, model);
        var names = new HashSet<string>(byId.Keys.Concat(options.Aliases.Keys), StringComparer.OrdinalIgnoreCase);
        foreach (var model in models)
        {
            foreach (var alias in model.Model.Aliases.Where(a => string.IsNullOrWhiteSpace(a) || !names.Add(a)))
                faults.Add(new CatalogFault($"Model {model.Model.Id}", "aliases", $"the alias '{alias}' is empty, or the name of something else."));
        }

        foreach (var model in models)
            CheckModel(options, model, names, faults);
        foreach (var (alias, entries) in options.Aliases)
            CheckRoute($"Aliases:{alias}", entries, replaced: null, byId, faults);
        foreach (var (feature, routes) in options.FeatureRoutes)
        {
            foreach (var (replaced, entries) in routes)
                CheckRoute($"FeatureRoutes:{feature}:{replaced}", entries, byId.GetValueOrDefault(FirstModel(options, replaced)), byId, faults);
        }

        return faults;
    }

    private static void CheckModel(CatalogOptions options, CatalogModel catalogModel, HashSet<string> names, List<CatalogFault> faults)
    {
        var model = catalogModel.Model;
        var place = $"Model {model.Id}";
        if (!options.Providers.ContainsKey(catalogModel.Provider))
            faults.Add(new CatalogFault(place, "provider", $"there is no provider '{catalogModel.Provider}'; GET /v1/admin/providers lists them."));
        foreach (var capability in (model.Capabilities ?? []).Except(ModelCapabilities.All))
            faults.Add(new CatalogFault(place, "capabilities", $"'{capability}' is no capability; known: {string.Join(", ", ModelCapabilities.All)}."));
        if (model.VectorSpace is not null && model.Kind != ModelKind.Embedding)
            faults.Add(new CatalogFault(place, "vector_space", "only an embedding model has a vector space."));
        if (model.SunsetAt is not null && !(model.DeprecatedAt <= model.SunsetAt))
            faults.Add(new CatalogFault(place, "sunset_at", "a sunset needs a deprecation that is not after it: say when callers are told (deprecated_at)."));
        if (model.Replacement is { } other && (!names.Contains(other) || string.Equals(other, model.Id, StringComparison.OrdinalIgnoreCase)))
            faults.Add(new CatalogFault(place, "replacement", $"the replacement '{other}' must be another model or alias of the catalog."));
    }

    /// <summary>Vectors of different spaces cannot be compared: an answer of the other model would spoil what the caller keeps, without anybody's noticing.</summary>
    private static void CheckRoute(string path, string[] entries, CatalogModel? replaced, Dictionary<string, CatalogModel> byId, List<CatalogFault> faults)
    {
        var models = new List<CatalogModel>();
        foreach (var (id, _) in entries.SelectMany(e => RouteGroup.Parse(e, out _)))
        {
            if (byId.TryGetValue(id, out var model))
                models.Add(model);
        }

        CatalogModel[] embedding = [.. models.Append(replaced).OfType<CatalogModel>().Where(m => m.Model.Kind == ModelKind.Embedding)];
        if (embedding.DistinctBy(m => m.VectorSpace, StringComparer.Ordinal).Count() > 1)
        {
            faults.Add(new CatalogFault(
                path,
                "vector_space",
                $"would mix the vector spaces {string.Join(", ", embedding.Select(m => $"'{m.VectorSpace}' ({m.Model.Id})"))}. Name models of one space only; if they are the same model, say so by an equal VectorSpace."));
        }
    }

    private static string FirstModel(CatalogOptions options, string name)
        => options.Aliases.TryGetValue(name, out var entries)
            ? entries.SelectMany(e => RouteGroup.Parse(e, out _)).Select(m => m.Model).FirstOrDefault() ?? name
            : name;
}
