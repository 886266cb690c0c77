using System.Collections.Concurrent;
using AiAspire.Simulator.Models;

namespace AiAspire.Simulator.Behaviours;

/// <summary>The behaviour of every model: from configuration at start, from the control API afterwards.</summary>
internal sealed class BehaviourBook(Catalog catalog, IReadOnlyDictionary<string, Behaviour> configured, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, ModelState> _states = new(
        catalog.All.Select(m => KeyValuePair.Create(m.Id, new ModelState(m.Id, configured.GetValueOrDefault(m.Id, Behaviour.Perfect), time))),
        StringComparer.Ordinal);

    public ModelState Of(string model) => _states[model];

    public void Set(string model, Behaviour behaviour) => _states[model] = new ModelState(model, behaviour, time);

    /// <summary>Back to what the configuration says.</summary>
    public void Reset(string model) => Set(model, configured.GetValueOrDefault(model, Behaviour.Perfect));
}
