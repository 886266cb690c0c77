using Npgsql;

namespace AiAspire.Migrator;

/// <summary>Stops a release whose tables are not shut: no policy is better noticed here than in a leak.</summary>
internal static class RowSecurityCheck
{
    private const string UnsafeTablesSql =
        """
        SELECT c.relname FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relnamespace = 'aiaspire'::regnamespace AND c.relkind IN ('r', 'p')
          AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity)
        """;

    private const string UnsafeFunctionsSql =
        """
        SELECT p.proname FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
        WHERE p.pronamespace = 'aiaspire'::regnamespace AND p.prosecdef
          AND (r.rolname <> 'aiaspire_functions' OR NOT EXISTS (SELECT FROM unnest(p.proconfig) setting WHERE setting LIKE 'search_path=%'))
        """;

    public static async Task ThrowIfUnsafeAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var faults = new List<string>();
        faults.AddRange((await ReadAsync(connection, UnsafeTablesSql, cancellationToken)).Select(t => $"table {t} has a tenant_id but no forced row-level security"));
        faults.AddRange((await ReadAsync(connection, UnsafeFunctionsSql, cancellationToken)).Select(f => $"function {f} is SECURITY DEFINER without the functions role or a fixed search_path"));
        if (faults.Count > 0)
            throw new InvalidOperationException("The schema is not safe: " + string.Join("; ", faults) + ". Mend it in security.sql.");
    }

    private static async Task<List<string>> ReadAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var names = new List<string>();
        while (await reader.ReadAsync(cancellationToken))
            names.Add(reader.GetString(0));
        return names;
    }
}
