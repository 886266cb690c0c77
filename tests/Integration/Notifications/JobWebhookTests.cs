using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using AiAspire.Integration.Jobs;
using Npgsql;

namespace AiAspire.Integration.Notifications;

[Collection(ApplicationCollection.Name)]
public sealed class JobWebhookTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    public async Task The_end_of_a_job_is_told_by_a_signed_webhook_once_and_without_its_content()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await using var receiver = new WebhookReceiver();
        await using var bystander = new WebhookReceiver();
        var settings = await tenant.PutAsync("notifications", new
        {
            emails = new[] { $"{tenant.Slug}@example.com" },
            webhooks = new object[] { new { url = receiver.Address, topics = new[] { "job.completed", "job.failed" } }, new { url = bystander.Address } },
        });
        var secret = settings.GetProperty("webhooks").EnumerateArray().Single(w => w.GetProperty("url").GetString() == receiver.Address.ToString()).GetProperty("secret").GetString()!;
        using var user = tenant.As("ann");

        var done = await user.QueueChatAsync("the secret word is xylophone");
        var completed = await receiver.NextAsync();
        Assert.True(completed.IsSignedWith(secret), "the signature does not verify");
        var body = JsonElement.Parse(completed.Body);
        Assert.Equal("job.completed", body.GetProperty("type").GetString());
        Assert.Equal(tenant.Id, body.GetProperty("data").GetProperty("tenant_id").GetGuid());
        var details = body.GetProperty("data").GetProperty("details");
        Assert.Equal(done, details.GetProperty("job_id").GetGuid());
        Assert.Equal("succeeded", details.GetProperty("status").GetString());
        var job = await user.OverAsync(done, application);
        Assert.Equal(job.GetProperty("cost_usd").GetDecimal(), details.GetProperty("cost_usd").GetDecimal());
        Assert.True(details.GetProperty("cost_usd").GetDecimal() > 0);
        Assert.DoesNotContain("xylophone", completed.Body, StringComparison.Ordinal);

        JsonElement told;
        Guid failed;
        await using (await application.BehaveAsync("sim-reasoning", new { errorRates = new Dictionary<string, double> { ["500"] = 1 } }))
        {
            failed = (await user.QueueAsync(new { request = Wire.Chat("hello", "sim-reasoning"), max_tries = 1 })).GetProperty("id").GetGuid();
            told = JsonElement.Parse((await receiver.NextAsync()).Body);
        }

        Assert.Equal("job.failed", told.GetProperty("type").GetString());
        Assert.Equal(failed, told.GetProperty("data").GetProperty("details").GetProperty("job_id").GetGuid());
        Assert.NotEqual(JsonValueKind.Null, told.GetProperty("data").GetProperty("details").GetProperty("error_code").ValueKind);

        // A webhook that names no topics, and mail, are spared the ends of jobs.
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(2, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.notification_deliveries WHERE tenant_id = $1", tenant.Id));
        Assert.False(bystander.HasMore);
        Assert.False(receiver.HasMore);
    }

    [Fact]
    public async Task A_job_whose_end_is_undone_is_not_told_and_mail_cannot_ask_for_jobs()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        await tenant.PutAsync("notifications", new { emails = Array.Empty<string>(), webhooks = new[] { new { url = "http://127.0.0.1:9/x", topics = new[] { "job.cancelled" } } } });
        using var user = tenant.As("ann");
        var waiting = (await user.QueueAsync(new { request = Wire.Chat("later", "sim-large"), run_at = TimeProvider.System.GetUtcNow().AddHours(1) })).GetProperty("id").GetGuid();
        await using var database = await application.OpenSuperuserAsync();
        var owner = await database.ScalarAsync<Guid>("SELECT user_id FROM aiaspire.jobs WHERE job_id = $1", waiting);
        await using (var transaction = await database.BeginTransactionAsync(Cancelled))
        {
            Assert.Equal("Cancelled", await database.ScalarAsync<string>("SELECT aiaspire.cancel_job($1, $2, $3)", tenant.Id, owner, waiting));
            Assert.Equal(1, await CountAsync(database, tenant.Id));
            await transaction.RollbackAsync(Cancelled);
        }

        Assert.Equal(0, await CountAsync(database, tenant.Id));
        using var cancelled = await user.PostAsync($"/v1/jobs/{waiting}/cancel", null, Cancelled);
        Assert.True(cancelled.IsSuccessStatusCode, await cancelled.Content.ReadAsStringAsync(Cancelled));
        Assert.Equal(1, await CountAsync(database, tenant.Id));
        using var mail = await tenant.Operator.PutAsJsonAsync(tenant.Path("notifications"), new { emails = new[] { "a@example.com" }, webhooks = Array.Empty<object>(), topics = new[] { "job.failed" } }, Cancelled);
        await mail.ErrorAsync(System.Net.HttpStatusCode.BadRequest, param: "topics");
    }

    private static Task<long> CountAsync(NpgsqlConnection database, Guid tenant)
        => database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.notifications WHERE tenant_id = $1 AND topic = 'job.cancelled'", tenant);
}
