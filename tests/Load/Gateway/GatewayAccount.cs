using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Aspire.Hosting;
using Aspire.Hosting.Testing;
using Npgsql;
using StackExchange.Redis;

namespace AiAspire.Load.Gateway;

/// <summary>The ledger beside the companies' bills.</summary>
/// <param name="Charges">How often each question was charged, by its conversation.</param>
/// <param name="Attempts">Rows of the ledger by where their numbers come from.</param>
/// <param name="Open">Still open when the reconciler had had its time.</param>
/// <param name="BillLines">Billed calls of both companies.</param>
/// <param name="WithoutAttempt">Billed calls that the ledger does not know.</param>
/// <param name="Different">Rows with the provider's own numbers that are not those of the bill.</param>
/// <param name="WithoutLine">Rows with the provider's own numbers, not zero, that no company billed.</param>
/// <param name="BeyondBound">Billed calls of more tokens than the row's reservation, where the row promises only that bound.</param>
/// <param name="BoundedBill">Tokens billed for rows without the provider's numbers.</param>
/// <param name="BoundedLedger">Tokens that the ledger has for them.</param>
internal sealed record GatewayBooks(
    IReadOnlyDictionary<Guid, int> Charges, IReadOnlyDictionary<string, int> Attempts, int Open, int BillLines, int WithoutAttempt, int Different, int WithoutLine,
    int BeyondBound, long BoundedBill, long BoundedLedger);

/// <summary>A limit's counter in Redis beside the same sum over the ledger.</summary>
internal sealed record CounterCheck(string Name, long Counter, long Held, long Ledger)
{
    /// <summary>What a process that died had reserved is held until its lease ends.</summary>
    public bool IsEqual => Counter - Held == Ledger;
}

/// <summary>Reads what is left of a run, from the tables, from Redis and from the companies.</summary>
internal sealed class GatewayAccount : IAsyncDisposable
{
    private static readonly TimeSpan Glance = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Reconciled = TimeSpan.FromSeconds(GatewayChaosOptions.AttemptLeaseSeconds + 40);

    /// <summary>Longer than the second look at the ledger after the counters were built.</summary>
    private static readonly TimeSpan CaughtUp = TimeSpan.FromSeconds(75);

    private readonly DistributedApplication _app;
    private readonly TimeProvider _time;
    private readonly NpgsqlDataSource _database;
    private readonly IConnectionMultiplexer _redis;

    private GatewayAccount(DistributedApplication app, TimeProvider time, NpgsqlDataSource database, IConnectionMultiplexer redis)
        => (_app, _time, _database, _redis) = (app, time, database, redis);

    public static async Task<GatewayAccount> CreateAsync(DistributedApplication app, TimeProvider time, CancellationToken cancellationToken) => new(
        app,
        time,
        NpgsqlDataSource.Create((await app.GetConnectionStringAsync("aiaspire", cancellationToken))!),
        await ConnectionMultiplexer.ConnectAsync((await app.GetConnectionStringAsync("redis", cancellationToken))!));

    public async Task<GatewayBooks> BooksAsync(IEnumerable<string> companies, CancellationToken cancellationToken)
    {
        var open = 0;
        for (var started = _time.GetTimestamp(); _time.GetElapsedTime(started) < Reconciled; await Task.Delay(Glance, _time, cancellationToken))
        {
            open = (await QueryAsync("SELECT count(*) FROM aiaspire.ledger_attempts WHERE outcome = 'Open'", r => (int)r.GetInt64(0), cancellationToken)).Single();
            if (open == 0)
                break;
        }

        var attempts = (await QueryAsync(
            """
            SELECT attempt_id, coalesce(usage_source, 'none'), input_tokens + cached_input_tokens + cache_write_tokens, output_tokens, estimated_input_tokens + reserved_output_tokens
            FROM aiaspire.ledger_attempts
            """,
            r => new Row(r.GetGuid(0), r.GetString(1), r.GetInt64(2), r.GetInt64(3), r.GetInt64(4)),
            cancellationToken)).ToDictionary(a => a.Id);
        var (lines, unknown, different, beyond, boundedBill, boundedLedger) = (0, 0, 0, 0, 0L, 0L);
        var billed = new HashSet<Guid>();
        foreach (var company in companies)
        {
            foreach (var (id, input, output) in await BillAsync(company, cancellationToken))
            {
                lines++;
                billed.Add(id);
                if (!attempts.TryGetValue(id, out var row))
                {
                    unknown++;
                }
                else if (row.Source == "Provider")
                {
                    different += (row.Input, row.Output) == (input, output) ? 0 : 1;
                }
                else
                {
                    beyond += input + output > row.Reserved ? 1 : 0;
                    boundedBill += input + output;
                    boundedLedger += row.Input + row.Output;
                }
            }
        }

        var charges = await QueryAsync(
            "SELECT conversation_id, count(*) FROM aiaspire.ledger_requests WHERE conversation_id IS NOT NULL AND charged_cost > 0 GROUP BY 1",
            r => (Id: r.GetGuid(0), Count: (int)r.GetInt64(1)),
            cancellationToken);
        return new GatewayBooks(
            charges.ToDictionary(c => c.Id, c => c.Count),
            attempts.Values.GroupBy(a => a.Source).ToDictionary(g => g.Key, g => g.Count(), StringComparer.Ordinal),
            open, lines, unknown, different,
            attempts.Values.Count(a => a.Source == "Provider" && a.Input + a.Output > 0 && !billed.Contains(a.Id)),
            beyond, boundedBill, boundedLedger);
    }

