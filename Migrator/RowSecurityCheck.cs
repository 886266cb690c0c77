using Npgsql;

namespace AiAspire.Migrator;

/// <summary>Stops a release whose schema is not shut: what is missing is better noticed here than in a leak.</summary>
internal static class RowSecurityCheck
{
    public static async Task ThrowIfUnsafeAsync(NpgsqlConnection connection, string schema, CancellationToken cancellationToken)
    {
        var faults = await SchemaLints.FaultsAsync(connection, schema, cancellationToken);
        if (faults.Count > 0)
            throw new InvalidOperationException($"The schema {schema} is not safe: {string.Join("; ", faults.Select(f => f.Fault))}. Mend it in Migrator/Sql, or list it with its reason in SchemaExceptions.");
    }
}
