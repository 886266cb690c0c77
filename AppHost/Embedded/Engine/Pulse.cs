namespace Aspire.Hosting.Embedded;

/// <summary>Wakes everybody who waits for a state to change.</summary>
internal sealed class Pulse
{
    private TaskCompletionSource _next = New();

    public void Beat() => Interlocked.Exchange(ref _next, New()).SetResult();

    /// <summary>Returns when the condition holds. It is looked at now and after every beat.</summary>
    public async Task UntilAsync(Func<bool> condition, CancellationToken cancellationToken)
    {
        while (true)
        {
            // Taken before looking, so that a beat in between is not missed.
            var next = Volatile.Read(ref _next).Task;
            if (condition())
                return;
            await next.WaitAsync(cancellationToken);
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
