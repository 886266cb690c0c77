using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Integration.Schedules;

[Collection(ApplicationCollection.Name)]
public sealed class ScheduleTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Operators_see_every_schedule_and_each_firing_ran_once_though_both_workers_took_part()
    {
        using var client = application.Developer();
        await Wait.UntilAsync(
            "twenty runs of retention",
            async () => (await RunsAsync(client, "conversation-retention")).Count(r => Status(r) == "succeeded") >= 20,
            application,
            "workers",
            TimeSpan.FromSeconds(90));

        var schedules = await ListAsync(client);
        string[] expected = ["conversation-retention", "idempotency-cleanup", "key-age", "ledger-reconciliation", "notification-cleanup", "partitions", "provider-probes", "usage-rollup"];
        Assert.Empty(expected.Except(schedules.Select(s => s.GetProperty("name").GetString()!), StringComparer.Ordinal));
        var retention = schedules.Single(s => s.GetProperty("name").GetString() == "conversation-retention");
        Assert.Equal("0/2 * * * * ?", retention.GetProperty("cron").GetString());
        Assert.InRange(retention.GetProperty("next_run_at").GetDateTimeOffset(), TimeProvider.System.GetUtcNow().AddSeconds(-30), TimeProvider.System.GetUtcNow().AddSeconds(10));
        Assert.NotEqual(JsonValueKind.Null, retention.GetProperty("last_run").GetProperty("started_at").ValueKind);

        await using var database = await application.OpenSuperuserAsync();
        var executions = Executions.Of(application.App);
        Assert.True(executions.Count >= 20, $"the workers' logs tell of {executions.Count} firings");
        Executions.EachRanOnce(executions);
        // Else the test says nothing: one worker alone repeats no firing. One that was killed stays in the list for a while.
        Assert.InRange(await database.ScalarAsync<long>("SELECT count(*) FROM quartz.qrtz_scheduler_state"), 2, long.MaxValue);
        // No two at once either.
        Assert.Equal(0, await database.ScalarAsync<long>(
            """
            SELECT count(*) FROM aiaspire.schedule_runs a JOIN aiaspire.schedule_runs b ON b.schedule = a.schedule AND b.run_id > a.run_id
                AND b.started_at < a.finished_at - interval '50 milliseconds' AND a.started_at < b.finished_at - interval '50 milliseconds'
            """));
    }

    [Fact]
    public async Task A_firing_that_another_worker_has_taken_does_not_run_again()
    {
        await using var database = await application.OpenSuperuserAsync();
        // As a worker would that hung past its check-in: the scheduler gives its firing to the next one, and then it wakes.
        var due = await database.ScalarAsync<DateTime>(
            """
            INSERT INTO aiaspire.schedule_runs (tenant_id, run_id, schedule, trigger, state, due_at, worker, started_at, finished_at)
            SELECT tenant_id, gen_random_uuid(), name, 'Schedule', 'Succeeded', next_run_at + interval '4 seconds', 'elsewhere', now(), now()
            FROM aiaspire.schedules WHERE name = 'conversation-retention' RETURNING due_at
            """);

        var leftAlone = string.Create(CultureInfo.InvariantCulture, $"The firing of conversation-retention at {new DateTimeOffset(due)} has its run; it does not run again");
        await Wait.UntilAsync(
            "the firing to be left alone",
            () => Task.FromResult(application.App.GetResourceLogs("workers").Any(line => line.Contains(leftAlone, StringComparison.Ordinal))),
            application,
            "workers");

        Assert.DoesNotContain(("conversation-retention", new DateTimeOffset(due)), Executions.Of(application.App));
        Assert.Equal("elsewhere", await database.ScalarAsync<string>("SELECT worker FROM aiaspire.schedule_runs WHERE due_at = $1 AND schedule = 'conversation-retention'", due));
    }

    [Fact]
    public async Task A_run_on_request_happens_once_however_often_it_is_asked_for_and_is_reported()
    {
        using var client = application.Developer();
        var ids = new HashSet<Guid>();
        foreach (var answer in await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => client.PostAsync("/v1/admin/schedules/partitions/run", null, Cancelled))))
        {
            Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
            ids.Add((await answer.JsonAsync()).GetProperty("id").GetGuid());
            answer.Dispose();
        }

        await Wait.UntilAsync(
            "the runs that were asked for",
            async () => (await RunsAsync(client, "partitions")).Where(r => ids.Contains(Id(r))).ToList() is { } runs && runs.Count == ids.Count && runs.TrueForAll(r => Status(r) == "succeeded"),
            application,
            "workers");
        var done = (await RunsAsync(client, "partitions")).Where(r => ids.Contains(Id(r))).ToList();
        // Ten at the same moment: some may have come when the first had begun.
        Assert.InRange(ids.Count, 1, 3);
        Assert.All(done, r => Assert.Equal("manual", r.GetProperty("trigger").GetString()));
        Assert.All(done, r => Assert.Equal(JsonValueKind.Number, r.GetProperty("report").GetProperty("made").ValueKind));
        Assert.All(done, r => Assert.InRange(r.GetProperty("duration_ms").GetInt64(), 0, 30_000));

        using var unknown = await client.PostAsync("/v1/admin/schedules/nothing/run", null, Cancelled);
        await unknown.ErrorAsync(HttpStatusCode.NotFound, "not_found", param: "name");
        using var user = application.Client(application.UserKey("carol"));
        using var refused = await user.PostAsync("/v1/admin/schedules/partitions/run", null, Cancelled);
        await refused.ErrorAsync(HttpStatusCode.Forbidden);
    }

    [Fact]
    [Trait("Checklist", "LOAD-08")]
    public async Task A_run_ends_with_its_worker_and_keeps_nothing_waiting_that_stops_after_it()
    {
        using var client = application.Developer();
        await using var database = await application.OpenSuperuserAsync();
        await using var blocking = await application.OpenSuperuserAsync();
        await using var held = await blocking.BeginTransactionAsync(Cancelled);
        await blocking.ExecuteAsync("LOCK TABLE aiaspire.idempotency_keys IN ACCESS EXCLUSIVE MODE");
        // By an operator's hand with no key: a keyed request needs the table.
        var id = await RequestAsync(client, "idempotency-cleanup");
        var pid = await Wait.ForAsync(
            "the clean-up to wait for the table",
            async () => (await database.ListAsync(
                "SELECT worker FROM aiaspire.schedule_runs WHERE run_id = $1 AND state = 'Running' AND EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%delete_expired_idempotency_keys%')",
                r => r.GetString(0)[(r.GetString(0).LastIndexOf(':') + 1)..], id)).SingleOrDefault(),
            application,
            "workers");
        var replica = Enumerable.Range(0, 2).Single(r => application.App.GetResourceProcessId("workers", r) == int.Parse(pid, CultureInfo.InvariantCulture));
        try
        {
            await application.App.StopResourceAsync("workers", replica);

            Assert.Equal(
                ["Failed: Its worker was stopped. The next run does what this one did not."],
                await database.ListAsync("SELECT state || ': ' || error FROM aiaspire.schedule_runs WHERE run_id = $1", r => r.GetString(0), id));
        }
        finally
        {
            await held.RollbackAsync(Cancelled);
            await application.App.StartResourceAsync("workers", replica, Cancelled);
        }
    }

    [Fact]
    public async Task A_run_that_fails_says_why()
    {
        using var client = application.Developer();
        await using var database = await application.OpenSuperuserAsync();
        await database.ExecuteAsync("ALTER FUNCTION aiaspire.delete_old_notifications(integer, integer) RENAME TO hidden");
        Guid id;
        try
        {
            id = await RequestAsync(client, "notification-cleanup");
            await EndedAsync(client, "notification-cleanup", id, "failed");
        }
        finally
        {
            await database.ExecuteAsync("ALTER FUNCTION aiaspire.hidden(integer, integer) RENAME TO delete_old_notifications");
        }

        var failed = (await RunsAsync(client, "notification-cleanup")).Single(r => Id(r) == id);
        Assert.Contains("delete_old_notifications", failed.GetProperty("error").GetString(), StringComparison.Ordinal);
        await EndedAsync(client, "notification-cleanup", await RequestAsync(client, "notification-cleanup"), "succeeded");
    }

    [Fact]
    public async Task Firings_missed_while_no_worker_was_there_are_made_up_for_by_one_run()
    {
        using var client = application.Developer();
        await using var database = await application.OpenSuperuserAsync();
        await Wait.UntilAsync(
            "the trigger",
            async () => await database.ScalarAsync<long>("SELECT count(*) FROM quartz.qrtz_triggers WHERE trigger_name = 'key-age-schedule'") == 1,
            application,
            "workers");
        await Task.WhenAll(application.App.KillResourceAsync("workers", 0, Cancelled), application.App.KillResourceAsync("workers", 1, Cancelled));
        // Should its time of day have come while the application ran: that firing is one of the missed ones, too.
        await database.ExecuteAsync("DELETE FROM aiaspire.schedule_runs WHERE schedule = 'key-age' AND trigger = 'Schedule'");
        var before = (await RunsAsync(client, "key-age")).Count;
        // As if it had last fired three days ago: three firings were missed.
        Assert.Equal(1, await database.ExecuteAsync(
            """
            UPDATE quartz.qrtz_triggers SET prev_fire_time = prev.ticks, next_fire_time = prev.ticks + 864000000000, start_time = prev.ticks - 864000000000
            FROM (SELECT 621355968000000000 + (extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') - interval '3 days') * 10000000)::bigint + 220200000000 AS ticks) prev
            WHERE trigger_name = 'key-age-schedule'
            """));

        await Wait.UntilAsync("the missed run", async () => await RunsAsync(client, "key-age") is var seen && seen.Count > before && Status(seen[0]) != "running", application, "workers", TimeSpan.FromSeconds(60));
        // A run of another schedule that both have passed since then: what else was to fire has fired.
        await EndedAsync(client, "partitions", await RequestAsync(client, "partitions"), "succeeded");
        var runs = await RunsAsync(client, "key-age");
        Assert.Equal(before + 1, runs.Count);
        Assert.Equal("succeeded", Status(runs[0]));
        Assert.Equal("schedule", runs[0].GetProperty("trigger").GetString());
    }

    [Fact]
    public async Task Partitions_are_made_ahead_and_old_ones_go_only_when_they_are_empty()
    {
        using var client = application.Developer();
        await using var database = await application.OpenSuperuserAsync();
        var now = TimeProvider.System.GetUtcNow();
        var ahead = $"job_history_{now.AddMonths(2):yyyy_MM}";
        await database.ExecuteAsync($"DROP TABLE aiaspire.{ahead}");
        foreach (var (month, bounds) in new[] { ("2020_01", ("016f5e66-e800-0000-0000-000000000000", "016ffe0c-0c00-0000-0000-000000000000")), ("2020_02", ("016ffe0c-0c00-0000-0000-000000000000", "01709364-7800-0000-0000-000000000000")) })
            await database.ExecuteAsync($"CREATE TABLE IF NOT EXISTS aiaspire.job_history_{month} PARTITION OF aiaspire.job_history FOR VALUES FROM ('{bounds.Item1}') TO ('{bounds.Item2}'); ALTER TABLE aiaspire.job_history_{month} OWNER TO aiaspire_owner, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
        var tenant = await database.ScalarAsync<Guid>("SELECT tenant_id FROM aiaspire.users WHERE tenant_id <> '00000000-0000-7000-8000-000000000001' LIMIT 1");
        // Retention would delete it before the drop can be tried; its end lies in the future.
        await database.ExecuteAsync(
            """
            INSERT INTO aiaspire.job_history (tenant_id, user_id, job_id, kind, state, priority, tries, failures, max_tries, cost, created_at, finished_at)
            SELECT $1, user_id, '01700000-0000-7000-8000-000000000001', 'chat.completion', 'Cancelled', 0, 0, 0, 1, 0, now(), now() + interval '1 day' FROM aiaspire.users WHERE tenant_id = $1 LIMIT 1
            """,
            tenant);
        try
        {
            await EndedAsync(client, "partitions", await RequestAsync(client, "partitions"), "succeeded");

            Assert.True(await ExistsAsync(database, ahead), "the month ahead was not made again");
            Assert.True(await database.ScalarAsync<bool>("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relname = $1", ahead));
            Assert.False(await ExistsAsync(database, "job_history_2020_01"), "an empty old month is still there");
            Assert.True(await ExistsAsync(database, "job_history_2020_02"), "a month with a row in it was dropped");
        }
        finally
        {
            await database.ExecuteAsync("DROP TABLE IF EXISTS aiaspire.job_history_2020_02");
        }
    }

    [Fact]
    [Trait("Checklist", "PRIV-06")]
    public async Task A_dry_run_of_retention_counts_and_deletes_nothing()
    {
        using var client = application.Developer();
        using var chat = await client.ChatAsync("a young one");
        var conversation = Guid.Parse(chat.Header("x-aiaspire-conversation"));
        await using var database = await application.OpenSuperuserAsync();
        // Held by a lock, which retention passes over and a count does not mind.
        await database.ExecuteAsync("UPDATE aiaspire.conversations SET last_message_at = now() - interval '4000 days' WHERE conversation_id = $1", conversation);
        await using var holder = await application.OpenSuperuserAsync();
        var tenant = await database.ScalarAsync<Guid>("SELECT tenant_id FROM aiaspire.tenants WHERE slug = 'acme'");
        await using var transaction = await holder.BeginTransactionAsync(Cancelled);
        if (await holder.ExecuteAsync("UPDATE aiaspire.conversations SET last_message_at = last_message_at WHERE conversation_id = $1", conversation) == 0)
            Assert.Skip("Retention was faster than the lock.");

        var expired = await client.GetFromJsonAsync<JsonElement>("/v1/admin/retention/expired", Cancelled);
        var row = expired.GetProperty("data").EnumerateArray().Single(e => e.GetProperty("tenant_id").GetGuid() == tenant);
        Assert.True(row.GetProperty("conversations").GetInt64() >= 1);
        Assert.Equal(1, await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.conversations WHERE conversation_id = $1", conversation));
    }

    private static Task<bool> ExistsAsync(NpgsqlConnection database, string table)
        => database.ScalarAsync<bool>("SELECT to_regclass('aiaspire.' || $1) IS NOT NULL", table);

    private Task EndedAsync(HttpClient client, string schedule, Guid run, string status) => Wait.UntilAsync(
        $"run {run} of {schedule} to be {status}",
        async () => (await RunsAsync(client, schedule)).Exists(r => Id(r) == run && Status(r) == status),
        application,
        "workers");

    private static async Task<Guid> RequestAsync(HttpClient client, string schedule)
    {
        using var response = await client.PostAsync($"/v1/admin/schedules/{schedule}/run", null, Cancelled);
        return Id(await response.JsonAsync());
    }

    private static async Task<List<JsonElement>> ListAsync(HttpClient client)
        => [.. (await client.GetFromJsonAsync<JsonElement>("/v1/admin/schedules", Cancelled)).GetProperty("data").EnumerateArray()];

    private static async Task<List<JsonElement>> RunsAsync(HttpClient client, string schedule)
        => [.. (await client.GetFromJsonAsync<JsonElement>($"/v1/admin/schedules/{schedule}/runs?limit=100", Cancelled)).GetProperty("data").EnumerateArray()];

    private static Guid Id(JsonElement run) => run.GetProperty("id").GetGuid();

    private static string Status(JsonElement run) => run.GetProperty("status").GetString()!;
}
