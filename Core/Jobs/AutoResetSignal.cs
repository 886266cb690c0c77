namespace AiAspire.Core.Jobs;

/// <summary>An <see cref="AutoResetEvent"/> that can be awaited: set while nobody waits, it lets the next one through, once.</summary>
public sealed class AutoResetSignal : IDisposable
{
    private readonly SemaphoreSlim _set = new(0, 1);

    /// <summary>Returns when it is set, or after this time.</summary>
    public Task WaitAsync(TimeSpan atMost, CancellationToken cancellationToken) => _set.WaitAsync(atMost, cancellationToken);

    public void Set()
    {
        lock (_set)
        {
            if (_set.CurrentCount == 0)
                _set.Release();
        }
    }

    public void Dispose() => _set.Dispose();
}
