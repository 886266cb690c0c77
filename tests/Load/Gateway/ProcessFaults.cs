namespace AiAspire.Load.Gateway;

/// <summary>Knows when nothing but providers misbehaves. Faults come one after the other.</summary>
internal sealed class ProcessFaults(TimeProvider time)
{
    /// <summary>After a restart: connections are made anew, and counters are built.</summary>
    private static readonly TimeSpan Aftermath = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private int _begun;
    private bool _underWay;
    private long? _ended;

    /// <summary>Names a time without such faults: the same before and after a question, none came between. Null: there is one, or there was just now.</summary>
    public int? Calm
    {
        get
        {
            lock (_lock)
                return _underWay || (_ended is { } ended && time.GetElapsedTime(ended) < Aftermath) ? null : _begun;
        }
    }

    /// <summary>A process is killed or restarted; disposed when it is there again.</summary>
    public IDisposable Begin()
    {
        lock (_lock)
            (_begun, _underWay) = (_begun + 1, true);
        return new Fault(this);
    }

    private void End()
    {
        lock (_lock)
            (_ended, _underWay) = (time.GetTimestamp(), false);
    }

    private sealed class Fault(ProcessFaults faults) : IDisposable
    {
        public void Dispose() => faults.End();
    }
}
