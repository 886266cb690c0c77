using System.Net.Http.Json;
using System.Text.Json;
using Aspire.Hosting;
using Aspire.Hosting.Testing;

namespace AiAspire.Load.Crash;

/// <summary>How a run went on, as it saw it itself.</summary>
/// <param name="Elapsed">Until the last job was over.</param>
/// <param name="Restarts">Of the database.</param>
/// <param name="OpenAtEnd">Attempts that were open when the last job was over.</param>
/// <param name="Closing">Until none was.</param>
/// <param name="Orphans">Jobs that a worker had when it was killed.</param>
/// <param name="SlowestOrphanSeconds">Longest that one of them was in nobody's hands.</param>
internal sealed record CrashCourse(TimeSpan Elapsed, int Kills, int Restarts, int OpenAtEnd, TimeSpan Closing, int Orphans, double SlowestOrphanSeconds);

/// <summary>What became of each job, by the tables and by the providers' own bills.</summary>
/// <param name="jobs">Each with its number and the client that queued it.</param>
internal sealed class CrashAccount(
    DistributedApplication app, CrashOptions options, PatientDatabase database, IReadOnlyDictionary<Guid, (int Number, HttpClient Client)> jobs)
{
    private const int Checked = 200;

    public async Task<CrashResult> TakeAsync(CrashCourse course, CancellationToken cancellationToken)
    {
        var ids = jobs.Keys.ToArray();
        var states = (await database.QueryAsync(
            "SELECT job_id, state, tries FROM aiaspire.job_history WHERE job_id = ANY ($1)", r => (Id: r.GetGuid(0), State: r.GetString(1), Tries: r.GetInt32(2)), cancellationToken, ids)).ToList();
        var charges = await database.QueryAsync(
            "SELECT conversation_id, count(*) FROM aiaspire.ledger_requests WHERE charged_cost > 0 AND conversation_id = ANY ($1) GROUP BY 1",
            r => (Id: r.GetGuid(0), Count: r.GetInt64(1)), cancellationToken, ids);
        var answers = await database.QueryAsync(
            "SELECT conversation_id, count(*) FROM aiaspire.messages WHERE role = 'assistant' AND conversation_id = ANY ($1) GROUP BY 1",
            r => (Id: r.GetGuid(0), Count: r.GetInt64(1)), cancellationToken, ids);
        var attempts = (await database.QueryAsync("SELECT attempt_id, outcome FROM aiaspire.ledger_attempts", r => (Id: r.GetGuid(0), Outcome: r.GetString(1)), cancellationToken))
            .ToDictionary(a => a.Id, a => a.Outcome);
        var bill = await BillAsync(cancellationToken);
        var charged = charges.ToDictionary(c => c.Id, c => c.Count);
        return new CrashResult
        {
            Options = options,
            Elapsed = course.Elapsed,
            Kills = course.Kills,
            Restarts = course.Restarts,
            Succeeded = states.Count(s => s.State == "Succeeded"),
            DeadLetters = states.Count(s => s.State == "Failed"),
            Lost = ids.Length - states.Select(s => s.Id).Distinct().Count() + (options.Jobs - ids.Length),
            Starts = states.Sum(s => (long)s.Tries),
            ResultsTwice = answers.Count(a => a.Count > 1) + (states.Count - states.Select(s => s.Id).Distinct().Count()),
            ChargedTwice = charged.Count(c => c.Value > 1),
            NotCharged = states.Count(s => s.State == "Succeeded" && !charged.ContainsKey(s.Id)),
            WrongResults = await CountWrongAsync(states.Where(s => s.State == "Succeeded").Select(s => s.Id), cancellationToken),
            BillLines = bill.Count,
            BillWithoutAttempt = bill.Count(id => !attempts.ContainsKey(id)),
            OpenAtEnd = course.OpenAtEnd,
            Abandoned = attempts.Values.Count(o => o == "Abandoned"),
            ClosingSeconds = course.Closing.TotalSeconds,
            StillOpen = attempts.Values.Count(o => o == "Open"),
            Orphans = course.Orphans,
            SlowestOrphanSeconds = course.SlowestOrphanSeconds,
        };
    }

    private async Task<int> CountWrongAsync(IEnumerable<Guid> succeeded, CancellationToken cancellationToken)
    {
        var wrong = 0;
        foreach (var id in succeeded.Take(Checked))
        {
            var (number, client) = jobs[id];
            var job = await client.GetFromJsonAsync<JsonElement>($"/v1/jobs/{id}", cancellationToken);
            if (job.GetProperty("result").GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString() != $"job {number}")
                wrong++;
        }

        return wrong;
    }

    private async Task<List<Guid>> BillAsync(CancellationToken cancellationToken)
    {
        var lines = new List<Guid>();
        foreach (var company in CrashOptions.Companies)
        {
            using var simulator = app.CreateHttpClient(company);
            var bill = await simulator.GetFromJsonAsync<JsonElement>("/control/bill?limit=1000000", cancellationToken);
            lines.AddRange(bill.GetProperty("lines").EnumerateArray().Where(l => l.GetProperty("billed").GetBoolean()).Select(l => l.GetProperty("clientRequestId").GetGuid()));
        }

        return lines;
    }
}
