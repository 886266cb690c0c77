using System.Globalization;
using System.Text.Json;
using Npgsql;

namespace AiAspire.Bench.Database;

/// <summary>One query for one tenant.</summary>
/// <param name="Nodes">The plan from the top, partitions that were pruned or never run left out.</param>
internal sealed record PlanRow(string Query, string Tenant, double PlanMs, double RunMs, long Rows, long EstimatedRows, long Pages, string Nodes);

/// <summary>The plans of the hottest queries, as the roles that send them, in a tenant's scope, the statistics being those of all tenants.</summary>
internal static class QueryPlans
{
    /// <summary>As EF and the settling batch send them, with the tenant in the query beside the policy.</summary>
    private static readonly (string Name, string Role, string Sql)[] Queries =
    [
        ("messages of a conversation", "aiaspire_app",
            """
            SELECT m.* FROM aiaspire.messages AS m WHERE m.tenant_id = $1 AND m.conversation_id = $3 ORDER BY m.message_id LIMIT 21
            """),
        ("a user's conversations, newest first", "aiaspire_app",
            """
            SELECT c.* FROM aiaspire.conversations AS c WHERE c.tenant_id = $1 ORDER BY c.conversation_id DESC LIMIT 21
            """),
        ("closing an attempt", "aiaspire_ledger",
            """
            UPDATE aiaspire.ledger_attempts SET outcome = 'Succeeded', output_tokens = 5 WHERE tenant_id = $1 AND attempt_id = $4 AND outcome = 'Open'
            """),
    ];

    public static async Task<IReadOnlyList<PlanRow>> ReadAsync(NpgsqlDataSource superuser, CancellationToken cancellationToken)
    {
        var rows = new List<PlanRow>();
        await using var connection = await superuser.OpenConnectionAsync(cancellationToken);
        foreach (var (name, role, sql) in Queries)
        {
            rows.Add(await ReadAsync(connection, name, role, sql, "600k", TenantRows.LargeTenant, TenantRows.Large, cancellationToken));
            rows.Add(await ReadAsync(connection, name, role, sql, "1k", TenantRows.SmallTenant, TenantRows.Small, cancellationToken));
        }

        return rows;
    }

    private static async Task<PlanRow> ReadAsync(
        NpgsqlConnection connection, string name, string role, string sql, string tenantName, Guid tenant, long size, CancellationToken cancellationToken)
    {
        // Somewhere in the middle; every hundredth attempt is open.
        var message = size / 2;
        var user = await TenantRows.IdAsync(connection, 1, tenant, message / 200, cancellationToken);
        var conversation = await TenantRows.IdAsync(connection, 2, tenant, message / 20, cancellationToken);
        var attempt = await TenantRows.IdAsync(connection, 4, tenant, message / 100 * 100, cancellationToken);
        var text = sql.Replace("$1", $"'{tenant}'", StringComparison.Ordinal).Replace("$3", $"'{conversation}'", StringComparison.Ordinal).Replace("$4", $"'{attempt}'", StringComparison.Ordinal);
        JsonElement last = default;
        // The first run warms caches; an update is undone, so that each run finds the row as it was.
        for (var run = 0; run < 3; run++)
        {
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            await TenantRows.ExecuteAsync(
                connection,
                $"SET LOCAL ROLE {role}; SELECT set_config('app.tenant_id', '{tenant}', true), set_config('app.user_id', '{user}', true), set_config('app.reach', 'user', true)",
                cancellationToken);
            await using (var command = new NpgsqlCommand($"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", connection, transaction))
                last = JsonElement.Parse((string)(await command.ExecuteScalarAsync(cancellationToken))!)[0];
            await transaction.RollbackAsync(cancellationToken);
        }

        var plan = last.GetProperty("Plan");
        return new PlanRow(
            name, tenantName,
            last.GetProperty("Planning Time").GetDouble(),
            last.GetProperty("Execution Time").GetDouble(),
            Number(Scan(plan), "Actual Rows"), Number(Scan(plan), "Plan Rows"),
            Number(plan, "Shared Hit Blocks") + Number(plan, "Shared Read Blocks"),
            string.Join(" → ", Nodes(plan)));
    }

    private static long Number(JsonElement node, string name) => node.TryGetProperty(name, out var value) ? (long)value.GetDouble() : 0;

    /// <summary>The node that reads the table.</summary>
    private static JsonElement Scan(JsonElement node)
        => node.TryGetProperty("Relation Name", out _) && Type(node).Contains("Scan", StringComparison.Ordinal) ? node : Children(node).Select(Scan).FirstOrDefault(n => n.ValueKind == JsonValueKind.Object, node);

    private static IEnumerable<string> Nodes(JsonElement node)
    {
        var index = node.TryGetProperty("Index Name", out var name) ? $" `{name.GetString()}`" : "";
        var condition = node.TryGetProperty("Index Cond", out var cond) ? $" on {Columns(cond.GetString()!)}" : "";
        var filtered = Number(node, "Rows Removed by Filter") is > 0 and var removed ? string.Create(CultureInfo.InvariantCulture, $", {removed} rows filtered away") : "";
        return Children(node).SelectMany(Nodes).Prepend($"{Type(node)}{index}{condition}{filtered}");
    }

    private static string Type(JsonElement node)
        => node.GetProperty("Node Type").GetString() + (node.TryGetProperty("Scan Direction", out var direction) && direction.GetString() == "Backward" ? " Backward" : "");

    /// <summary>Without the initial plans, which read the settings, and without what was never run.</summary>
    private static IEnumerable<JsonElement> Children(JsonElement node)
        => node.TryGetProperty("Plans", out var plans)
            ? plans.EnumerateArray().Where(p => p.GetProperty("Parent Relationship").GetString() != "InitPlan" && Number(p, "Actual Loops") > 0)
            : [];

    private static string Columns(string condition)
        => string.Join(", ", new[] { "tenant_id", "user_id", "conversation_id", "message_id", "attempt_id" }.Where(c => condition.Contains($"({c} ", StringComparison.Ordinal)));
}
