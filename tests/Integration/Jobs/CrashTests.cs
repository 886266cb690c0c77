using AiAspire.Load.Crash;
using Aspire.Hosting;
using Aspire.Hosting.Testing;

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
                $"--Ledger:AttemptLeaseSeconds={CrashOptions.AttemptLeaseSeconds}", "--Schedules:ReconcileCron=0/5 * * * * ?"], timeout.Token);
        await using var app = await builder.BuildAsync(timeout.Token);
        await app.StartAsync(timeout.Token);
        foreach (var resource in new[] { "api", "workers" })
            await app.ResourceNotifications.WaitForResourceHealthyAsync(resource, timeout.Token);
        await using var run = await CrashRun.CreateAsync(app, Short, TimeProvider.System, TestContext.Current.SendDiagnosticMessage, Cancelled);

        var result = await run.RunAsync(Cancelled);

        Assert.True(!result.Faults().Any(), result.ToMarkdown());
        Assert.True(result.Orphans > 0, "no worker was killed while it had jobs: nothing was tested");
    }
}

[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class CrashCollection
{
    public const string Name = "crash";
}
