using System.Globalization;
using System.Text.RegularExpressions;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Jobs;

/// <summary>What a dashboard or an autoscaler reads of the queue, from the workers themselves.</summary>
[Collection(ApplicationCollection.Name)]
public sealed partial class JobMetricsTests(RunningApplication application)
{
    private static readonly string[] Names =
    [
        "jobs_claimed_total", "jobs_finished_total", "jobs_retried_total", "jobs_wait_seconds_bucket", "jobs_run_seconds_bucket", "jobs_depth", "jobs_oldest_ready_seconds",
        "jobs_dead_tuples", "jobs_oldest_xmin_age", "jobs_running", "jobs_concurrency",
    ];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "COST-09")]
    public async Task Workers_take_fewer_jobs_while_a_provider_is_overloaded_and_say_so_beside_all_their_figures()
    {
        const int Most = 16;
        using var client = application.Developer();
        using var workers = application.App.CreateHttpClient("workers");
        Guid[] jobs;
        await using (await application.BehaveAsync("sim-reasoning", new { errorRates = new Dictionary<string, double>(StringComparer.Ordinal) { ["429"] = 1 }, retryAfterSeconds = 1 }))
        {
            jobs = await Task.WhenAll(Enumerable.Range(0, 2 * Most).Select(i => client.QueueChatAsync($"say exactly: {i}", "sim-reasoning")));
            await Wait.UntilAsync("this worker to take half as many jobs", async () => await ConcurrencyAsync() <= Most / 2, application, "workers");
        }

        foreach (var id in jobs)
            Assert.Equal("succeeded", (await client.OverAsync(id, application)).Status());
        var text = "";
        await Wait.UntilAsync(
            "all figures of the queue",
            async () => Names.All((text = await workers.GetStringAsync("/metrics", Cancelled)).Contains),
            application,
            "workers");
        using var api = application.App.CreateHttpClient("api");
        Assert.Contains("jobs_enqueued_total", await api.GetStringAsync("/metrics", Cancelled), StringComparison.Ordinal);
        // Tenants and users are no dimension of any of them. The code of an error may well speak of one.
        Assert.All(text.Split('\n').Where(l => l.StartsWith("jobs_", StringComparison.Ordinal)), l => Assert.DoesNotMatch("[{,](tenant|user)[a-z_]*=", l));

        async Task<int> ConcurrencyAsync()
            => int.Parse(Concurrency().Match(await workers.GetStringAsync("/metrics", Cancelled)).Groups["jobs"].ValueSpan, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"^jobs_concurrency(?:\{[^}]*\})? (?<jobs>\d+)", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Concurrency();
}
