using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Notifications;

/// <summary>How a try went.</summary>
/// <param name="Error">Null: delivered.</param>
/// <param name="Final">Trying again is pointless.</param>
/// <param name="RetryAfter">What the receiver asked for.</param>
public readonly record struct DeliveryResult(string? Error, bool Final = false, TimeSpan? RetryAfter = null)
{
    public static DeliveryResult Delivered => default;

    public static DeliveryResult Retry(string error, TimeSpan? after = null) => new(error, Final: false, after);

    public static DeliveryResult Refused(string error) => new(error, Final: true);
}

/// <summary>A way to reach a recipient. Faults of the way are results; only cancellation is thrown.</summary>
public interface INotificationChannel
{
    string Name { get; }

    Task<DeliveryResult> DeliverAsync(ClaimedDelivery delivery, CancellationToken cancellationToken);
}

/// <summary>Delivers what is due, with retries and backoff.</summary>
public sealed partial class NotificationSender
{
    public const string MeterName = "AiAspire.Notifications";
    private const int MaxErrorLength = 500;

    private readonly INotificationQueue _queue;
    private readonly Dictionary<string, INotificationChannel> _channels;
    private readonly NotificationOptions _options;
    private readonly Random _random;
    private readonly ILogger<NotificationSender> _logger;
    private readonly Counter<long> _deliveries;

    public NotificationSender(
        INotificationQueue queue, IEnumerable<INotificationChannel> channels, IOptions<NotificationOptions> options, IMeterFactory meters, Random random, ILogger<NotificationSender> logger)
    {
        _queue = queue;
        _channels = channels.ToDictionary(c => c.Name, StringComparer.Ordinal);
        _options = options.Value;
        _random = random;
        _logger = logger;
        _deliveries = meters.Create(MeterName).CreateCounter<long>(
            "notifications.deliveries_total", "{delivery}", "Tries to tell one recipient, by channel and outcome (delivered, retried, dead).");
    }

    /// <summary>Takes up to so many of what is due, to be delivered at once.</summary>
    public Task<IReadOnlyList<ClaimedDelivery>> ClaimAsync(int limit, CancellationToken cancellationToken) => _queue.ClaimAsync(limit, cancellationToken);

    /// <summary>Tries a delivery and writes down how it went.</summary>
    public async Task DeliverAsync(ClaimedDelivery delivery, CancellationToken cancellationToken)
    {
        var result = _channels.TryGetValue(delivery.Channel, out var channel)
            ? await TryAsync(channel, delivery, cancellationToken)
            : DeliveryResult.Refused($"There is no channel '{delivery.Channel}'.");
        if (result.Error is not { } error)
        {
            await _queue.DeliveredAsync(delivery, cancellationToken);
            Count("delivered");
            return;
        }

        error = error.Length > MaxErrorLength ? error[..MaxErrorLength] : error;
        if (result.Final || delivery.Tries >= _options.MaxTries)
        {
            await _queue.DeadAsync(delivery, error, cancellationToken);
            Count("dead");
            LogDead(_logger, delivery.DeliveryId, delivery.Topic, delivery.TenantId, delivery.Channel, delivery.Tries, error);
        }
        else
        {
            await _queue.RetryAsync(delivery, Backoff(delivery.Tries, result.RetryAfter), error, cancellationToken);
            Count("retried");
            LogRetry(_logger, delivery.DeliveryId, delivery.Topic, delivery.TenantId, delivery.Channel, delivery.Tries, error);
        }

        void Count(string outcome) => _deliveries.Add(1, new TagList { { "channel", delivery.Channel }, { "outcome", outcome } });
    }

    /// <summary>
    /// A channel that throws has failed like one that says so: no fault of one delivery may reach the others, nor the process, and what
    /// fails each time (a key that never opens) has its tries and is given up.
    /// </summary>
    private async Task<DeliveryResult> TryAsync(INotificationChannel channel, ClaimedDelivery delivery, CancellationToken cancellationToken)
    {
        try
        {
            return await channel.DeliverAsync(delivery, cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            LogFault(_logger, delivery.DeliveryId, delivery.Channel, e);
            return DeliveryResult.Retry($"{e.GetType().Name}: {e.Message}");
        }
    }

    /// <param name="tries">Tries made so far, from 1.</param>
    /// <param name="asked">What the receiver asked for; honoured up to the longest wait.</param>
    internal TimeSpan Backoff(int tries, TimeSpan? asked)
    {
        var seconds = Math.Min(_options.FirstRetrySeconds * Math.Pow(4, tries - 1), _options.MaxRetrySeconds);
        seconds *= 1 - (0.2 * _random.NextDouble());
        return TimeSpan.FromSeconds(Math.Min(Math.Max(seconds, asked?.TotalSeconds ?? 0), _options.MaxRetrySeconds));
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Gave up delivery {Delivery} ({Topic}, tenant {Tenant}) by {Channel} after {Tries} tries: {Error}")]
    private static partial void LogDead(ILogger logger, Guid delivery, string topic, Guid tenant, string channel, int tries, string error);

    [LoggerMessage(Level = LogLevel.Error, Message = "Delivery {Delivery} by {Channel} could not be tried")]
    private static partial void LogFault(ILogger logger, Guid delivery, string channel, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Delivery {Delivery} ({Topic}, tenant {Tenant}) by {Channel} failed at try {Tries}: {Error}")]
    private static partial void LogRetry(ILogger logger, Guid delivery, string topic, Guid tenant, string channel, int tries, string error);
}
