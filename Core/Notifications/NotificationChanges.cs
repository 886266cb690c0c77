using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;

namespace AiAspire.Core.Notifications;

/// <summary>A webhook as it is to be.</summary>
/// <param name="Id">A new id, or that of a webhook that is kept.</param>
/// <param name="NewSecret">Not null for a new webhook and when the signing key is renewed: in the form that is shown once, and encrypted.</param>
public sealed record WebhookChange(Guid Id, string Url, string[] Topics, (string Shown, byte[] Sealed)? NewSecret);

/// <summary>Settings as they are to be, whole.</summary>
public sealed record NotificationSettingsChange(string[] Emails, string[] Topics, IReadOnlyList<WebhookChange> Webhooks);

/// <summary>A tenant's settings as they stand.</summary>
public sealed record NotificationRecipients(NotificationSettings? Settings, IReadOnlyList<NotificationWebhook> Webhooks);

public static class NotificationChanges
{
    public static async Task<NotificationRecipients> ReadRecipientsAsync(this AiAspireDb db, CancellationToken cancellationToken)
        => new(
            await db.NotificationSettings.AsNoTracking().SingleOrDefaultAsync(cancellationToken),
            await db.NotificationWebhooks.AsNoTracking().OrderBy(w => w.WebhookId).ToListAsync(cancellationToken));

    /// <summary>Tracks the whole replacement of the session's tenant's settings; saving is the caller's.</summary>
    /// <exception cref="KeyNotFoundException">A webhook to be kept is not there.</exception>
    public static async Task ReplaceRecipientsAsync(
        this AiAspireDb db, NotificationSettingsChange change, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var settings = await db.NotificationSettings.SingleOrDefaultAsync(cancellationToken);
        if (settings is null)
            db.NotificationSettings.Add(new NotificationSettings { TenantId = db.TenantId, Emails = change.Emails, Topics = change.Topics, ChangedAt = now });
        else
            (settings.Emails, settings.Topics, settings.ChangedAt) = (change.Emails, change.Topics, now);
        var standing = await db.NotificationWebhooks.ToDictionaryAsync(w => w.WebhookId, cancellationToken);
        foreach (var wanted in change.Webhooks)
        {
            if (standing.Remove(wanted.Id, out var webhook))
            {
                (webhook.Url, webhook.Topics) = (wanted.Url, wanted.Topics);
                webhook.Secret = wanted.NewSecret?.Sealed ?? webhook.Secret;
            }
            else
            {
                db.NotificationWebhooks.Add(new NotificationWebhook
                {
                    TenantId = db.TenantId,
                    WebhookId = wanted.Id,
                    Url = wanted.Url,
                    Topics = wanted.Topics,
                    Secret = wanted.NewSecret?.Sealed ?? throw new KeyNotFoundException(wanted.Id.ToString()),
                    CreatedAt = now,
                });
            }
        }

        db.NotificationWebhooks.RemoveRange(standing.Values);
    }

    /// <summary>Who is on call at a time; in the platform's scope.</summary>
    public static async Task<(IReadOnlyList<OnCallContact> Rota, OnCallContact? OnCall)> ReadRotaAsync(
        this AiAspireDb db, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var rota = await db.OnCallContacts.AsNoTracking().OrderBy(c => c.Position).ToListAsync(cancellationToken);
        return (rota, OnCallRota.At(rota, now));
    }

    /// <summary>Replaces the rota at once; in the platform's scope.</summary>
    public static async Task ReplaceRotaAsync(this AiAspireDb db, IReadOnlyList<OnCallContact> rota, CancellationToken cancellationToken)
    {
        await db.OnCallContacts.ExecuteDeleteAsync(cancellationToken);
        db.OnCallContacts.AddRange(rota);
        await db.SaveChangesAsync(cancellationToken);
    }
}
