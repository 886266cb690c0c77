using System.Globalization;
using System.Text;
using Npgsql;

namespace AiAspire.Load.Throughput;

/// <summary>The plans inside the claim and the completion, as they run: <c>auto_explain</c> with its nested statements, in this session alone.</summary>
internal static class ClaimPlan
{
    public static async Task<string> ReadAsync(OurQueue ours, string superuser, CancellationToken cancellationToken)
    {
        const int Waiting = 1_000;
        await ours.EnqueueBulkAsync(Waiting, cancellationToken);
        var text = new StringBuilder();
        await using (var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(superuser) { Pooling = false }.ConnectionString))
        {
            connection.Notice += (_, notice) => text.AppendLine(notice.Notice.MessageText);
            await connection.OpenAsync(cancellationToken);
            await using var command = new NpgsqlCommand(
                """
                LOAD 'auto_explain';
                SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_buffers = on; SET auto_explain.log_nested_statements = on;
                BEGIN;
                SELECT count(*) FROM aiaspire.claim_jobs('plan', ARRAY['load.noop'], 32, interval '1 minute', 64, 7, '00000000-0000-0000-0000-000000000000', false, NULL, NULL, NULL, NULL);
                SET client_min_messages = log;
                SELECT count(*) FROM aiaspire.claim_jobs('plan', ARRAY['load.noop'], 32, interval '1 minute', 64, 7, '00000000-0000-0000-0000-000000000000', false, NULL, NULL, NULL, NULL);
                SELECT count(*) FROM (
                    SELECT array_agg(tenant_id) t, array_agg(user_id) u, array_agg(job_id) j, array_agg(lease_token) l, array_fill('Succeeded'::text, ARRAY[count(*)::integer]) s,
                        array_fill(NULL::bytea, ARRAY[count(*)::integer]) r, array_fill(NULL::text, ARRAY[count(*)::integer]) x, array_fill(0::numeric, ARRAY[count(*)::integer]) c
                    FROM aiaspire.jobs WHERE worker = 'plan') a, LATERAL aiaspire.finish_jobs(t, u, j, l, s, r, x, x, c);
                ROLLBACK;
                """, connection);
            await command.ExecuteNonQueryAsync(cancellationToken);
        }

        await ours.DrainAsync(Waiting, cancellationToken);
        return string.Create(CultureInfo.InvariantCulture, $"The claim of 32 jobs and their completion after all that:\n```\n{text}```\n");
    }
}
