using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>Batches of the key store. PostgreSQL runs a batch as one transaction, so the scope that its first statement sets holds for all.</summary>
internal static class KeyStoreBatch
{
    /// <summary>The rows of one tenant.</summary>
    public static NpgsqlBatch Of(NpgsqlConnection connection, Guid tenantId)
        => new NpgsqlBatch(connection).Add("SELECT set_config('app.tenant_id', $1, true)", Text(tenantId.ToString()));

    /// <summary>The rows of all tenants: for re-wrapping and the replay of tombstones.</summary>
    public static NpgsqlBatch OfAll(NpgsqlConnection connection)
        => new NpgsqlBatch(connection).Add("SELECT set_config('app.reach', 'key_maintenance', true)");

    /// <summary>Writers of one user's keys and tombstone wait for one another; each statement after this one sees what the others committed.</summary>
    public static NpgsqlBatch LockUser(this NpgsqlBatch batch, Guid tenantId, Guid userId)
        => batch.Add("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", Text($"{tenantId}/{userId}"));

    public static NpgsqlBatch LockTenant(this NpgsqlBatch batch, Guid tenantId)
        => batch.Add("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", Text(tenantId.ToString()));

    public static NpgsqlBatch Add(this NpgsqlBatch batch, string sql, params ReadOnlySpan<NpgsqlParameter> parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(parameter);
        batch.BatchCommands.Add(command);
        return batch;
    }

    public static NpgsqlParameter Text(string value) => new NpgsqlParameter<string> { TypedValue = value };

    public static NpgsqlParameter Id(Guid value) => new NpgsqlParameter<Guid> { TypedValue = value };

    public static NpgsqlParameter Number(int value) => new NpgsqlParameter<int> { TypedValue = value };

    public static NpgsqlParameter Bytes(byte[] value) => new NpgsqlParameter<byte[]> { TypedValue = value };

    /// <summary>The rows of the batch's last statement.</summary>
    public static async Task<List<T>> ReadLastAsync<T>(this NpgsqlBatch batch, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken)
    {
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        for (var i = 1; i < batch.BatchCommands.Count; i++)
            await reader.NextResultAsync(cancellationToken);
        return await reader.RowsAsync(read, cancellationToken);
    }

    /// <summary>The rows of the statement the reader is at.</summary>
    public static async Task<List<T>> RowsAsync<T>(this NpgsqlDataReader reader, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken)
    {
        var rows = new List<T>();
        while (await reader.ReadAsync(cancellationToken))
            rows.Add(read(reader));
        return rows;
    }
}
