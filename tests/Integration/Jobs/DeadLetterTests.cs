using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Jobs;

[Collection(ApplicationCollection.Name)]
public sealed class DeadLetterTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task What_was_given_up_is_listed_without_its_content_and_can_be_queued_anew_one_or_all()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var user = tenant.As("writer");
        using var admin = tenant.As("boss", "tenant_admin");
        Guid[] jobs;
        // Refused, and not broken: a breaker that failures open would put a job back that is driven again, which is one start more.
        await using (await application.BehaveAsync("sim-reasoning", new { errorRates = new Dictionary<string, double> { ["400"] = 1 } }))
        {
            jobs = await Task.WhenAll(Enumerable.Range(0, 3).Select(async i =>
                (await user.QueueAsync(new { request = Wire.Chat($"say exactly: secret{i}", "sim-reasoning"), max_tries = 1 })).GetProperty("id").GetGuid()));
            foreach (var id in jobs)
                Assert.Equal("failed", (await user.OverAsync(id, application)).Status());
        }

        var letters = await admin.GetStringAsync("/v1/admin/jobs/dead-letters", Cancelled);
        Assert.All(jobs, id => Assert.Contains(id.ToString(), letters, StringComparison.Ordinal));
        Assert.DoesNotContain("secret", letters, StringComparison.Ordinal);
        Assert.Equal(3, (await QueueAsync()).GetProperty("dead_letters").GetInt64());

        using var one = await admin.PostAsync($"/v1/admin/jobs/dead-letters/{jobs[0]}/redrive", null, Cancelled);
        Assert.Equal(1, (await one.JsonAsync()).GetProperty("redriven").GetInt32());
        using var again = await admin.PostAsync($"/v1/admin/jobs/dead-letters/{jobs[0]}/redrive", null, Cancelled);
        await again.ErrorAsync(HttpStatusCode.NotFound, "not_found");
        using var all = await admin.PostAsync("/v1/admin/jobs/dead-letters/redrive", null, Cancelled);
        Assert.Equal(2, (await all.JsonAsync()).GetProperty("redriven").GetInt32());
        for (var i = 0; i < jobs.Length; i++)
        {
            var job = await user.OverAsync(jobs[i], application);
            Assert.Equal(("succeeded", $"secret{i}", 2), (job.Status(), job.GetProperty("result").Content(), job.GetProperty("tries").GetInt32()));
        }

        Assert.Equal(0, (await QueueAsync()).GetProperty("dead_letters").GetInt64());
        Assert.Equal(2, (await tenant.AuditAsync("jobs.redriven")).Count);
        Assert.Single(await tenant.AuditAsync("dead_letters.read"));

        Task<JsonElement> QueueAsync() => admin.GetFromJsonAsync<JsonElement>("/v1/admin/jobs/queue", Cancelled);
    }

    [Fact]
    [Trait("Checklist", "AUTH-06")]
    public async Task Only_administrators_see_them_and_only_their_own_tenants()
    {
        using var user = application.Client(application.Token("acme", "bob"));
        using var refused = await user.GetAsync("/v1/admin/jobs/dead-letters", Cancelled);
        await refused.ErrorAsync(HttpStatusCode.Forbidden);
        using var carol = application.Client(application.UserKey("carol"));
        await using var database = await application.OpenSuperuserAsync();
        var acme = await database.ScalarAsync<Guid>("SELECT tenant_id FROM aiaspire.tenants WHERE slug = 'acme'");
        using var foreign = await carol.PostAsync($"/v1/admin/jobs/dead-letters/redrive?tenant_id={acme}", null, Cancelled);
        await foreign.ErrorAsync(HttpStatusCode.NotFound, "not_found");
        // The functions themselves look at the reach: a session of a user gets nothing.
        await using var app = await application.OpenAsAsync("aiaspire_app");
        await using var transaction = await app.BeginTransactionAsync(Cancelled);
        await app.ExecuteAsync("SELECT set_config('app.tenant_id', $1, true), set_config('app.reach', 'user', true)", acme.ToString());
        Assert.Equal(0, await app.ScalarAsync<int>("SELECT aiaspire.redrive_dead_letters(NULL, 10, interval '1 hour')"));
        Assert.Equal(0, await app.ScalarAsync<long>("SELECT count(*) FROM aiaspire.list_dead_letters(NULL, 10)"));
    }
}
