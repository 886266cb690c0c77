using System.Text.Json.Nodes;
using AiAspire.Core.Data;
using AiAspire.Core.Notifications;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Routing;

/// <summary>Tells the operators of provider keys that are due for rotation, once a month for each.</summary>
public sealed class ProviderKeyAges(TenantSessions sessions, NotificationOutbox outbox, IOptions<RoutingOptions> options, TimeProvider time)
{
    /// <returns>How many keys are due.</returns>
    public Task<int> TellAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var most = options.Value.KeyMaxAgeDays;
        var before = now.AddDays(-most);
        return sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) =>
            {
                var due = await db.ProviderKeys.AsNoTracking().Where(k => k.RetiresAt == null && k.CreatedAt < before).OrderBy(k => k.CreatedAt).ToListAsync(token);
                foreach (var key in due)
                {
                    var days = (int)(now - key.CreatedAt).TotalDays;
                    var draft = new NotificationDraft(
                        $"provider-key-age:{key.ProviderKeyId}:{now:yyyy-MM}", NotificationTopics.Keys, $"The key '{key.Name}' of provider '{key.Provider}' is due for rotation",
                        $"It is {days} days old; Routing:KeyMaxAgeDays is {most}. Add its successor with POST /v1/admin/providers/{key.Provider}/keys and 'replaces'.")
                    {
                        Data = new JsonObject { ["provider"] = key.Provider, ["provider_key_id"] = key.ProviderKeyId.ToString(), ["age_days"] = days },
                    };
                    await outbox.SendAsync(db, draft, token);
                }

                return due.Count;
            },
            cancellationToken);
    }
}
