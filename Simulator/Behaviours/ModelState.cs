namespace AiAspire.Simulator.Behaviours;

/// <summary>A behaviour with its counters. Every random draw comes from the seed and the draw's number, never from a clock.</summary>
internal sealed class ModelState
{
    private readonly ulong _seed;
    private readonly (int Status, double UpTo)[] _errors;
    private readonly bool _hasFault;
    private long _draws;
    private int _errorsLeft;
    private int _faultsLeft;

    public ModelState(string model, Behaviour behaviour, TimeProvider time)
    {
        Behaviour = behaviour;
        _seed = StableHash.Of(model, (ulong)behaviour.Seed);
        _errorsLeft = behaviour.ErrorCount;
        _faultsLeft = behaviour.FaultCount ?? int.MaxValue;
        _hasFault = behaviour.MalformedJson
            || (behaviour.HangAfterChunks ?? behaviour.ResetAfterChunks ?? behaviour.CutAfterChunks
                ?? behaviour.MalformedChunkAfter ?? behaviour.ErrorEventAfterChunks) is not null;
        var sum = 0.0;
        _errors = [.. behaviour.ErrorRates.OrderBy(r => r.Key).Select(r => (r.Key, sum += r.Value))];
        if (behaviour.RequestsPerMinute is not null || behaviour.TokensPerMinute is not null) Limits = new RateLimits(behaviour, time);
    }

    public Behaviour Behaviour { get; }

    /// <summary>Null when the model has no limits.</summary>
    public RateLimits? Limits { get; }

    /// <summary>The status to fail the next request with, or 0.</summary>
    public int NextError()
    {
        if (Take(ref _errorsLeft)) return Behaviour.ErrorStatus;
        if (_errors.Length == 0) return 0;
        var draw = NextUnit();
        foreach (var (status, upTo) in _errors)
            if (draw < upTo)
                return status;
        return 0;
    }

    public TimeSpan NextLatency()
    {
        var latency = Behaviour.Latency;
        return latency == Latency.None ? TimeSpan.Zero : latency.Draw(NextUnit(), NextUnit());
    }

    /// <summary>Whether the next request meets the hang, reset, cut and malformation faults.</summary>
    public bool NextMeetsFaults()
        => _hasFault
            && (Behaviour.FaultShare >= 1 || NextUnit() < Behaviour.FaultShare)
            && (Behaviour.FaultCount is null || Take(ref _faultsLeft));

    private double NextUnit() => StableHash.Unit(StableHash.Combine(_seed, (ulong)Interlocked.Increment(ref _draws)));

    private static bool Take(ref int left)
    {
        // The plain read keeps the common case, nothing left, free of a write that all cores would fight for.
        while (Volatile.Read(ref left) is var seen && seen > 0)
            if (Interlocked.CompareExchange(ref left, seen - 1, seen) == seen)
                return true;
        return false;
    }
}
