using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Microsoft.Extensions.Hosting;
using StackExchange.Redis.Profiling;

namespace AiAspire.ServiceDefaults.Redis;

/// <summary>
/// Turns the commands that StackExchange.Redis profiles into client spans with the attributes of OpenTelemetry's database
/// conventions (semantic conventions 1.41, Redis). Commands outside any recorded activity are not traced: they would
/// be roots without a story.
/// </summary>
internal sealed class RedisTracing : IDisposable
{
    public const string SourceName = "AiAspire.Redis";

    private readonly ActivitySource _source = new(SourceName);
    private readonly ConcurrentDictionary<ActivitySpanId, (Activity Parent, ProfilingSession Session)> _sessions = new();

    /// <summary>Called by the client for each command: where to record it, or null for nowhere.</summary>
    public ProfilingSession? CurrentSession() =>
        Activity.Current is { IsAllDataRequested: true } parent && _source.HasListeners()
            ? _sessions.GetOrAdd(parent.SpanId, static (_, parent) => (parent, new ProfilingSession()), parent).Session
            : null;

    /// <summary>Emits the commands that have completed since the last call.</summary>
    public void Drain()
    {
        foreach (var (id, (parent, session)) in _sessions)
        {
            var any = false;
            foreach (var command in session.FinishProfiling())
            {
                any = true;
                Emit(command, parent.Context);
            }

            // Commands can outlive the activity that sent them: a stopped parent goes only after an empty round.
            if (!any && parent.IsStopped)
                _sessions.TryRemove(id, out _);
        }
    }

    private void Emit(IProfiledCommand command, ActivityContext parent)
    {
        using var activity = _source.StartActivity(
            ActivityKind.Client, parent, startTime: new DateTimeOffset(command.CommandCreated), name: command.Command);
        if (activity is null)
            return;

        activity.SetTag("db.system.name", "redis");
        activity.SetTag("db.operation.name", command.Command);
        activity.SetTag("db.namespace", command.Db.ToString(CultureInfo.InvariantCulture));
        switch (command.EndPoint)
        {
            case IPEndPoint ip:
                activity.SetTag("server.address", ip.Address.ToString());
                activity.SetTag("server.port", ip.Port);
                break;
            case DnsEndPoint dns:
                activity.SetTag("server.address", dns.Host);
                activity.SetTag("server.port", dns.Port);
                break;
            case { } other:
                activity.SetTag("server.address", other.ToString());
                break;
        }

        activity.SetEndTime(command.CommandCreated + command.ElapsedTime);
    }

    public void Dispose() => _source.Dispose();
}

/// <summary>Drains <see cref="RedisTracing"/> once a second and a last time at shutdown.</summary>
internal sealed class RedisTraceDrain(RedisTracing tracing, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
                tracing.Drain();
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            tracing.Drain();
        }
    }
}