    /// <summary>Asks until all are equal, or time is up.</summary>
    public async Task<IReadOnlyList<CounterCheck>> CountersAsync(IReadOnlyList<Guid> tenants, CancellationToken cancellationToken)
    {
        var started = _time.GetTimestamp();
        while (true)
        {
            var checks = await CheckAsync(tenants, cancellationToken);
            if (checks.All(c => c.IsEqual) || _time.GetElapsedTime(started) > CaughtUp)
                return checks;
            await Task.Delay(Glance, _time, cancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _redis.DisposeAsync();
        await _database.DisposeAsync();
    }

    private async Task<List<CounterCheck>> CheckAsync(IReadOnlyList<Guid> tenants, CancellationToken cancellationToken)
    {
        var redis = _redis.GetDatabase();
        var generation = (string?)await redis.StringGetAsync("aia:lim:generation") ?? "none";
        var today = _time.GetUtcNow().ToString("yyyyMMdd0000", CultureInfo.InvariantCulture);
        var held = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var dead in await redis.SortedSetRangeByRankAsync($"aia:lim:{generation}:leases"))
        {
            var words = ((string?)await redis.StringGetAsync($"aia:lim:{generation}:res:{dead}") ?? "").Split(' ');
            for (var i = 0; i + 1 < words.Length; i += 2)
                held[words[i]] = held.GetValueOrDefault(words[i]) + long.Parse(words[i + 1], CultureInfo.InvariantCulture);
        }

        var sums = await QueryAsync(
            """
            SELECT tenant_id, user_pseudonym, sum(input_tokens + cached_input_tokens + cache_write_tokens + output_tokens)::bigint,
                sum(charged_cost * 1000000000)::bigint, sum(provider_cost * 1000000000)::bigint
            FROM aiaspire.ledger_requests WHERE started_at >= date_trunc('day', now(), 'UTC') GROUP BY 1, 2
            """,
            r => (Tenant: r.GetGuid(0), User: r.GetGuid(1), Tokens: r.GetInt64(2), Charged: r.GetInt64(3), Provider: r.GetInt64(4)),
            cancellationToken);
        var budgets = await QueryAsync("SELECT budget_id, tenant_id, name FROM aiaspire.budgets WHERE name LIKE 'chaos-%'", r => (Id: r.GetGuid(0), Tenant: r.GetGuid(1), Name: r.GetString(2)), cancellationToken);
        var checks = new List<CounterCheck>();
        foreach (var tenant in tenants)
        {
            var own = sums.Where(s => s.Tenant == tenant).ToList();
            await AddAsync("tokens of the tenant", $"{tenant:N}", own.Sum(s => s.Tokens));
            foreach (var user in own)
                await AddAsync("tokens of the user", $"{tenant:N}:u:{user.User:N}", user.Tokens);
            await AddAsync("charge of the tenant", $"b:{budgets.Single(b => b.Tenant == tenant).Id:N}:{tenant:N}", own.Sum(s => s.Charged));
        }

        await AddAsync("cost of the service", $"b:{budgets.Single(b => b.Name == "chaos-service").Id:N}", sums.Sum(s => s.Provider));
        return checks;

        async Task AddAsync(string name, string counter, long ledger)
        {
            var key = $"aia:lim:{generation}:{counter}:d:{today}";
            checks.Add(new CounterCheck(name, (long?)await redis.StringGetAsync(key) ?? 0, held.GetValueOrDefault(key), ledger));
        }
    }

    private async Task<List<(Guid Id, long Input, long Output)>> BillAsync(string company, CancellationToken cancellationToken)
    {
        using var simulator = _app.CreateHttpClient(company);
        var bill = await simulator.GetFromJsonAsync<JsonElement>("/control/bill?limit=1000000", cancellationToken);
        if (bill.GetProperty("dropped").GetInt64() > 0)
            throw new InvalidOperationException($"The bill of {company} has lost lines: it proves nothing.");
        return [.. bill.GetProperty("lines").EnumerateArray().Where(l => l.GetProperty("billed").GetBoolean()).Select(l =>
        {
            var tokens = l.GetProperty("tokens");
            return (l.GetProperty("clientRequestId").GetGuid(),
                tokens.GetProperty("input").GetInt64() + tokens.GetProperty("cachedInput").GetInt64() + tokens.GetProperty("cacheWrite").GetInt64(),
                tokens.GetProperty("output").GetInt64());
        })];
    }

    private async Task<List<T>> QueryAsync<T>(string sql, Func<NpgsqlDataReader, T> read, CancellationToken cancellationToken)
    {
        await using var command = _database.CreateCommand(sql);
        command.CommandTimeout = 300;
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        var rows = new List<T>();
        while (await reader.ReadAsync(cancellationToken))
            rows.Add(read(reader));
        return rows;
    }

    private sealed record Row(Guid Id, string Source, long Input, long Output, long Reserved);
}
