using System.Globalization;
using System.Text;

namespace AiAspire.Bench.Database;

/// <summary>
/// <c>dotnet run -c Release --project tests/Bench -- database [FILE]</c>: what row-level security and encryption cost, and the plans of the
/// hottest queries. With a file, its section between the two marks is written anew.
/// </summary>
internal static class DatabaseBench
{
    public const string Verb = "database";
    private const string Begin = "<!-- database: written by the bench -->";
    private const string End = "<!-- /database -->";

    public static async Task RunAsync(string? file, TimeProvider time, Action<string> say, CancellationToken cancellationToken)
    {
        var facts = await MachineFacts.ReadAsync(time, cancellationToken);
        await using var whole = await WholeApplication.StartAsync(time, say, cancellationToken);
        say("Filling in a million rows.");
        await TenantRows.FillAsync(whole.Superuser, say, cancellationToken);
        var plans = await QueryPlans.ReadAsync(whole.Superuser, cancellationToken);
        var cipher = await CipherBench.CipherAsync(whole.ContentConnection, whole.KeyStoreConnection, whole.MasterKeyFile, cancellationToken);
        var speeds = CipherBench.Measure(cipher, time);
        say("What a request costs.");
        var costs = await new RequestCost(whole.Superuser, cipher, time).MeasureAsync(cancellationToken);
        var text = Markdown(facts, whole.Database, plans, speeds, costs);
        Console.WriteLine(text);
        if (file is not null)
            await WriteAsync(file, text, cancellationToken);
    }

    private static string Markdown(
        MachineFacts machine, string database, IReadOnlyList<PlanRow> plans, IReadOnlyList<CipherSpeed> speeds, IReadOnlyList<CostRow> costs)
    {
        var text = new StringBuilder();
        text.AppendLine($"- {machine.Date}, commit {machine.Commit}, {machine.Configuration} build; {machine.Cores} cores ({machine.Cpu}); {database}; load average at the start {machine.LoadAverage}");
        text.AppendLine();
        text.AppendLine("Per request, µs (medians of 5 rounds of 400 calls, the four ways in turn, `synchronous_commit` off so that the disk hides nothing)");
        text.AppendLine();
        text.AppendLine("| Row-level security | Encryption | settling batch | reading 20 messages |");
        text.AppendLine("|---|---|--:|--:|");
        foreach (var cost in costs)
            text.AppendLine(string.Create(CultureInfo.InvariantCulture, $"| {Word(cost.RowSecurity)} | {Word(cost.Encryption)} | {cost.SettleMicroseconds:0} ({Sign(cost.SettleMicroseconds - costs[0].SettleMicroseconds)}) | {cost.ReadMicroseconds:0} ({Sign(cost.ReadMicroseconds - costs[0].ReadMicroseconds)}) |"));
        text.AppendLine();
        text.AppendLine("Encryption (AES-256-GCM, one thread, best of 7 rounds)");
        text.AppendLine();
        text.AppendLine("| Content | seal µs | MB/s | open µs | MB/s |");
        text.AppendLine("|--:|--:|--:|--:|--:|");
        foreach (var speed in speeds)
            text.AppendLine(string.Create(CultureInfo.InvariantCulture, $"| {speed.Bytes:#,0} B | {speed.SealMicroseconds:0.0} | {speed.Bytes / speed.SealMicroseconds:#,0} | {speed.OpenMicroseconds:0.0} | {speed.Bytes / speed.OpenMicroseconds:#,0} |"));
        text.AppendLine();
        text.AppendLine("Plans as the roles that send them, 1,000,000 rows of 42 tenants; third run of each, caches warm");
        text.AppendLine();
        text.AppendLine("| Query | Tenant | plan ms | run ms | rows (estimated) | pages | Plan |");
        text.AppendLine("|---|--:|--:|--:|--:|--:|---|");
        foreach (var plan in plans)
            text.AppendLine(string.Create(CultureInfo.InvariantCulture, $"| {plan.Query} | {plan.Tenant} | {plan.PlanMs:0.00} | {plan.RunMs:0.00} | {plan.Rows} ({plan.EstimatedRows}) | {plan.Pages} | {plan.Nodes} |"));
        return text.ToString();
    }

    private static async Task WriteAsync(string file, string text, CancellationToken cancellationToken)
    {
        var whole = await File.ReadAllTextAsync(file, cancellationToken);
        var (begin, end) = (whole.IndexOf(Begin, StringComparison.Ordinal), whole.IndexOf(End, StringComparison.Ordinal));
        if (begin < 0 || end < begin)
            throw new InvalidOperationException($"{file} has no section between '{Begin}' and '{End}'.");
        await File.WriteAllTextAsync(file, whole[..(begin + Begin.Length)] + "\n" + text + whole[end..], cancellationToken);
    }

    private static string Word(bool on) => on ? "on" : "off";

    private static string Sign(double microseconds) => microseconds.ToString("+0;-0;0", CultureInfo.InvariantCulture);
}
