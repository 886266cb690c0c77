using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;

namespace AiAspire.Integration.Schedules;

/// <summary>The evaluation that the settings of <see cref="RunningApplication"/> ask for, by the Evaluator that the AppHost starts.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class ScheduledEvaluationTests(RunningApplication application)
{
    private const string Runs = "/v1/admin/schedules/evaluation/runs?limit=10";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_scheduled_evaluation_runs_on_request_too_and_its_verdict_is_in_the_journal_and_told_once()
    {
        using var client = application.Developer();
        var schedules = await client.GetFromJsonAsync<JsonElement>("/v1/admin/schedules", Cancelled);
        var schedule = Assert.Single(schedules.GetProperty("data").EnumerateArray(), s => s.GetProperty("name").GetString() == "evaluation");
        Assert.Equal("0 0 0 1 1 ?", schedule.GetProperty("cron").GetString());

        using var asked = await client.PostAsync("/v1/admin/schedules/evaluation/run", null, Cancelled);
        Assert.Equal(HttpStatusCode.Accepted, asked.StatusCode);
        var id = (await asked.JsonAsync()).GetProperty("id").GetGuid();
        var run = default(JsonElement);
        await Wait.UntilAsync(
            "the evaluation to end",
            async () => (run = (await client.GetFromJsonAsync<JsonElement>(Runs, Cancelled)).GetProperty("data").EnumerateArray().Single(r => r.GetProperty("id").GetGuid() == id))
                .GetProperty("status").GetString() is "succeeded" or "failed",
            application,
            "workers",
            TimeSpan.FromMinutes(2));

        Assert.True(run.GetProperty("status").GetString() == "succeeded", run.GetRawText());
        var report = run.GetProperty("report");
        Assert.Equal(("support", "sim-small", "sim-large"), (report.GetProperty("suite").GetString(), report.GetProperty("model").GetString(), report.GetProperty("baseline").GetString()));
        // The worse of the two models, as EVAL's own tests know.
        Assert.Equal("block", report.GetProperty("verdict").GetString());
        Assert.True(report.GetProperty("passed").GetInt32() < report.GetProperty("judged").GetInt32());
        await using var database = await application.OpenSuperuserAsync();
        Assert.Equal(1, await database.ScalarAsync<long>(
            "SELECT count(*) FROM aiaspire.notifications WHERE dedup_key = 'evaluation:' || $1 AND topic = 'incident'", report.GetProperty("evaluation").GetString()!));
    }
}
