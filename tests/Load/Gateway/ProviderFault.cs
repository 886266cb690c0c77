using System.Net.Http.Json;

namespace AiAspire.Load.Gateway;

/// <summary>One way in which a provider fails its callers, as the Simulator is told it.</summary>
/// <param name="Name">For the report.</param>
/// <param name="Outage">The whole company is down.</param>
/// <param name="Behaviour">Fields of the Simulator's behaviour.</param>
internal sealed record ProviderFault(string Name, bool Outage, params (string Field, object Value)[] Behaviour)
{
    private static readonly object Latency = new { kind = "uniform", minMs = 5, maxMs = 30 };

    // An odd number: with two companies in turn, each meets every fault.
    public static readonly IReadOnlyList<ProviderFault> All =
    [
        new("outage", true),
        new("cut within the stream", false, ("cutAfterChunks", 5), ("faultShare", 0.5)),
        new("usage of a million too much", false, ("usageOffset", 1_000_000)),
        new("storm of 429", false, ("errorRates", new Dictionary<string, double>(StringComparer.Ordinal) { ["429"] = 1 }), ("retryAfterSeconds", 1)),
        new("hang before the reply", false, ("hangAfterChunks", 0)),
        new("malformed chunk", false, ("malformedChunkAfter", 5), ("malformedJson", true), ("faultShare", 0.5)),
        new("usage of nothing", false, ("usageFactor", 0)),
        new("hang within the stream", false, ("hangAfterChunks", 5), ("faultShare", 0.5)),
        new("slow drip", false, ("tokensPerSecond", 12)),
        new("connection reset", false, ("resetAfterChunks", 5), ("faultShare", 0.5)),
        new("no usage", false, ("missingUsage", true)),
        new("errors 500", false, ("errorRates", new Dictionary<string, double>(StringComparer.Ordinal) { ["500"] = 0.5 })),
        new("error event within the stream", false, ("errorEventAfterChunks", 5), ("faultShare", 0.5)),
    ];

    /// <summary>A company in good health, at the pace of the run.</summary>
    public static Task CalmAsync(HttpClient company, CancellationToken cancellationToken) => new ProviderFault("none", false).PutAsync(company, cancellationToken);

    public async Task StartAsync(HttpClient company, CancellationToken cancellationToken)
    {
        if (!Outage)
        {
            await PutAsync(company, cancellationToken);
            return;
        }

        using var set = await company.PutAsJsonAsync("/control/outage", new { status = 503 }, cancellationToken);
        set.EnsureSuccessStatusCode();
    }

    public async Task EndAsync(HttpClient company, CancellationToken cancellationToken)
    {
        if (Outage)
            using (var ended = await company.DeleteAsync("/control/outage", cancellationToken))
                ended.EnsureSuccessStatusCode();
        await CalmAsync(company, cancellationToken);
    }

    private async Task PutAsync(HttpClient company, CancellationToken cancellationToken)
    {
        var behaviour = new Dictionary<string, object>(StringComparer.Ordinal) { ["latency"] = Latency, ["tokensPerSecond"] = 400 };
        foreach (var (field, value) in Behaviour)
            behaviour[field] = value;
        using var set = await company.PutAsJsonAsync("/control/behaviour", behaviour, cancellationToken);
        set.EnsureSuccessStatusCode();
    }
}
