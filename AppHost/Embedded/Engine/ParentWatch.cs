namespace Aspire.Hosting.Embedded;

/// <summary>
/// <c>dotnet run</c> waits beside us as our parent. When it is killed nobody is left whom a Ctrl-C would reach, so we stop too.
/// </summary>
internal sealed class ParentWatch : IDisposable
{
    private readonly ITimer? _timer;

    public ParentWatch(TimeProvider time, Action gone)
    {
        var parent = Unix.ParentPid;
        if (Unix.CommandLineOf(parent) is { } command && command.Contains("dotnet", StringComparison.Ordinal) && command.Contains(" run", StringComparison.Ordinal))
            _timer = time.CreateTimer(
                _ =>
                {
                    if (Unix.ParentPid != parent)
                        gone();
                }, null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
    }

    public void Dispose() => _timer?.Dispose();
}
