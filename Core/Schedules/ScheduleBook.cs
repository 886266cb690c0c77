using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace AiAspire.Core.Schedules;

/// <summary>The schedules and their runs, as the workers write them down and operators read them. The scheduler itself is the workers'.</summary>
public sealed class ScheduleBook(TenantSessions sessions, TimeProvider time)
{
    /// <summary>Told when a run was asked for.</summary>
    public const string Topic = "schedule_runs";

    private const int RunsKept = 100;
    private static readonly TimeSpan HandedOverWithin = TimeSpan.FromMinutes(1);

    private TenantSession Platform => sessions.Open(TenantScope.Platform);

    public Task<IReadOnlyList<(Schedule Schedule, ScheduleRun? LastRun)>> ListAsync(CancellationToken cancellationToken)
        => Platform.RunAsync<IReadOnlyList<(Schedule, ScheduleRun?)>>(
            async (db, token) =>
            {
                var runs = db.ScheduleRuns.Where(r => r.StartedAt != null);
                var rows = await db.Schedules.AsNoTracking().OrderBy(s => s.Name)
                    .Select(s => new
                    {
                        Schedule = s,
                        LastRun = runs.Where(r => r.Schedule == s.Name).OrderByDescending(r => r.RunId).FirstOrDefault(),
                    })
                    .ToListAsync(token);
                return [.. rows.Select(r => (r.Schedule, r.LastRun))];
            },
            cancellationToken);

    /// <summary>The last runs, newest first, with those that were asked for and have not begun.</summary>
    /// <returns>Null when there is no such schedule.</returns>
    public Task<List<ScheduleRun>?> ListRunsAsync(string schedule, int limit, CancellationToken cancellationToken)
        => Platform.RunAsync(
            async (db, token) => await db.Schedules.AnyAsync(s => s.Name == schedule, token)
                ? await db.ScheduleRuns.AsNoTracking().Where(r => r.Schedule == schedule).OrderByDescending(r => r.RunId).Take(limit).ToListAsync(token)
                : null,
            cancellationToken);

    /// <summary>Asks for a run now. As long as one that was asked for has not begun, it is that one.</summary>
    /// <param name="schedule">Its name.</param>
    /// <param name="entry">Committed to the platform's audit chain with the request.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <returns>Null when there is no such schedule.</returns>
    public Task<ScheduleRun?> RequestAsync(string schedule, AuditEvent entry, CancellationToken cancellationToken)
    {
        var id = time.NewId();
        return Platform.RunAsync(
            async (db, token) =>
            {
                if (!await db.Schedules.AnyAsync(s => s.Name == schedule, token))
                    return (ScheduleRun?)null;
                // The update changes nothing: it lets the row that is there already be returned.
                var ids = await db.Database.SqlQuery<Guid>(
                    $"""
                    INSERT INTO aiaspire.schedule_runs (tenant_id, run_id, schedule, trigger, state)
                    VALUES ({db.TenantId}, {id}, {schedule}, 'Manual', 'Requested')
                    ON CONFLICT (tenant_id, schedule) WHERE state IN ('Requested', 'Queued') DO UPDATE SET schedule = excluded.schedule
                    RETURNING run_id AS "Value"
                    """).ToListAsync(token);
                await db.NotifyChangedAsync(Topic, token);
                await db.AppendAuditAsync(entry, token);
                var asked = ids[0];
                return await db.ScheduleRuns.AsNoTracking().SingleAsync(r => r.RunId == asked, token);
            },
            cancellationToken);
    }

    /// <summary>Writes down which schedules there are; those of an older version go.</summary>
    public Task DeclareAsync(IReadOnlyCollection<Schedule> schedules, CancellationToken cancellationToken)
        => Platform.RunAsync(
            async (db, token) =>
            {
                foreach (var schedule in schedules)
                {
                    await db.Database.ExecuteSqlAsync(
                        $"""
                        INSERT INTO aiaspire.schedules (tenant_id, name, cron, next_run_at) VALUES ({db.TenantId}, {schedule.Name}, {schedule.Cron}, {schedule.NextRunAt})
                        ON CONFLICT (tenant_id, name) DO UPDATE SET cron = excluded.cron, next_run_at = excluded.next_run_at
                        """,
                        token);
                }

                var names = schedules.Select(s => s.Name).ToArray();
                await db.Schedules.Where(s => !names.Contains(s.Name)).ExecuteDeleteAsync(token);
            },
            cancellationToken);

