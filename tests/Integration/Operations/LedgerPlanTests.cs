using AiAspire.Core.Ledger;
using AiAspire.Integration.Application;
using AiAspire.Integration.Isolation;
using Npgsql;

namespace AiAspire.Integration.Operations;

/// <summary>
/// The ledger role keeps one plan for each of its statements, made when the tables may have been empty and unknown to the statistics. A
/// plan that scans would make every settlement slower with each request of the month.
/// </summary>
[Collection(ApplicationCollection.Name)]
public sealed class LedgerPlanTests(RunningApplication application)
{
    private const string Ids = "ARRAY[aiaspire.least_id(now())]";

    [Fact]
    public async Task Attempts_are_found_by_their_keys_in_an_empty_table()
    {
        var plan = await PlanAsync(Settlement.CloseAttemptsSql,
            "uuid[], uuid[], text[], int[], text[], text[], bigint[], bigint[], bigint[], bigint[], bigint[], numeric[], text[], timestamptz[], float8[], float8[], uuid[], uuid, uuid",
            $"{Ids}, {Ids}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, {Ids}, aiaspire.least_id(now()), aiaspire.least_id(now())");
        AssertLookedUp(plan, "attempt_id = s.attempt_id", "request_id = s.request_id");
    }

    [Fact]
    public async Task Requests_are_found_by_their_keys_in_an_empty_table()
    {
        var plan = await PlanAsync(Settlement.CorrectRequestsSql,
            "uuid[], uuid[], uuid[], uuid[], uuid[], text[], text[], text[], text[], text[], text[], boolean[], int[], bigint[], bigint[], bigint[], bigint[], bigint[], numeric[], numeric[], boolean[], numeric[], timestamptz[], timestamptz[], float8[], uuid, uuid",
            $"{Ids}, {Ids}{string.Concat(Enumerable.Repeat(", NULL", 23))}, aiaspire.least_id(now()), aiaspire.least_id(now())");
        AssertLookedUp(plan, "request_id = b.request_id");
    }

    private static void AssertLookedUp(IReadOnlyList<string> plan, params string[] keys)
    {
        var text = string.Join('\n', plan);
        Assert.True(plan.Count(static l => l.Contains("Subplans Removed", StringComparison.Ordinal)) == 1, $"months were not left out:\n{text}");
        Assert.DoesNotContain("Seq Scan", text, StringComparison.Ordinal);
        var conditions = plan.Where(static l => l.Contains("Index Cond", StringComparison.Ordinal)).ToList();
        Assert.True(conditions.Count > 0 && conditions.TrueForAll(c => keys.Any(k => c.Contains(k, StringComparison.Ordinal))), $"not by key:\n{text}");
    }

    private async Task<List<string>> PlanAsync(string sql, string types, string values)
    {
        await using var database = await ScratchDatabase.CreateAsync(application);
        await using var connection = await database.OpenSuperuserAsync();
        // As at the role's login; a member of it would not get them.
        foreach (var setting in await connection.ListAsync(
            "SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE r.rolname = 'aiaspire_ledger'", static r => r.GetString(0)))
        {
            var (name, value) = (setting.Split('=')[0], setting.Split('=')[1]);
            await connection.ExecuteAsync($"SET {name} = {value}");
        }

        await connection.ExecuteAsync("SET ROLE aiaspire_ledger");
        await connection.ExecuteAsync($"PREPARE settle ({types}) AS {sql}");
        return await connection.ListAsync($"EXPLAIN EXECUTE settle({values})", static (NpgsqlDataReader r) => r.GetString(0));
    }
}
