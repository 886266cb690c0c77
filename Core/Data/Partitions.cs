using Npgsql;

namespace AiAspire.Core.Data;

/// <summary>The months that partitioned tables are split into.</summary>
public sealed class Partitions(TenantSessions sessions)
{
    /// <summary>Makes what is missing of the year ahead, and drops months that retention has emptied.</summary>
    /// <exception cref="PostgresException">55P03: a lock was not to be had within two seconds; nothing was changed.</exception>
    public async Task<(int Made, int Dropped)> EnsureAsync(CancellationToken cancellationToken)
    {
        var (made, dropped) = (0, 0);
        await sessions.CallFunctionAsync(
            "SELECT made, dropped FROM aiaspire.ensure_partitions()", row => (made, dropped) = (row.GetInt32(0), row.GetInt32(1)), cancellationToken);
        return (made, dropped);
    }
}
