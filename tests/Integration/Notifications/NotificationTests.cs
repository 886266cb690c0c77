using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Notifications;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace AiAspire.Integration.Notifications;

[Collection(ApplicationCollection.Name)]
public sealed class NotificationTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "COST-05")]
    public async Task A_notification_comes_by_mail_and_by_a_signed_webhook_that_is_tried_again()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var receiver = new WebhookReceiver();
        receiver.Answer(r => Status(r, 500)).Answer(r => Redirect(r, new Uri(receiver.Address, "/elsewhere")));
        var mail = $"{tenant.Slug}@example.com";
        var settings = await tenant.PutAsync("notifications", new { emails = new[] { mail }, webhooks = new[] { new { url = new Uri(receiver.Address, "/hook") } } });
        var secret = settings.GetProperty("webhooks")[0].GetProperty("secret").GetString()!;
        Assert.StartsWith("whsec_", secret, StringComparison.Ordinal);
        await tenant.PostAsync("notifications/test", new { });

        var tries = new List<ReceivedWebhook>();
        for (var i = 0; i < 3; i++)
            tries.Add(await receiver.NextAsync());
        Assert.All(tries, t => Assert.True(t.IsSignedWith(secret), "the signature does not verify"));
        Assert.All(tries, t => Assert.Equal("/hook", t.Path));
        Assert.Single(tries.Select(t => t.Id).Distinct());
        var body = JsonElement.Parse(tries[0].Body);
        Assert.Equal("test", body.GetProperty("type").GetString());
        Assert.Equal(tenant.Id, body.GetProperty("data").GetProperty("tenant_id").GetGuid());
        var altered = tries[0] with { Body = tries[0].Body + " " };
        Assert.False(altered.IsSignedWith(secret), "an altered body verifies");
        var folder = Path.Combine(application.App.DataFolder, "mail");
        await Wait.UntilAsync(
            "the mail",
            () => Task.FromResult(Directory.Exists(folder) && Directory.GetFiles(folder, "*.eml").Any(f => File.ReadAllText(f).Contains($"To: {mail}", StringComparison.Ordinal))),
            application,
            "workers");
        await DeliveredAsync(tenant.Id, 2);
        Assert.False(receiver.HasMore);
    }

    [Fact]
    public async Task The_signing_key_is_shown_once_and_kept_encrypted()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var first = await tenant.PutAsync("notifications", new { emails = Array.Empty<string>(), webhooks = new[] { new { url = "http://127.0.0.1:9/x" } } });
        var webhook = first.GetProperty("webhooks")[0];
        var (id, secret) = (webhook.GetProperty("id").GetGuid(), webhook.GetProperty("secret").GetString()!);
        var again = await tenant.Operator.GetFromJsonAsync<JsonElement>(tenant.Path("notifications"), Cancelled);
        Assert.Equal(JsonValueKind.Null, again.GetProperty("webhooks")[0].GetProperty("secret").ValueKind);
        var kept = await tenant.PutAsync("notifications", new { emails = Array.Empty<string>(), webhooks = new[] { new { id, url = "http://127.0.0.1:9/y" } } });
        Assert.Equal(JsonValueKind.Null, kept.GetProperty("webhooks")[0].GetProperty("secret").ValueKind);
        await using var database = await application.OpenSuperuserAsync();
        var stored = await database.ScalarAsync<byte[]>("SELECT secret FROM aiaspire.notification_webhooks WHERE webhook_id = $1", id);
        Assert.Equal(-1, stored.AsSpan().IndexOf(Convert.FromBase64String(secret["whsec_".Length..])));
        Assert.NotEmpty(await tenant.AuditAsync("notifications.changed"));
        using var stranger = application.Client(application.UserKey("carol"));
        using var refused = await stranger.GetAsync(tenant.Path("notifications"), Cancelled);
        await refused.ErrorAsync(HttpStatusCode.NotFound, "not_found");
    }

    [Theory]
    [InlineData("""{"emails":["not an address"],"webhooks":[]}""", "emails[0]")]
    [InlineData("""{"emails":["Ann <ann@example.com>"],"webhooks":[]}""", "emails[0]")]
    [InlineData("""{"emails":[],"webhooks":[{"url":"gopher://x"}]}""", "webhooks[0].url")]
    [InlineData("""{"emails":[],"webhooks":[],"topics":["gossip"]}""", "topics")]
    [InlineData("""{"webhooks":[]}""", "emails")]
    public async Task Bad_settings_are_told_by_field(string body, string field)
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var response = await tenant.Operator.PutAsync(tenant.Path("notifications"), new StringContent(body, null, "application/json"), Cancelled);
        await response.ErrorAsync(HttpStatusCode.BadRequest, param: field);
    }

    [Fact]
    public async Task An_event_is_told_once_by_whomever_and_only_if_its_transaction_commits()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await tenant.PutAsync("notifications", new { emails = new[] { "ops@example.com" }, webhooks = Array.Empty<object>() });
        await using var services = await AppRoleAsync();
        var outbox = new NotificationOutbox(TimeProvider.System, NullLogger<NotificationOutbox>.Instance);
        var session = services.GetRequiredService<TenantSessions>().Open(new TenantScope(tenant.Id, null, DataReach.Service));
        var draft = new NotificationDraft("budget:1:2026-11:soft", NotificationTopics.Budget, "80 %", "80 % of the budget is used.");
        await Assert.ThrowsAsync<InvalidOperationException>(() => session.RunAsync(
            async (db, token) =>
            {
                Assert.True(await outbox.SendAsync(db, draft, token));
                throw new InvalidOperationException("the caller's own work failed");
            },
            Cancelled));
        var sent = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => session.RunAsync((db, token) => outbox.SendAsync(db, draft, token), Cancelled)));
        Assert.Single(sent, s => s);
        await DeliveredAsync(tenant.Id, 1);
        // What a user's own session could do, it must not.
        var user = services.GetRequiredService<TenantSessions>().Open(new TenantScope(tenant.Id, TimeProvider.System.NewId()));
        await Assert.ThrowsAsync<PostgresException>(() => user.RunAsync((db, token) => outbox.SendAsync(db, draft with { DedupKey = "other" }, token), Cancelled));
    }

    [Fact]
    public async Task A_worker_that_dies_between_sending_and_marking_sends_again_with_the_same_id()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var receiver = new WebhookReceiver();
        var held = new TaskCompletionSource();
        receiver.Answer(_ => held.Task);
        await tenant.PutAsync("notifications", new { emails = Array.Empty<string>(), webhooks = new[] { new { url = receiver.Address } } });
        await tenant.PostAsync("notifications/test", new { });
        var first = await receiver.NextAsync();
        await Task.WhenAll(application.App.KillResourceAsync("workers", 0, Cancelled), application.App.KillResourceAsync("workers", 1, Cancelled));
        held.SetResult();
        var second = await receiver.NextAsync();
        Assert.Equal(first.Id, second.Id);
        await DeliveredAsync(tenant.Id, 1);
        Assert.False(receiver.HasMore);
    }

    [Fact]
    [Trait("Checklist", "INC-01c")]
    public async Task Whoever_is_on_call_is_told_of_what_pages()
    {
        using var client = application.Developer();
        var onCall = $"oncall-{TimeProvider.System.NewId():n}@example.com";
        using var put = await client.PutAsJsonAsync(
            "/v1/admin/on-call",
            new { contacts = new object[] { new { name = "Never", email = "never@example.com", shifts = new[] { Later() } }, new { name = "Ann", email = onCall } } },
            Cancelled);
        Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync(Cancelled));
        Assert.Equal(onCall, (await put.JsonAsync()).GetProperty("now").GetProperty("email").GetString());
        await using var services = await AppRoleAsync();
        var outbox = new NotificationOutbox(TimeProvider.System, NullLogger<NotificationOutbox>.Instance);
        var draft = new NotificationDraft($"incident:{onCall}", NotificationTopics.Incident, "Cost spike", "Cost is out of the ordinary.") { Page = true };
        await services.GetRequiredService<TenantSessions>().Open(TenantScope.Platform).RunAsync((db, token) => outbox.SendAsync(db, draft, token), Cancelled);
        var folder = Path.Combine(application.App.DataFolder, "mail");
        await Wait.UntilAsync(
            "the page",
            () => Task.FromResult(Directory.Exists(folder) && Directory.GetFiles(folder, "*.eml").Any(f => File.ReadAllText(f).Contains($"To: {onCall}", StringComparison.Ordinal))),
            application,
            "workers");
        using var user = application.Client(application.UserKey("carol"));
        using var refused = await user.GetAsync("/v1/admin/on-call", Cancelled);
        await refused.ErrorAsync(HttpStatusCode.Forbidden);
    }

    [Fact]
    [Trait("Checklist", "INC-01c")]
    public async Task An_endpoint_that_swallows_what_it_is_sent_holds_up_no_other_tenant()
    {
        using var stuck = await AdministeredTenant.CreateAsync(application);
        using var sound = await AdministeredTenant.CreateAsync(application);
        await using var swallowing = new WebhookReceiver();
        await using var receiver = new WebhookReceiver();
        var never = new TaskCompletionSource();
        for (var i = 0; i < 1_000; i++)
            swallowing.Answer(_ => never.Task);
        await stuck.PutAsync("notifications", new { emails = Array.Empty<string>(), webhooks = new[] { new { url = swallowing.Address } } });
        await sound.PutAsync("notifications", new { emails = Array.Empty<string>(), webhooks = new[] { new { url = receiver.Address } } });
        await using var services = await AppRoleAsync();
        var outbox = new NotificationOutbox(TimeProvider.System, NullLogger<NotificationOutbox>.Instance);
        var session = services.GetRequiredService<TenantSessions>().Open(new TenantScope(stuck.Id, null, DataReach.Service));
        await session.RunAsync(
            async (db, token) =>
            {
                for (var i = 0; i < 200; i++)
                    await outbox.SendAsync(db, new NotificationDraft($"stuck:{i}", NotificationTopics.Incident, "Stuck", "Stuck."), token);
            },
            Cancelled);
        await using var database = await application.OpenSuperuserAsync();
        try
        {
            await swallowing.NextAsync();
            await sound.PostAsync("notifications/test", new { });
            await receiver.NextAsync();

            // First come, first served, all of them would have had a try before.
            var (tried, underWay) = (await database.ListAsync(
                """
                SELECT count(*) FILTER (WHERE tries > 0), count(*) FILTER (WHERE lease_token IS NOT NULL AND available_at > now())
                FROM aiaspire.notification_deliveries WHERE tenant_id = $1
                """,
                r => (r.GetInt64(0), r.GetInt64(1)),
                stuck.Id)).Single();
            Assert.InRange(tried, 1, 50);
            Assert.InRange(underWay, 0, 2);
        }
        finally
        {
            // Before the receiver goes: nobody waits for its deliveries.
            await database.ExecuteAsync("DELETE FROM aiaspire.notification_deliveries WHERE tenant_id = $1", stuck.Id);
            never.SetResult();
        }
    }

    /// <summary>A shift that is not now: the hour from in two days.</summary>
    private static object Later()
    {
        var start = TimeProvider.System.GetUtcNow().AddDays(2);
        return new { from = Text(start), until = Text(start.AddHours(1)) };

        static string Text(DateTimeOffset time) => $"{time.DayOfWeek.ToString()[..3].ToLowerInvariant()} {time:HH:mm}";
    }

    private Task DeliveredAsync(Guid tenant, int count) => Wait.UntilAsync(
        $"{count} deliveries to be marked",
        async () =>
        {
            await using var database = await application.OpenSuperuserAsync();
            return (await database.ListAsync("SELECT state FROM aiaspire.notification_deliveries WHERE tenant_id = $1", r => r.GetString(0), tenant)) is { } states
                && states.Count == count && states.TrueForAll(s => s == "Delivered");
        },
        application,
        "workers");

    /// <summary>Sessions of the application's role, in this process.</summary>
    private async Task<ServiceProvider> AppRoleAsync()
    {
        await using (await application.OpenAsAsync("aiaspire_app"))
        {
        }

        var settings = new NpgsqlConnectionStringBuilder(await application.App.GetConnectionStringAsync("aiaspire")) { Username = "test_aiaspire_app", Password = "test" };
        return new ServiceCollection().AddSingleton(NpgsqlDataSource.Create(settings.ConnectionString)).AddTenantSessions().BuildServiceProvider();
    }

    private static Task Status(HttpListenerResponse response, int status)
    {
        response.StatusCode = status;
        return Task.CompletedTask;
    }

    private static Task Redirect(HttpListenerResponse response, Uri to)
    {
        response.StatusCode = 307;
        response.RedirectLocation = to.ToString();
        return Task.CompletedTask;
    }
}
