using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Admin;

/// <summary>Who may be taken out of office, and what a suspension reaches beside requests.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class StandingTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("""{"roles":["user"]}""")]
    [InlineData("""{"status":"suspended"}""")]
    public async Task The_last_administrator_stays_one_unless_an_operator_says_otherwise(string change)
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var chief = (await tenant.PostAsync("users", new { external_id = "chief", roles = new[] { "user", "tenant_admin" } })).GetProperty("id").GetGuid();
        using var admin = tenant.As("chief");
        using (var refused = await PatchAsync(admin, $"/v1/admin/users/{chief}", change))
        {
            var error = await refused.ErrorAsync(HttpStatusCode.Conflict, "last_administrator", "id");
            Assert.Contains("tenant_admin", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        }

        // A suspended one does not count; an active one does.
        var deputy = (await tenant.PostAsync("users", new { external_id = "deputy", roles = new[] { "user", "tenant_admin" } })).GetProperty("id").GetGuid();
        await tenant.PatchAsync(tenant.Path($"users/{deputy}"), new { status = "suspended" });
        using (var still = await PatchAsync(admin, $"/v1/admin/users/{chief}", change))
            await still.ErrorAsync(HttpStatusCode.Conflict, "last_administrator");
        await tenant.PatchAsync(tenant.Path($"users/{deputy}"), new { status = "active" });

        // Each takes the other out at the same moment: one remains.
        using var second = tenant.As("deputy");
        await tenant.AnsweredAsync(second, HttpStatusCode.OK);
        var both = await Task.WhenAll(PatchAsync(admin, $"/v1/admin/users/{deputy}", change), PatchAsync(second, $"/v1/admin/users/{chief}", change));
        Assert.Single(both, r => r.StatusCode == HttpStatusCode.OK);
        await using var database = await application.OpenSuperuserAsync();
        const string Left = "SELECT user_id FROM aiaspire.users WHERE tenant_id = $1 AND status = 'Active' AND 'tenant_admin' = ANY (roles)";
        var last = await database.ScalarAsync<Guid>(Left, tenant.Id);
        using (var byOperator = await PatchAsync(tenant.Operator, tenant.Path($"users/{last}"), change))
            Assert.Equal(HttpStatusCode.OK, byOperator.StatusCode);
        foreach (var response in both)
            response.Dispose();
    }

    [Theory]
    [InlineData("user")]
    [InlineData("tenant")]
    [Trait("Checklist", "AUTH-07")]
    public async Task A_job_of_a_suspended_one_is_refused_at_its_next_claim(string who)
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        var ann = await tenant.AddUserAsync("ann");
        using var client = tenant.As("ann");
        using var simulator = application.App.CreateHttpClient("sim-openai");
        using var failing = await simulator.PutAsJsonAsync("/control/models/sim-reasoning/behaviour", new { errorStatus = 500, errorCount = 1000 }, Cancelled);
        try
        {
            using var queued = await client.PostAsJsonAsync("/v1/jobs", new { request = Wire.Chat("work", "sim-reasoning") }, Cancelled);
            Assert.Equal(HttpStatusCode.Accepted, queued.StatusCode);
            var job = (await queued.JsonAsync()).GetProperty("id").GetGuid();
            await Wait.UntilAsync(
                "the job to be tried", async () => (await client.GetFromJsonAsync<JsonElement>($"/v1/jobs/{job}", Cancelled)).GetProperty("tries").GetInt32() >= 1, application, "workers");
            if (who == "user")
                await tenant.PatchAsync(tenant.Path($"users/{ann}"), new { status = "suspended" });
            else
                await tenant.PatchAsync($"/v1/admin/tenants/{tenant.Id}", new { status = "suspended" });
            await using var database = await application.OpenSuperuserAsync();
            await Wait.UntilAsync(
                "the job to be refused",
                async () => await database.ScalarAsync<string>("SELECT coalesce((SELECT state || ' ' || error_code FROM aiaspire.job_history WHERE job_id = $1), '')", job) == $"Failed {who}_suspended",
                application,
                "workers",
                TimeSpan.FromSeconds(30));
        }
        finally
        {
            using var well = await simulator.DeleteAsync("/control/models/sim-reasoning/behaviour", Cancelled);
        }
    }

    private static async Task<HttpResponseMessage> PatchAsync(HttpClient client, string path, string json)
    {
        using var content = new StringContent(json, null, "application/json");
        return await client.PatchAsync(path, content, Cancelled);
    }
}
