using System.Collections.Frozen;
using AiAspire.Core.Models;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Routing;

/// <summary>A key in use, with what this process has seen of it.</summary>
internal sealed class KeyState(ProviderKey key, TimeProvider time)
{
    private long _refusedUntilTicks;
    private long _lastUsedTicks;

    public ProviderKey Key { get; } = key;

    /// <summary>The provider said 401, and not long ago.</summary>
    public bool IsRefused => Interlocked.Read(ref _refusedUntilTicks) > time.GetUtcNow().UtcTicks;

    public DateTimeOffset? LastUsed => Interlocked.Read(ref _lastUsedTicks) is > 0 and var ticks ? new DateTimeOffset(ticks, TimeSpan.Zero) : null;

    public void Use() => Interlocked.Exchange(ref _lastUsedTicks, time.GetUtcNow().UtcTicks);

    public void Refuse(TimeSpan duration) => Interlocked.Exchange(ref _refusedUntilTicks, (time.GetUtcNow() + duration).UtcTicks);
}

/// <summary>The keys in use, per provider: the configured one first, then those added by operators, as <see cref="Hold"/> last told.</summary>
public sealed partial class ProviderKeys
{
    private readonly ModelCatalog _catalog;
    private readonly RoutingOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger<ProviderKeys> _logger;
    private volatile FrozenDictionary<string, KeyState[]> _states;

    public ProviderKeys(ModelCatalog catalog, IOptions<RoutingOptions> options, TimeProvider time, ILogger<ProviderKeys> logger)
    {
        _catalog = catalog;
        _options = options.Value;
        _time = time;
        _logger = logger;
        _states = FrozenDictionary<string, KeyState[]>.Empty;
        Hold([]);
    }

    internal IEnumerable<KeyState> All => _states.Values.SelectMany(s => s);

    /// <summary>The same array until the keys change.</summary>
    internal KeyState[] Of(string provider) => _states.GetValueOrDefault(provider) ?? [];

    /// <summary>Replaces the added keys. What is known of a key that stays, stays.</summary>
    internal void Hold(IReadOnlyCollection<ProviderKey> added)
    {
        var known = All.ToDictionary(s => s.Key);
        var states = new Dictionary<string, KeyState[]>(StringComparer.OrdinalIgnoreCase);
        foreach (var (provider, settings) in _catalog.Providers)
        {
            var keys = added.Where(k => string.Equals(k.Provider, provider, StringComparison.OrdinalIgnoreCase)).ToList();
            if (!string.IsNullOrEmpty(settings.ApiKey))
                keys.Insert(0, new ProviderKey(null, provider, ProviderKey.ConfiguredName, settings.ApiKey));
            if (keys.Count == 0)
                continue;
            KeyState[] next = [.. keys.Select(k => known.GetValueOrDefault(k) ?? new KeyState(k, _time))];
            // The same array tells its readers that nothing changed.
            states[provider] = _states.TryGetValue(provider, out var old) && old.SequenceEqual(next) ? old : next;
        }

        _states = states.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);
        _catalog.Offer(added.Select(k => k.Provider).ToHashSet(StringComparer.OrdinalIgnoreCase));
    }

    /// <summary>The provider refused the key: others are used, and somebody has to look.</summary>
    internal void Refused(KeyState state)
    {
        if (!state.IsRefused)
            LogRefused(_logger, state.Key.Name, state.Key.Provider, _options.RefusedKeySeconds);
        state.Refuse(TimeSpan.FromSeconds(_options.RefusedKeySeconds));
    }

    [LoggerMessage(
        Level = LogLevel.Error,
        EventName = "provider.key_refused",
        Message = "ALARM: the key '{Key}' of provider '{Provider}' was refused (401) and is out of use for {Seconds} s; rotate it by POST /v1/admin/providers/{Provider}/keys")]
    private static partial void LogRefused(ILogger logger, string key, string provider, double seconds);
}
