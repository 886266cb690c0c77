using AiAspire.Core.Data;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Notifications;

/// <summary>A delivery in the hands of this process, until its lease ends.</summary>
/// <param name="Url">Of the webhook; null for mail, and when the webhook was removed meanwhile.</param>
/// <param name="Secret">Of the webhook, encrypted.</param>
public sealed record ClaimedDelivery(
    Guid TenantId, Guid DeliveryId, Guid NotificationId, string Channel, string Target, int Tries, Guid LeaseToken,
    string Topic, string Subject, string Text, string Data, DateTimeOffset CreatedAt, string? Url, byte[]? Secret);

/// <summary>What waits to be delivered, as <see cref="NotificationSender"/> needs it.</summary>
public interface INotificationQueue
{
    /// <summary>Up to so many deliveries that are due, for as long as the lease lasts.</summary>
    Task<IReadOnlyList<ClaimedDelivery>> ClaimAsync(int limit, CancellationToken cancellationToken);

    Task DeliveredAsync(ClaimedDelivery delivery, CancellationToken cancellationToken);

    Task DeadAsync(ClaimedDelivery delivery, string error, CancellationToken cancellationToken);

    Task RetryAsync(ClaimedDelivery delivery, TimeSpan after, string error, CancellationToken cancellationToken);
}

/// <summary>
/// The sending end of the outbox. At least once: a process that dies between sending and marking leaves a lease that ends, and the
/// delivery is made again with the same id, by which its receiver can tell.
/// </summary>
public sealed class NotificationQueue(TenantSessions sessions, IOptions<NotificationOptions> options, TimeProvider time) : INotificationQueue
{
    private const string ClaimSql =
        """
        SELECT tenant_id, delivery_id, notification_id, channel, target, tries, lease_token, topic, subject, text, data, created_at, url, secret
        FROM aiaspire.claim_notifications($1, $2, $3, $4)
        """;

    // Fenced: whoever lost the lease meanwhile changes nothing.
    private const string FinishSql =
        """
        UPDATE aiaspire.notification_deliveries SET state = $4, available_at = $5, last_error = $6, finished_at = $7, lease_token = NULL
        WHERE tenant_id = $1 AND delivery_id = $2 AND lease_token = $3 AND state = 'Pending'
        """;

    public async Task<IReadOnlyList<ClaimedDelivery>> ClaimAsync(int limit, CancellationToken cancellationToken)
    {
        var claimed = new List<ClaimedDelivery>();
        await sessions.CallFunctionAsync(
            ClaimSql,
            row => claimed.Add(new ClaimedDelivery(
                row.GetGuid(0), row.GetGuid(1), row.GetGuid(2), row.GetString(3), row.GetString(4), row.GetInt32(5), row.GetGuid(6),
                row.GetString(7), row.GetString(8), row.GetString(9), row.GetString(10), row.GetFieldValue<DateTimeOffset>(11),
                row.IsDBNull(12) ? null : row.GetString(12), row.IsDBNull(13) ? null : row.GetFieldValue<byte[]>(13))),
            cancellationToken,
            Parameter.Of(limit),
            Parameter.Of(options.Value.TenantConcurrency),
            Parameter.Of(options.Value.TargetConcurrency),
            Parameter.Of(TimeSpan.FromSeconds(options.Value.LeaseSeconds)));
        return claimed;
    }

    public Task DeliveredAsync(ClaimedDelivery delivery, CancellationToken cancellationToken)
        => FinishAsync(delivery, DeliveryState.Delivered, time.GetUtcNow(), null, cancellationToken);

    public Task DeadAsync(ClaimedDelivery delivery, string error, CancellationToken cancellationToken)
        => FinishAsync(delivery, DeliveryState.Dead, time.GetUtcNow(), error, cancellationToken);

    public Task RetryAsync(ClaimedDelivery delivery, TimeSpan after, string error, CancellationToken cancellationToken)
        => FinishAsync(delivery, DeliveryState.Pending, time.GetUtcNow() + after, error, cancellationToken);

    /// <summary>Deletes finished notifications past their days, for all tenants, in short transactions.</summary>
    public Task DeleteOldAsync(int keepDays, CancellationToken cancellationToken)
        => sessions.DeleteInStepsAsync("SELECT aiaspire.delete_old_notifications($1, $2)", atOnce: 1_000, cancellationToken, Parameter.Of(keepDays));

    private Task FinishAsync(ClaimedDelivery delivery, DeliveryState state, DateTimeOffset at, string? error, CancellationToken cancellationToken)
        => sessions.Open(new TenantScope(delivery.TenantId, null, DataReach.Service)).ExecuteAsync(
            new TenantBatch().Add(
                FinishSql,
                Parameter.Of(delivery.TenantId),
                Parameter.Of(delivery.DeliveryId),
                Parameter.Of(delivery.LeaseToken),
                Parameter.Of(state.ToString()),
                Parameter.Of(at.UtcDateTime),
                new NpgsqlParameter { Value = (object?)error ?? DBNull.Value, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Text },
                new NpgsqlParameter { Value = state == DeliveryState.Pending ? DBNull.Value : at.UtcDateTime, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.TimestampTz }),
            cancellationToken);
}
