using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Aspire.Hosting;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Load.Batches;

/// <summary>A large batch with bad lines among the good, while workers are killed; then an account by its files, the ledger and the providers' bills.</summary>
internal sealed class BatchLoad(int lines, TimeProvider time, Action<string> say)
{
    private const int BadEvery = 100;
    private const int Workers = 3;
    private const string Model = "sim-large";
    private static readonly TimeSpan KillEvery = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(20);

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        await using var app = await LoadApplication.StartAsync(time, say, cancellationToken, $"--Replicas:Workers={Workers}");
        await using var database = NpgsqlDataSource.Create(app.Superuser);
        await using (var unlimited = database.CreateCommand("UPDATE aiaspire.tiers SET tokens_per_day = NULL; UPDATE aiaspire.tenants SET tokens_per_day = NULL, tokens_per_minute = NULL"))
            await unlimited.ExecuteNonQueryAsync(cancellationToken);
        using (var simulator = app.App.CreateHttpClient("sim-openai"))
        using (var set = await simulator.PutAsJsonAsync("/control/behaviour", new { latency = new { kind = "uniform", minMs = 50, maxMs = 250 } }, cancellationToken))
            set.EnsureSuccessStatusCode();
        var file = BatchFile.Make(lines, BadEvery, Model);
        var run = new BatchRun(app.App.GetEndpoint("api", "http"), app.ApiKey, time);

        say($"Uploading {lines} lines, {file.Content.Length:N0} bytes.");
        var started = time.GetTimestamp();
        var operation = await run.StartAsync(file.Content, "/v1/chat/completions", cancellationToken);
        var uploaded = time.GetElapsedTime(started);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var killing = KillAsync(app.App, over.Token);
        var outcome = await run.OutcomeAsync(operation, Limit, cancellationToken);
        var elapsed = time.GetElapsedTime(started);
        await over.CancelAsync();
        var kills = await killing;

        var charges = await ChargesAsync(database, cancellationToken);
        var billed = await BillAsync(app.App, cancellationToken);
        var attempts = await AttemptsAsync(database, cancellationToken);
        List<string> faults = [.. outcome.Faults(file)];
        if (outcome.RequestIds().Count(id => charges.GetValueOrDefault(id) != 1) is var wrong and > 0)
            faults.Add($"{wrong} answers not charged once");
        if (charges.Count != file.Answers.Count)
            faults.Add($"{charges.Count} charges for {file.Answers.Count} answers");
        if (billed.Count(id => !attempts.Contains(id)) is var unknown and > 0)
            faults.Add($"{unknown} lines of the bill without an attempt");
        var validated = outcome.Batch.GetProperty("in_progress_at").GetInt64() - outcome.Batch.GetProperty("created_at").GetInt64();
        var assembled = outcome.Batch.GetProperty("completed_at").GetInt64() - outcome.Batch.GetProperty("finalizing_at").GetInt64();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"""
            | {lines} lines, one in {BadEvery} bad, {Workers} workers, one killed every {KillEvery.TotalSeconds:0} s ({kills} kills) | |
            |---|--:|
            | From the upload to the end, s | {elapsed.TotalSeconds:0} |
            | of which upload and creation, s | {uploaded.TotalSeconds:0.0} |
            | of which reading and checking the file, s | {validated} |
            | of which putting the files together, s | {assembled} |
            | Requests a second | {lines / elapsed.TotalSeconds:0} |
            | Answers in the output file | {outcome.Output.Count} |
            | Bad lines in the error file | {outcome.Errors.Count} |
            | Provider calls on the bill | {billed.Count} |
            | Requests charged | {charges.Count} |

            {(faults.Count == 0 ? "Sound: every line in one of the two files, once, in order; every answer charged once; every provider call has its attempt." : "**NOT SOUND**: " + string.Join("; ", faults) + ".")}
            """));
        return faults.Count == 0 ? 0 : 1;
    }

    private async Task<int> KillAsync(DistributedApplication app, CancellationToken over)
    {
        using var timer = new PeriodicTimer(KillEvery, time);
        var kills = 0;
        try
        {
            for (var replica = 0; await timer.WaitForNextTickAsync(over); replica = (replica + 1) % Workers)
            {
                if (app.GetResourceProcessId("workers", replica) is not { } pid)
                    continue;
                using (var process = Process.GetProcessById(pid))
                    process.Kill();
                kills++;
                // At once, and not after the pauses that the engine makes before it starts what crashes all the time.
                await app.StopResourceAsync("workers", replica);
                _ = app.StartResourceAsync("workers", replica, over);
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // The batch is over.
        }

        return kills;
    }

    private static async Task<Dictionary<Guid, int>> ChargesAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        var charges = new Dictionary<Guid, int>();
        await using var command = database.CreateCommand("SELECT request_id FROM aiaspire.ledger_requests WHERE feature = 'batches' AND charged_cost > 0");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            charges[reader.GetGuid(0)] = charges.GetValueOrDefault(reader.GetGuid(0)) + 1;
        return charges;
    }

    private static async Task<HashSet<Guid>> AttemptsAsync(NpgsqlDataSource database, CancellationToken cancellationToken)
    {
        var attempts = new HashSet<Guid>();
        await using var command = database.CreateCommand("SELECT attempt_id FROM aiaspire.ledger_attempts");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            attempts.Add(reader.GetGuid(0));
        return attempts;
    }

    private static async Task<List<Guid>> BillAsync(DistributedApplication app, CancellationToken cancellationToken)
    {
        using var simulator = app.CreateHttpClient("sim-openai");
        var bill = await simulator.GetFromJsonAsync<JsonElement>("/control/bill?limit=1000000", cancellationToken);
        return [.. bill.GetProperty("lines").EnumerateArray().Where(l => l.GetProperty("billed").GetBoolean()).Select(l => l.GetProperty("clientRequestId").GetGuid())];
    }
}
