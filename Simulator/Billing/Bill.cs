using Microsoft.Extensions.Options;

namespace AiAspire.Simulator.Billing;

/// <summary>What to read from the bill; null fields match everything.</summary>
internal sealed record BillQuery(string? Key, string? Model, string? ClientRequestId, DateTimeOffset? Since, int Limit);

/// <summary>The newest lines, in the order they were closed.</summary>
internal sealed class Bill(IOptions<SimulatorOptions> options)
{
    private readonly Lock _gate = new();
    private readonly RingBuffer<BillLine> _lines = new(options.Value.BillCapacity);

    public void Add(BillLine line)
    {
        lock (_gate) _lines.Add(line);
    }

    public void Clear()
    {
        lock (_gate) _lines.Clear();
    }

    public BillAnswer Read(BillQuery query)
    {
        BillLine[] lines;
        long dropped;
        lock (_gate) (lines, dropped) = (_lines.ToArray(), _lines.Dropped);

        var totals = new Dictionary<string, BillTotal>(StringComparer.Ordinal);
        var matching = new List<BillLine>();
        foreach (var line in lines)
        {
            if (!Matches(line, query)) continue;
            matching.Add(line);
            var model = line.Model ?? BillAnswer.NoModel;
            if (!totals.TryGetValue(model, out var total)) totals[model] = total = new BillTotal();
            total.Add(line);
        }

        return new BillAnswer([.. matching.TakeLast(query.Limit)], matching.Count, dropped, totals);
    }

    private static bool Matches(BillLine line, BillQuery query)
        => (query.Key is null || line.Key == query.Key)
            && (query.Model is null || line.Model == query.Model)
            && (query.ClientRequestId is null || line.ClientRequestId == query.ClientRequestId)
            && (query.Since is null || line.StartedAt >= query.Since);
}
