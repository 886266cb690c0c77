using Npgsql;

namespace AiAspire.Bench.Database;

/// <summary>
/// A million messages and as many ledger attempts of 42 tenants: one with 600,000 of each, one with 1,000, forty that share the rest.
/// Twenty messages make a conversation, ten conversations a user.
/// </summary>
internal static class TenantRows
{
    public const int Large = 600_000;
    public const int Small = 1_000;
    private const int Rest = 399_000;
    private const int OpenEvery = 50;
    private const int RestTenants = 40;

    public static readonly Guid LargeTenant = TenantId(1);
    public static readonly Guid SmallTenant = TenantId(2);

    /// <summary>Ids are computed from numbers, so that a query can name one.</summary>
    private const string FunctionsSql =
        """
        CREATE SCHEMA IF NOT EXISTS bench;
        CREATE OR REPLACE FUNCTION bench.id(kind integer, tenant integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
            RETURN (lpad(to_hex(extract(epoch FROM date_trunc('month', now()))::bigint * 1000 + n / 1000), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
                || '8' || lpad(to_hex(tenant), 3, '0') || lpad(to_hex(n), 12, '0'))::uuid;
        """;

    private static readonly string FillSql =
        $$"""
        SET LOCAL session_replication_role = replica; -- no foreign keys to check: every row is made here
        INSERT INTO aiaspire.tenants (tenant_id, slug, name, plan, status, retention_days, created_at)
            VALUES ($1, 'bench-' || $2, 'Bench', 'bench', 'Active', 365, now());
        INSERT INTO aiaspire.users (tenant_id, user_id, external_id, tier, roles, status, pseudonym, created_at)
            SELECT $1, bench.id(1, $2, u), 'user-' || u, 'pro', '{user}', 'Active', gen_random_uuid(), now()
            FROM generate_series(0, ($3 - 1) / 200) u;
        INSERT INTO aiaspire.conversations (tenant_id, user_id, conversation_id, feature, created_at, last_message_at)
            SELECT $1, bench.id(1, $2, c / 10), bench.id(2, $2, c), 'chat', now(), now() FROM generate_series(0, ($3 - 1) / 20) c;
        INSERT INTO aiaspire.messages (tenant_id, user_id, conversation_id, message_id, request_id, role, content, model, created_at)
            SELECT $1, bench.id(1, $2, m / 200), bench.id(2, $2, m / 20), bench.id(3, $2, m), gen_random_uuid(), 'user',
                decode(repeat(md5(m::text), 16), 'hex'), NULL, now()
            FROM generate_series(0, $3 - 1) m;
        INSERT INTO aiaspire.ledger_attempts (tenant_id, attempt_id, request_id, user_pseudonym, number, feature, tier, provider, model, upstream_model, price_id,
                outcome, estimated_input_tokens, reserved_output_tokens, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
                provider_cost, opened_at, lease_until)
            SELECT $1, bench.id(4, $2, a), bench.id(5, $2, a), bench.id(1, $2, a / 200), 1, 'chat', 'pro', 'sim', 'm', 'm', bench.id(6, 0, 0),
                CASE WHEN a % {{OpenEvery}} = 0 THEN 'Open' ELSE 'Succeeded' END, 10, 10, 10, 0, 0, 10, 0, 0.001, now(), now() + interval '1 day'
            FROM generate_series(0, $3 - 1) a;
        """;

    public static async Task FillAsync(NpgsqlDataSource superuser, Action<string> say, CancellationToken cancellationToken)
    {
        await using var connection = await superuser.OpenConnectionAsync(cancellationToken);
        await ExecuteAsync(connection, FunctionsSql, cancellationToken);
        await FillAsync(connection, 1, Large, cancellationToken);
        await FillAsync(connection, 2, Small, cancellationToken);
        for (var tenant = 3; tenant < 3 + RestTenants; tenant++)
            await FillAsync(connection, tenant, Rest / RestTenants, cancellationToken);
        say("Rows are in; vacuum and statistics.");
        await ExecuteAsync(connection, "VACUUM (ANALYZE) aiaspire.messages, aiaspire.conversations, aiaspire.users, aiaspire.ledger_attempts", cancellationToken);
    }

    /// <summary>Attempts of the large tenant that are still open.</summary>
    public static async Task<IReadOnlyList<Guid>> OpenAttemptsAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand($"SELECT bench.id(4, 1, n) FROM generate_series(0, {Large - 1}, {OpenEvery}) n", connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var ids = new List<Guid>();
        while (await reader.ReadAsync(cancellationToken))
            ids.Add(reader.GetGuid(0));
        return ids;
    }

    /// <summary>An id as <c>bench.id</c> makes it.</summary>
    public static async Task<Guid> IdAsync(NpgsqlConnection connection, int kind, Guid tenant, long n, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand("SELECT bench.id($1, $2, $3)", connection)
        {
            Parameters = { new() { Value = kind }, new() { Value = tenant == LargeTenant ? 1 : 2 }, new() { Value = n } },
        };
        return (Guid)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    private static async Task FillAsync(NpgsqlConnection connection, int tenant, long rows, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        foreach (var sql in FillSql.Split(";\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            await using var command = new NpgsqlCommand(
                sql.TrimEnd(';')
                    .Replace("$1", $"'{TenantId(tenant)}'::uuid", StringComparison.Ordinal)
                    .Replace("$2", $"{tenant}", StringComparison.Ordinal)
                    .Replace("$3", $"{rows}::bigint", StringComparison.Ordinal),
                connection,
                transaction)
            { CommandTimeout = 0 };
            await command.ExecuteNonQueryAsync(cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
    }

    public static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static Guid TenantId(int number) => new($"019b0000-0000-7000-8000-{number:x12}");
}
