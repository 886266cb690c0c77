using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace AiAspire.Core.Notifications;

/// <summary>Where notifications are put to be delivered. They are part of the caller's transaction: told if it commits, and only then.</summary>
public sealed partial class NotificationOutbox(TimeProvider time, ILogger<NotificationOutbox> logger)
{
    public const string Mail = "mail";
    public const string Webhook = "webhook";

    /// <summary>Puts a notification out for the recipients of the session's tenant; for operators, in the platform's scope.</summary>
    /// <param name="db">Of a session with the reach <see cref="DataReach.Service"/> or <see cref="DataReach.TenantAdmin"/>.</param>
    /// <param name="draft">What is told.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <returns>False when this event was put out before; nothing is sent again.</returns>
    public async Task<bool> SendAsync(AiAspireDb db, NotificationDraft draft, CancellationToken cancellationToken)
    {
        var (tenantId, id, now) = (db.TenantId, time.NewId(), time.GetUtcNow());
        if (draft.Page && tenantId != TenantScope.PlatformTenantId)
            throw new InvalidOperationException("Only the platform has someone on call.");
        var data = draft.Data?.ToJsonString() ?? "{}";
        // The unique key decides: of any number of senders one inserts, the others wait for its commit and then find the row.
        var inserted = await db.Database.ExecuteSqlAsync(
            $"""
            INSERT INTO aiaspire.notifications (tenant_id, notification_id, dedup_key, topic, subject, text, data, created_at)
            VALUES ({tenantId}, {id}, {draft.DedupKey}, {draft.Topic}, {draft.Subject}, {draft.Text}, {data}::jsonb, {now})
            ON CONFLICT (tenant_id, dedup_key) DO NOTHING
            """,
            cancellationToken);
        if (inserted == 0)
            return false;
        var recipients = await RecipientsAsync(db, draft, now, cancellationToken);
        if (recipients.Count == 0)
        {
            LogNobody(logger, draft.Topic, tenantId, draft.DedupKey);
            return true;
        }

        var ids = recipients.Select(_ => time.NewId()).ToArray();
        var channels = recipients.Select(r => r.Channel).ToArray();
        var targets = recipients.Select(r => r.Target).ToArray();
        await db.Database.ExecuteSqlAsync(
            $"""
            INSERT INTO aiaspire.notification_deliveries (tenant_id, delivery_id, notification_id, channel, target, state, tries, available_at)
            SELECT {tenantId}, d, {id}, c, t, 'Pending', 0, {now} FROM unnest({ids}, {channels}, {targets}) AS rows(d, c, t)
            """,
            cancellationToken);
        return true;
    }

    private static async Task<HashSet<(string Channel, string Target)>> RecipientsAsync(
        AiAspireDb db, NotificationDraft draft, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var recipients = new HashSet<(string, string)>();
        var settings = await db.NotificationSettings.AsNoTracking().SingleOrDefaultAsync(cancellationToken);
        if (settings is not null && Wants(settings.Topics))
            recipients.UnionWith(settings.Emails.Select(e => (Mail, e)));
        foreach (var webhook in await db.NotificationWebhooks.AsNoTracking().ToListAsync(cancellationToken))
            if (Wants(webhook.Topics))
                recipients.Add((Webhook, webhook.WebhookId.ToString()));
        if (draft.Page && OnCallRota.At(await db.OnCallContacts.AsNoTracking().ToListAsync(cancellationToken), now) is { } onCall)
            recipients.Add((Mail, onCall.Email));
        return recipients;

        bool Wants(string[] topics) => topics.Length == 0 || topics.Contains(draft.Topic, StringComparer.Ordinal);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Nobody is told of {Topic} in tenant {Tenant} ({DedupKey}): its notification settings name no recipient")]
    private static partial void LogNobody(ILogger logger, string topic, Guid tenant, string dedupKey);
}
