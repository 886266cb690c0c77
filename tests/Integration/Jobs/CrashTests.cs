using AiAspire.Integration.Application;
using AiAspire.Integration.Schedules;
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
    private static readonly CrashOptions Short = new(Jobs: 400, Workers: 3, KillEvery: TimeSpan.FromSeconds(5), DatabaseRestarts: 1, Limit: TimeSpan.FromMinutes(5));

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
        await FiredOnceAsync(app);
        await using var run = await CrashRun.CreateAsync(app, Short, TimeProvider.System, TestContext.Current.SendDiagnosticMessage, Cancelled);

        var result = await run.RunAsync(Cancelled);

        Assert.True(!result.Faults().Any(), result.ToMarkdown());
        Assert.True(result.Orphans > 0, "no worker was killed while it had jobs: nothing was tested");
        await NeverTwoAtOnceAsync(app);
    }

    /// <summary>Three workers, and each firing of each schedule ran once.</summary>
    private static async Task FiredOnceAsync(DistributedApplication app)
    {
        await using var database = await OpenAsync(app);
        IReadOnlyList<(string Schedule, DateTimeOffset Due)> executions = [];
        var (started, workers) = (TimeProvider.System.GetTimestamp(), 0L);
        // By one worker alone it says nothing: one repeats no firing. Which of them fires is chance, and one may do so many times in a row.
        while (executions.Count < 15 || workers < 2)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromSeconds(90), $"Waited 90 s for firings by two of three workers; {executions.Count} by {workers}.");
            await Task.Delay(TimeSpan.FromMilliseconds(200), Cancelled);
            executions = Executions.Of(app);
            workers = await database.ScalarAsync<long>("SELECT count(DISTINCT worker) FROM aiaspire.schedule_runs WHERE trigger = 'Schedule'");
        }

        Executions.EachRanOnce(executions);
    }

    /// <summary>While workers are killed and the database restarts, a run whose worker died is made again as a recovery; runs of one schedule never overlap.</summary>
    private static async Task NeverTwoAtOnceAsync(DistributedApplication app)
    {
        await using var database = await OpenAsync(app);
        Assert.Equal(0, await database.ScalarAsync<long>(
            """
            SELECT count(*) FROM aiaspire.schedule_runs a JOIN aiaspire.schedule_runs b ON b.schedule = a.schedule AND b.run_id > a.run_id
                AND b.started_at < a.finished_at - interval '50 milliseconds' AND a.started_at < b.finished_at - interval '50 milliseconds'
            """));
        var firings = await database.ScalarAsync<long>("SELECT count(DISTINCT (schedule, due_at)) FROM aiaspire.schedule_runs WHERE trigger = 'Schedule'");
        Assert.True(firings >= 20, $"only {firings} firings: the schedules hardly ran");
    }

    private static async Task<NpgsqlConnection> OpenAsync(DistributedApplication app)
    {
        // Not pooled: the database restarts in between.
        var database = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(await app.GetConnectionStringAsync("aiaspire", Cancelled)) { Pooling = false }.ConnectionString);
        await database.OpenAsync(Cancelled);
        return database;
    }
}

[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class CrashCollection
{
    public const string Name = "crash";
}
