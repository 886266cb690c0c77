using System.Text;
using System.Text.Json;
using AiAspire.Integration.Application;
using AiAspire.Load.Batches;

namespace AiAspire.Integration.Batches;

/// <summary>What the tests of batches make, wait for and count.</summary>
internal static class BatchChecks
{
    public const string ChatCompletions = "/v1/chat/completions";

    /// <summary>How long a batch of theirs may take.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    /// <summary>A file of requests to one endpoint, <c>r0</c>, <c>r1</c> and so on.</summary>
    public static byte[] Lines(string url, params object[] bodies)
        => Encoding.UTF8.GetBytes(string.Join('\n', bodies.Select((body, i) => JsonSerializer.Serialize(new { custom_id = $"r{i}", method = "POST", url, body }))));

    /// <summary>The id in the database of what the API calls <c>batch_…</c>.</summary>
    public static Guid IdOf(string batch) => Guid.ParseExact(batch["batch_".Length..], "N");

    public static Guid Id(this BatchOutcome outcome) => IdOf(outcome.Batch.GetProperty("id").GetString()!);

    /// <summary>Waits until so many of a batch's lines are done. They are gone once the batch is over.</summary>
    public static async Task PartsAsync(this RunningApplication application, string batch, int count)
    {
        await using var database = await application.OpenSuperuserAsync();
        var seen = 0L;
        await Wait.UntilAsync(
            $"{count} lines of the batch",
            async () => (seen = await database.ScalarAsync<long>("SELECT count(*) FROM aiaspire.job_parts WHERE work_id = $1", IdOf(batch))) >= count,
            application,
            "workers",
            seen: () => $"Of {batch} {seen} are there.");
    }

    /// <summary>By the ledger, each answer is charged, and nothing but the answers. Of all batches of its user this must be the last.</summary>
    public static async Task ChargedOnceAsync(this RunningApplication application, BatchOutcome outcome)
    {
        await using var database = await application.OpenSuperuserAsync();
        // Ids are of their time: what was asked before the batch was created is another's. Other users' batches may run beside it.
        var charged = await database.ListAsync(
            """
            SELECT r.request_id FROM aiaspire.batches b
            JOIN aiaspire.users u ON u.tenant_id = b.tenant_id AND u.user_id = b.user_id
            JOIN aiaspire.ledger_requests r ON r.tenant_id = u.tenant_id AND r.user_pseudonym = u.pseudonym
            WHERE b.batch_id = $1 AND r.feature = 'batches' AND r.charged_cost > 0 AND r.request_id > $1
            """,
            r => r.GetGuid(0), outcome.Id());
        Assert.Equal(outcome.RequestIds().Order(), charged.Order());
    }
}
