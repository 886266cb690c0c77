using System.Collections.Frozen;
using System.Text.Json;
using AiAspire.Simulator.Behaviours;

namespace AiAspire.Simulator.Control;

/// <summary>What the control API changed about the company as a whole.</summary>
internal sealed class CompanyState
{
    private volatile FrozenSet<string>? _keys;
    private volatile int _outage;

    /// <summary>The status that every route of the company answers with; 0: it works.</summary>
    public int Outage => _outage;

    public bool Accepts(string key) => _keys is not { } keys || keys.Contains(key);

    /// <summary>Back to taking every key and working.</summary>
    public void AcceptEveryKey() => _keys = null;

    public void EndOutage() => _outage = 0;

    /// <summary><c>{"accepted":["key-one","key-two"]}</c>: any other key is refused as a wrong one.</summary>
    public void ReadKeys(JsonElement json)
    {
        if (Only(json, "accepted") is not { ValueKind: JsonValueKind.Array } list || list.EnumerateArray().Any(k => k.ValueKind != JsonValueKind.String))
            throw new BehaviourException("accepted", "'accepted' must be an array of keys.");
        _keys = list.EnumerateArray().Select(k => k.GetString()!).ToFrozenSet(StringComparer.Ordinal);
    }

    /// <summary><c>{"status":503}</c>: the whole company is down, model list included.</summary>
    public void ReadOutage(JsonElement json)
    {
        if (Only(json, "status") is not { ValueKind: JsonValueKind.Number } number || !number.TryGetInt32(out var status) || status is < 400 or > 599)
            throw new BehaviourException("status", "'status' must be an HTTP status from 400 to 599.");
        _outage = status;
    }

    private static JsonElement? Only(JsonElement json, string field)
    {
        if (json.ValueKind != JsonValueKind.Object)
            throw new BehaviourException(field, $"The body is a JSON object with '{field}'.");
        foreach (var property in json.EnumerateObject())
            if (property.Name != field)
                throw new BehaviourException(property.Name, $"Unknown field '{property.Name}'.");
        return json.TryGetProperty(field, out var value) ? value : null;
    }
}
