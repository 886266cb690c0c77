using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Integration.Jobs;

/// <summary>What becomes of jobs while something is away that all of them need.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class OutageTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task A_key_store_that_is_away_uses_up_no_try()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        using var user = tenant.As("writer");
        // Queued while the key store is there, and by the Api: no worker has this user's key yet.
        var id = (await user.QueueAsync(new { request = Wire.Chat("say exactly: patient"), run_at = TimeProvider.System.GetUtcNow().AddHours(1), max_tries = 1 })).GetProperty("id").GetGuid();
        await using var database = await application.OpenSuperuserAsync();
        var keyStore = new NpgsqlConnectionStringBuilder(await application.App.GetConnectionStringAsync("keystore", Cancelled)).Database!;
        try
        {
            await database.ExecuteAsync($"ALTER DATABASE \"{keyStore}\" ALLOW_CONNECTIONS false");
            await database.ExecuteAsync("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", keyStore);
            await MakeDueAsync();

            await Wait.UntilAsync("a worker to put the job back", async () => (await WaitingAsync()).Exists(j => j.Snoozes > 0), application, "workers");

            var job = Assert.Single(await WaitingAsync());
            Assert.Equal((0, "database_unavailable"), (job.Failures, job.Code));
        }
        finally
        {
            await database.ExecuteAsync($"ALTER DATABASE \"{keyStore}\" ALLOW_CONNECTIONS true");
        }

        await MakeDueAsync();
        var over = await user.OverAsync(id, application);
        Assert.Equal(("succeeded", "patient"), (over.Status(), over.GetProperty("result").Content()));

        Task MakeDueAsync() => database.ExecuteAsync("UPDATE aiaspire.jobs SET available_at = now() WHERE job_id = $1 AND state = 'Scheduled'", id);

        Task<List<(int Snoozes, int Failures, string? Code)>> WaitingAsync() => database.ListAsync(
            "SELECT snoozes, failures, error_code FROM aiaspire.jobs WHERE job_id = $1",
            r => (r.GetInt32(0), r.GetInt32(1), r.IsDBNull(2) ? null : r.GetString(2)), id);
    }
}
