using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using AiAspire.Api.Identity;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Notifications;
using AiAspire.Core.Wire;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace AiAspire.Api.Admin;

/// <param name="Emails">Mail addresses, at most 50.</param>
/// <param name="Webhooks">At most 20; one that is not named any more is removed.</param>
/// <param name="Topics">What the mail addresses are told; absent or empty: everything.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record NotificationSettingsRequest(string[]? Emails, WebhookRequest[]? Webhooks, string[]? Topics = null);

/// <param name="Url">An https URL.</param>
/// <param name="Id">Of a webhook to keep; absent for a new one.</param>
/// <param name="Topics">What it is told; absent or empty: everything but the ends of jobs (<c>job.completed</c>, <c>job.failed</c>, <c>job.cancelled</c>), which must be named.</param>
/// <param name="RotateSecret">True gives a webhook that is kept a new signing key.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record WebhookRequest(string? Url, Guid? Id = null, string[]? Topics = null, bool RotateSecret = false);

/// <param name="Secret">The signing key, shown once: when the webhook is new or its key was renewed.</param>
public sealed record WebhookResponse(Guid Id, string Url, string[] Topics, DateTimeOffset CreatedAt, string? Secret);

public sealed record NotificationSettingsResponse(string Object, string[] Emails, string[] Topics, IReadOnlyList<WebhookResponse> Webhooks, DateTimeOffset? ChangedAt);

/// <param name="DedupKey">Names the test among the tenant's notifications.</param>
public sealed record TestNotificationResponse(string Object, string DedupKey);

internal static class NotificationEndpoints
{
    private const string Changed = "notifications.changed";

    public static void MapNotifications(this IEndpointRouteBuilder admin)
    {
        var tenant = admin.MapGroup("/notifications").RequireAuthorization(Policies.TenantAdmin).WithTags("Admin");
        tenant.MapGet("/", GetAsync).WithName("retrieveNotificationSettings").WithSummary("Whom the tenant wants told of budgets, limits and incidents.");
        tenant.MapPut("/", PutAsync).WithName("setNotificationSettings")
            .WithSummary("Replace the recipients. The signing key of a new webhook is in the answer, and never again.");
        tenant.MapPost("/test", TestAsync).WithName("testNotifications").WithSummary("Send a notification of the topic 'test' to the recipients.");
        var platform = admin.MapGroup("/platform/notifications").RequireAuthorization(Policies.Operator).WithTags("Admin");
        platform.MapGet("/", GetPlatformAsync).WithName("retrievePlatformNotificationSettings").WithSummary("Whom the operators want told.");
        platform.MapPut("/", PutPlatformAsync).WithName("setPlatformNotificationSettings").WithSummary("Replace the operators' recipients.");
    }

    private static async Task<Ok<NotificationSettingsResponse>> GetAsync(
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, Administration administration, CancellationToken cancellationToken)
        => TypedResults.Ok(Response(
            await administration.ReadAsync(administration.TenantOf(tenantId), (db, token) => db.ReadRecipientsAsync(token), cancellationToken), []));

    private static async Task<Ok<NotificationSettingsResponse>> GetPlatformAsync(TenantSessions sessions, CancellationToken cancellationToken)
        => TypedResults.Ok(Response(await sessions.Open(TenantScope.Platform).RunAsync((db, token) => db.ReadRecipientsAsync(token), cancellationToken), []));

