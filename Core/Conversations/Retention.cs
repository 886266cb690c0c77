using AiAspire.Core.Data;
using Npgsql;

namespace AiAspire.Core.Conversations;

/// <summary>Deletes conversations whose last message is older than their tenant's retention.</summary>
public sealed class Retention(TenantSessions sessions)
{
    /// <summary>Conversations per transaction: short locks, and progress that is kept when the run is cut.</summary>
    private const int BatchSize = 500;

    /// <returns>How many conversations were deleted, by tenant.</returns>
    public async Task<IReadOnlyDictionary<Guid, long>> DeleteExpiredAsync(CancellationToken cancellationToken)
    {
        var deleted = new Dictionary<Guid, long>();
        long batch;
        do
        {
            batch = 0;
            await sessions.CallFunctionAsync(
                "SELECT tenant_id, deleted FROM aiaspire.delete_expired_conversations($1)",
                row =>
                {
                    var (tenant, count) = (row.GetGuid(0), row.GetInt64(1));
                    deleted[tenant] = deleted.GetValueOrDefault(tenant) + count;
                    batch += count;
                },
                cancellationToken,
                new NpgsqlParameter<int> { TypedValue = BatchSize });
        }
        while (batch == BatchSize);
        return deleted;
    }
}