    /// <summary>
    /// Hands what was asked for over to the scheduler. Of several workers that do so at once each has rows of its own; when one dies
    /// between the hand-over and its commit, another hands over again.
    /// </summary>
    /// <param name="hand">Gives a run to the scheduler; of the same run twice, it takes the second for the first. False: there is no such job.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public Task HandOverAsync(Func<ScheduleRun, CancellationToken, Task<bool>> hand, CancellationToken cancellationToken)
    {
        // One that was handed over and never heard of again is handed over once more.
        var forgotten = Guid.CreateVersion7(time.GetUtcNow() - HandedOverWithin);
        return Platform.RunAsync(
            async (db, token) =>
            {
                var runs = await db.ScheduleRuns.FromSql(
                    $"""
                    SELECT * FROM aiaspire.schedule_runs
                    WHERE tenant_id = {db.TenantId} AND (state = 'Requested' OR state = 'Queued' AND run_id < {forgotten}) FOR UPDATE SKIP LOCKED
                    """).ToListAsync(token);
                foreach (var run in runs)
                {
                    if (await hand(run, token))
                        run.State = RunState.Queued;
                    else
                        (run.State, run.FinishedAt, run.Error) = (RunState.Failed, time.GetUtcNow(), "The workers know no such schedule.");
                }

                await db.SaveChangesAsync(token);
            },
            cancellationToken);
    }

    /// <summary>A run begins. No two of a schedule run at once, so one that seems to is that of a process which died.</summary>
    /// <returns>False: this firing of the schedule has another run.</returns>
    public async Task<bool> StartAsync(ScheduleRun run, DateTimeOffset? nextRunAt, CancellationToken cancellationToken)
    {
        try
        {
            await Platform.RunAsync(
                async (db, token) =>
                {
                    await db.ScheduleRuns.Where(r => r.Schedule == run.Schedule && r.State == RunState.Running && r.RunId != run.RunId)
                        .ExecuteUpdateAsync(s => s.SetProperty(r => r.State, RunState.Lost).SetProperty(r => r.Error, "The process that ran it is gone."), token);
                    await WriteAsync(db, run, token);
                    await db.Schedules.Where(s => s.Name == run.Schedule).ExecuteUpdateAsync(s => s.SetProperty(r => r.NextRunAt, nextRunAt), token);
                },
                cancellationToken);
            return true;
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            return false;
        }
    }

    /// <summary>A run is over.</summary>
    public Task FinishAsync(ScheduleRun run, CancellationToken cancellationToken)
        => Platform.RunAsync(
            async (db, token) =>
            {
                await WriteAsync(db, run, token);
                await db.Database.ExecuteSqlAsync(
                    $"""
                    DELETE FROM aiaspire.schedule_runs WHERE tenant_id = {db.TenantId} AND schedule = {run.Schedule} AND run_id <= (
                        SELECT run_id FROM aiaspire.schedule_runs WHERE tenant_id = {db.TenantId} AND schedule = {run.Schedule} ORDER BY run_id DESC OFFSET {RunsKept} LIMIT 1)
                    """,
                    token);
            },
            cancellationToken);

    // The whole row: an end whose start could not be written is not lost.
    private static Task WriteAsync(AiAspireDb db, ScheduleRun run, CancellationToken cancellationToken) => db.Database.ExecuteSqlAsync(
        $"""
        INSERT INTO aiaspire.schedule_runs (tenant_id, run_id, schedule, trigger, state, due_at, worker, started_at, finished_at, error, report)
        VALUES ({db.TenantId}, {run.RunId}, {run.Schedule}, {run.Trigger.ToString()}, {run.State.ToString()}, {run.DueAt}, {run.Worker}, {run.StartedAt}, {run.FinishedAt},
            {run.Error}, {run.Report}::jsonb)
        ON CONFLICT (tenant_id, run_id) DO UPDATE SET state = excluded.state, due_at = excluded.due_at, worker = excluded.worker, started_at = excluded.started_at,
            finished_at = excluded.finished_at, error = excluded.error, report = excluded.report
        """,
        cancellationToken);
}