    private static async Task<Ok<NotificationSettingsResponse>> PutAsync(
        NotificationSettingsRequest request, [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration,
        NotificationRequestReader reader, TimeProvider time, CancellationToken cancellationToken)
    {
        var tenant = administration.TenantOf(tenantId);
        var change = await reader.ReadAsync(tenant, request, cancellationToken);
        var now = time.GetUtcNow();
        await administration.AuditedAsync(
            http,
            tenant,
            async (db, entry, token) =>
            {
                await ReplaceAsync(db, change, now, token);
                return (true, About(entry with { Action = Changed }, change));
            },
            cancellationToken);
        return TypedResults.Ok(Response(await administration.ReadAsync(tenant, (db, token) => db.ReadRecipientsAsync(token), cancellationToken), change.Webhooks));
    }

    private static async Task<Ok<NotificationSettingsResponse>> PutPlatformAsync(
        NotificationSettingsRequest request, HttpContext http, RequestCaller caller, TenantSessions sessions, NotificationRequestReader reader, TimeProvider time,
        CancellationToken cancellationToken)
    {
        var change = await reader.ReadAsync(TenantScope.PlatformTenantId, request, cancellationToken);
        var entry = About(caller.Value.Audit(http, time, Changed, TenantScope.PlatformTenantId), change);
        var now = time.GetUtcNow();
        var after = await sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) =>
            {
                await ReplaceAsync(db, change, now, token);
                await db.SaveChangesAsync(token);
                await db.AppendAuditAsync(entry, token);
                return await db.ReadRecipientsAsync(token);
            },
            cancellationToken);
        return TypedResults.Ok(Response(after, change.Webhooks));
    }

    private static async Task<Ok<TestNotificationResponse>> TestAsync(
        [FromQuery(Name = Administration.TenantQuery)] Guid? tenantId, HttpContext http, Administration administration, NotificationOutbox outbox, CancellationToken cancellationToken)
    {
        var key = $"test:{RequestIds.Of(http)}";
        var draft = new NotificationDraft(key, NotificationTopics.Test, "AiAspire: a test", "Somebody who administers your tenant asked for this message, to see that it arrives.");
        await administration.AuditedAsync(
            http,
            administration.TenantOf(tenantId),
            async (db, entry, token) => (await outbox.SendAsync(db, draft, token), entry with { Action = "notifications.tested" }),
            cancellationToken);
        return TypedResults.Ok(new TestNotificationResponse("notification.test", key));
    }

    private static async Task ReplaceAsync(AiAspireDb db, NotificationSettingsChange change, DateTimeOffset now, CancellationToken cancellationToken)
    {
        try
        {
            await db.ReplaceRecipientsAsync(change, now, cancellationToken);
        }
        catch (KeyNotFoundException)
        {
            throw Administration.NotFound("webhook", "webhooks.id");
        }
    }

    /// <summary>Counts and ids; addresses are people's.</summary>
    private static AuditEvent About(AuditEvent entry, NotificationSettingsChange change) => entry with
    {
        TargetKind = "notification_settings",
        Details = new JsonObject
        {
            ["emails"] = change.Emails.Length,
            ["webhook_ids"] = new JsonArray([.. change.Webhooks.Select(w => (JsonNode)w.Id.ToString())]),
            ["new_secrets"] = change.Webhooks.Count(w => w.NewSecret is not null),
        },
    };

    private static NotificationSettingsResponse Response(NotificationRecipients recipients, IReadOnlyList<WebhookChange> changes) => new(
        "notification_settings",
        recipients.Settings?.Emails ?? [],
        recipients.Settings?.Topics ?? [],
        [.. recipients.Webhooks.Select(w => new WebhookResponse(w.WebhookId, w.Url, w.Topics, w.CreatedAt, changes.FirstOrDefault(c => c.Id == w.WebhookId)?.NewSecret?.Shown))],
        recipients.Settings?.ChangedAt);
}

/// <summary>Checks settings that were sent, and makes ids and keys for what is new.</summary>
internal sealed class NotificationRequestReader(WebhookConnector connector, WebhookSecrets secrets, TimeProvider time)
{
    private const int MaxEmails = 50;
    private const int MaxWebhooks = 20;
    private const int MaxUrl = 2_000;

    public async Task<NotificationSettingsChange> ReadAsync(Guid tenantId, NotificationSettingsRequest request, CancellationToken cancellationToken)
    {
        var emails = request.Emails ?? throw WireException.BadRequest("'emails' is missing.", "emails", "missing_field");
        var webhooks = request.Webhooks ?? throw WireException.BadRequest("'webhooks' is missing.", "webhooks", "missing_field");
        if (emails.Length > MaxEmails)
            throw Wrong("emails", $"must be at most {MaxEmails}");
        for (var i = 0; i < emails.Length; i++)
            MailAddress(emails[i], $"emails[{i}]");
        if (webhooks.Length > MaxWebhooks)
            throw Wrong("webhooks", $"must be at most {MaxWebhooks}");
        var changes = new List<WebhookChange>(webhooks.Length);
        for (var i = 0; i < webhooks.Length; i++)
            changes.Add(await WebhookAsync(tenantId, webhooks[i], $"webhooks[{i}]", cancellationToken));
        if (changes.DistinctBy(c => c.Id).Count() != changes.Count)
            throw Wrong("webhooks", "must not name an id twice");
        return new NotificationSettingsChange([.. emails.Distinct(StringComparer.OrdinalIgnoreCase)], Topics(request.Topics, NotificationTopics.All, "topics"), changes);
    }

    /// <exception cref="WireException">400: not a plain mail address.</exception>
    public static string MailAddress(string? address, string field)
        => address is { Length: <= 254 } && MailAddresses.IsPlain(address) ? address : throw Wrong(field, "must be a mail address such as ops@example.com");

    private async Task<WebhookChange> WebhookAsync(Guid tenantId, WebhookRequest? webhook, string field, CancellationToken cancellationToken)
    {
        if (webhook?.Url is not { Length: <= MaxUrl } url)
            throw Wrong($"{field}.url", $"must be a URL of at most {MaxUrl} characters");
        if (connector.Fault(url) is { } fault)
            throw Wrong($"{field}.url", fault);
        var id = webhook.Id ?? time.NewId();
        (string, byte[])? secret = null;
        if (webhook.Id is null || webhook.RotateSecret)
        {
            var shown = WebhookSecrets.Create();
            secret = (shown, await secrets.SealAsync(tenantId, id, shown, cancellationToken));
        }

        return new WebhookChange(id, url, Topics(webhook.Topics, NotificationTopics.OfWebhooks, $"{field}.topics"), secret);
    }

    private static string[] Topics(string[]? topics, IReadOnlyList<string> known, string field)
    {
        if (topics is null)
            return [];
        return Array.Find(topics, t => !known.Contains(t, StringComparer.Ordinal)) is null && topics.All(t => t is not null)
            ? [.. topics.Distinct(StringComparer.Ordinal)]
            : throw Wrong(field, "must be of " + string.Join(", ", known));
    }

    private static WireException Wrong(string field, string must) => WireException.BadRequest($"'{field}' {must}.", field, "invalid_value");
}
