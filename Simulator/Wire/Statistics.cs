using System.Collections.Concurrent;
using AiAspire.Simulator.Billing;

namespace AiAspire.Simulator.Wire;

/// <summary>Counters of one model since the process started.</summary>
internal sealed class ModelStatistics
{
    private readonly ConcurrentDictionary<string, long> _faults = new(StringComparer.Ordinal);
    private long _requests;
    private long _active;
    private long _completed;
    private long _aborted;

    public long Requests => Interlocked.Read(ref _requests);

    public long Active => Interlocked.Read(ref _active);

    public long Completed => Interlocked.Read(ref _completed);

    public long Aborted => Interlocked.Read(ref _aborted);

    /// <summary>By name: <c>error_429</c>, <c>rate_limit</c>, <c>refused</c>, <c>hang</c>, <c>reset</c>, <c>cut</c>, …</summary>
    public IReadOnlyDictionary<string, long> Faults => _faults;

    public void Begin()
    {
        Interlocked.Increment(ref _requests);
        Interlocked.Increment(ref _active);
    }

    public void End(BillStatus status, string? fault)
    {
        Interlocked.Decrement(ref _active);
        if (status == BillStatus.Completed) Interlocked.Increment(ref _completed);
        if (status == BillStatus.Aborted) Interlocked.Increment(ref _aborted);
        if (fault is not null) _faults.AddOrUpdate(fault, 1, (_, count) => count + 1);
    }
}

internal sealed class Statistics
{
    private readonly ConcurrentDictionary<string, ModelStatistics> _models = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, ModelStatistics> Models => _models;

    public ModelStatistics Of(string model) => _models.GetOrAdd(model, _ => new ModelStatistics());

    /// <summary>For a request that ended before it named one of our models.</summary>
    public ModelStatistics Nameless()
    {
        var none = Of(BillAnswer.NoModel);
        none.Begin();
        return none;
    }
}
