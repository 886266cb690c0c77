using AiAspire.Integration.Application;
using AiAspire.Load.Crash;
using Aspire.Hosting;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Integration.Jobs;

/// <summary>
/// The crash test of tests/Load in a short form, over an application of its own: it kills workers and restarts the database, which no other test
/// could bear.
/// </summary>
[Collection(CrashCollection.Name)]
public sealed class CrashTests
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromMinutes(3);
    private static readonly CrashOptions Short = new(Jobs: 400, Workers: 3, KillEvery: TimeSpan.FromSeconds(5), DatabaseRestarts: 1, Limit: TimeSpan.FromMinutes(3));

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    [Trait("Checklist", "ARCH-01")]
    public async Task Killed_workers_a_restarted_database_and_failing_providers_lose_nothing_and_charge_nothing_twice()
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        timeout.CancelAfter(StartTimeout);
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.AppHost>(
            ["--Replicas:Workers=3", "--Workers:LeaseSeconds=3", "--Workers:PollSeconds=0.2", "--Workers:Concurrency=4", "--Idempotency:LeaseSeconds=3",
                $"--Ledger:AttemptLeaseSeconds={CrashOptions.AttemptLeaseSeconds}", "--Schedules:ReconcileCron=0/5 * * * * ?",
                "--Schedules:RetentionCron=* * * * * ?"], timeout.Token);
        await using var app = await builder.BuildAsync(timeout.Token);
        await app.StartAsync(timeout.Token);
        foreach (var resource in new[] { "api", "workers" })
            await app.ResourceNotifications.WaitForResourceHealthyAsync(resource, timeout.Token);
        await using var run = await CrashRun.CreateAsync(app, Short, TimeProvider.System, TestContext.Current.SendDiagnosticMessage, Cancelled);

        var result = await run.RunAsync(Cancelled);

        Assert.True(!result.Faults().Any(), result.ToMarkdown());
        Assert.True(result.Orphans > 0, "no worker was killed while it had jobs: nothing was tested");
        await FiredOnceAsync(app);
    }

    /// <summary>Whatever happened to the three workers, each firing of each schedule ran once; a run that was cut off comes again as what it is, a recovery.</summary>
    private static async Task FiredOnceAsync(DistributedApplication app)
    {
        await using var database = new NpgsqlConnection(await app.GetConnectionStringAsync("aiaspire", Cancelled));
        await database.OpenAsync(Cancelled);
        var firings = await database.ListAsync(
            "SELECT schedule, due_at, count(*) FROM aiaspire.schedule_runs WHERE trigger = 'Schedule' GROUP BY schedule, due_at",
            r => (Schedule: r.GetString(0), Due: r.GetDateTime(1), Runs: r.GetInt64(2)));
        Assert.All(firings, f => Assert.True(f.Runs == 1, $"{f.Schedule} ran {f.Runs} times for its firing at {f.Due:O}"));
        Assert.True(firings.Count >= 50, $"only {firings.Count} firings: the schedules hardly ran");
        // Else it says nothing: one worker alone repeats no firing. Workers that were killed came again as other processes.
        var workers = await database.ScalarAsync<long>("SELECT count(DISTINCT worker) FROM aiaspire.schedule_runs WHERE trigger = 'Schedule'");
        Assert.True(workers >= 3, $"only {workers} processes took part");
        // All three took part to the end (times in ticks).
        var together = await database.ScalarAsync<long>(
            "SELECT count(*) FROM quartz.qrtz_scheduler_state WHERE last_checkin_time > (SELECT max(last_checkin_time) - 300000000 FROM quartz.qrtz_scheduler_state)");
        Assert.True(together >= 3, $"only {together} workers checked in within 30 s of one another");
    }
}

[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class CrashCollection
{
    public const string Name = "crash";
}
