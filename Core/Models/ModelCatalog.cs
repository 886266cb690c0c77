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

/// <summary>The models on offer: those of every provider that has a key.</summary>
public sealed class ModelCatalog
{
    private readonly Dictionary<string, ModelTarget> _models = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, ModelTarget[]> _routes = new(StringComparer.OrdinalIgnoreCase);

    public ModelCatalog(IOptions<CatalogOptions> options)
    {
        foreach (var (id, provider) in options.Value.Providers.Where(p => !string.IsNullOrEmpty(p.Value.ApiKey)))
        {
            foreach (var model in provider.Models)
                _models[model.Id] = new ModelTarget(id, provider, model);
        }

        foreach (var (id, target) in _models)
            _routes[id] = [target];
        foreach (var (alias, names) in options.Value.Aliases)
        {
            var targets = names.Where(_models.ContainsKey).Select(n => _models[n]).ToArray();
            if (targets.Length > 0)
                _routes[alias] = targets;
        }
    }

    /// <summary>Everything a caller may name, models and aliases, with the target that would serve it first.</summary>
    public IEnumerable<KeyValuePair<string, ModelTarget>> Offered => _routes.Select(r => KeyValuePair.Create(r.Key, r.Value[0]));

    public IEnumerable<ModelTarget> Targets => _models.Values;

    /// <summary>The targets of a model or alias, first choice first; empty when the name is unknown.</summary>
    public IReadOnlyList<ModelTarget> Route(string name) => _routes.TryGetValue(name, out var targets) ? targets : [];
}
