using System.Collections.Frozen;
using System.Threading.Channels;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Core.Data;

/// <summary>Something that holds a copy of rows in memory and reads them again when they change.</summary>
/// <param name="Topic">The payload with which writers notify.</param>
/// <param name="Refresh">Reads the rows anew; called once before the process is ready.</param>
public sealed record ChangeSubscription(string Topic, Func<CancellationToken, Task> Refresh);

/// <summary>
/// Tells every replica within a second that rows held in memory have changed: <c>NOTIFY</c> as the push, and a poll beneath it for
/// what a lost connection misses.
/// </summary>
public sealed partial class ChangeFeed(
    NpgsqlDataSource dataSource, IEnumerable<ChangeSubscription> subscriptions, TimeProvider time, ILogger<ChangeFeed> logger)
    : NotificationListener(dataSource, Channel, TimeSpan.FromMilliseconds(250), time)
{
    public const string Channel = "aiaspire_changes";

    private static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(5);

    private readonly FrozenDictionary<string, ChangeSubscription[]> _byTopic =
        subscriptions.GroupBy(s => s.Topic).ToFrozenDictionary(g => g.Key, g => g.ToArray());

    private readonly Channel<string> _topics = System.Threading.Channels.Channel.CreateUnbounded<string>();

    /// <summary>Loads every subscriber before the host is ready: no request meets an empty copy.</summary>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await RefreshAllAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    protected override void Hear(string payload) => _topics.Writer.TryWrite(payload);

    protected override Task CatchUpAsync(CancellationToken stoppingToken) => RefreshAllAsync(stoppingToken);

    protected override async Task StayAsync(NpgsqlConnection connection, CancellationToken stoppingToken)
    {
        while (true)
        {
            var notified = await connection.WaitAsync(PollInterval, stoppingToken);
            if (!notified)
                await RefreshAllAsync(stoppingToken);
            var changed = new HashSet<string>(StringComparer.Ordinal);
            while (_topics.Reader.TryRead(out var topic))
                changed.Add(topic);
            foreach (var topic in changed)
                await RefreshAsync(_byTopic.GetValueOrDefault(topic, []), stoppingToken);
        }
    }

    protected override void Lost(Exception exception) => LogLost(logger, exception);

    private Task RefreshAllAsync(CancellationToken cancellationToken)
        => RefreshAsync(_byTopic.Values.SelectMany(s => s), cancellationToken);

    private static async Task RefreshAsync(IEnumerable<ChangeSubscription> subscriptions, CancellationToken cancellationToken)
    {
        foreach (var subscription in subscriptions)
            await subscription.Refresh(cancellationToken);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The change feed lost its connection; polling resumes when it is back")]
    private static partial void LogLost(ILogger logger, Exception exception);
}

public static class ChangeFeedRegistration
{
    public static IServiceCollection AddChangeSubscription(
        this IServiceCollection services, string topic, Func<IServiceProvider, Func<CancellationToken, Task>> refresh)
    {
        services.AddHostedServiceOnce<ChangeFeed>();
        return services.AddSingleton(provider => new ChangeSubscription(topic, refresh(provider)));
    }

    private static void AddHostedServiceOnce<T>(this IServiceCollection services)
        where T : class, IHostedService
    {
        if (!services.Any(s => s.ImplementationType == typeof(T)))
            services.AddHostedService<T>();
    }

    /// <summary>Notifies all replicas when the surrounding transaction commits.</summary>
    public static Task NotifyChangedAsync(this AiAspireDb db, string topic, CancellationToken cancellationToken)
        => Microsoft.EntityFrameworkCore.RelationalDatabaseFacadeExtensions.ExecuteSqlAsync(
            db.Database, $"SELECT pg_notify({ChangeFeed.Channel}, {topic})", cancellationToken);
}
