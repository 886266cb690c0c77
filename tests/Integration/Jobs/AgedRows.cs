using AiAspire.Core.Data;
using AiAspire.Integration.Application;
using Npgsql;

namespace AiAspire.Integration.Jobs;

/// <summary>Rows of one user as if they had been written days ago, ids included.</summary>
internal sealed record AgedRows(NpgsqlConnection Database, Guid Tenant, Guid User)
{
    /// <summary>An id of so many days ago.</summary>
    public static Guid Id(int days = 0) => new AgedTime(days).NewId();

    /// <summary>One that no worker takes: it waits for tomorrow.</summary>
    public Task AddJobAsync(Guid id, Guid? partOf = null) => Database.ExecuteAsync(
        """
        INSERT INTO aiaspire.jobs (tenant_id, user_id, job_id, kind, part_of, state, priority, available_at, tries, failures, snoozes, lost_leases, max_tries, cancel_requested, payload, created_at)
        VALUES ($1, $2, $3, 'embeddings', nullif($4, '00000000-0000-0000-0000-000000000000'), 'Scheduled', 0, now() + interval '1 day', 0, 0, 0, 0, 1, false, '', now())
        """,
        Tenant, User, id, partOf ?? Guid.Empty);

    /// <summary>A failed one keeps its payload, to be driven again.</summary>
    public Task AddFinishedAsync(Guid id, int days, string state) => Database.ExecuteAsync(
        """
        INSERT INTO aiaspire.job_history (tenant_id, user_id, job_id, kind, state, priority, tries, failures, max_tries, cost, payload, created_at, finished_at)
        SELECT $1, $2, $3, 'embeddings', $5, 0, 1, 1, 1, 0, CASE WHEN $5 = 'Failed' THEN ''::bytea END, at, at FROM (SELECT now() - make_interval(days => $4) AS at) t
        """,
        Tenant, User, id, days, state);

    public Task AddEventAsync(Guid job, int hours) => Database.ExecuteAsync(
        "INSERT INTO aiaspire.job_events (tenant_id, user_id, job_id, sequence, data, created_at) VALUES ($1, $2, $3, $4, '', now() - make_interval(hours => $4))",
        Tenant, User, job, hours);

    public Task AddPartAsync(Guid work, int days) => Database.ExecuteAsync(
        """
        INSERT INTO aiaspire.job_parts (tenant_id, user_id, work_id, part, request_id, succeeded, cost, data, created_at)
        VALUES ($1, $2, $3, $4, gen_random_uuid(), true, 0, '', now() - make_interval(days => $4))
        """,
        Tenant, User, work, days);

    public Task AddFileAsync(Guid id, double days, bool ready = true) => Database.ExecuteAsync(
        """
        INSERT INTO aiaspire.files (tenant_id, user_id, file_id, purpose, name, bytes, is_ready, created_at, expires_at)
        VALUES ($1, $2, $3, 'batch', '', 0, $5, now() - $4 * interval '1 day', now() + interval '1 day')
        """,
        Tenant, User, id, days, ready);

    public Task AddBatchAsync(Guid id, int days, string state, Guid? file = null) => Database.ExecuteAsync(
        """
        INSERT INTO aiaspire.batches (tenant_id, user_id, batch_id, endpoint, state, input_file_id, created_at, expires_at)
        VALUES ($1, $2, $3, '/v1/chat/completions', $5, $6, now() - make_interval(days => $4), now() + interval '1 day')
        """,
        Tenant, User, id, days, state, file ?? Guid.Empty);

    private sealed class AgedTime(int days) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => System.GetUtcNow().AddDays(-days);
    }
}
