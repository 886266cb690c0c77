using AiAspire.Core.Wire;

namespace AiAspire.Unit.Architecture;

/// <summary>There is one door to the tables.</summary>
public sealed class DataAccessTests
{
    private const string DataFolder = "AiAspire.Core.Data";
    private const string Context = "AiAspire.Core.Data.AiAspireDb";
    private const string Sessions = "AiAspire.Core.Data.TenantSessions";

    private static readonly TypeArrows Core = TypeArrows.Read(typeof(ChatRequest).Assembly);

    /// <summary>Who in Core may hold a connection, and why.</summary>
    private static readonly Dictionary<string, string> MayConnect = new(StringComparer.Ordinal)
    {
        ["AiAspire.Core.Data"] = "the door itself, and the change feed",
        ["AiAspire.Core.Encryption"] = "the key store is a database of its own",
        ["AiAspire.Core.Ledger"] = "opens attempts of all tenants in one statement, by a role that can insert and nothing else",
    };

    private static readonly TypeArrows[] Processes =
        [TypeArrows.Read(typeof(AiAspire.Api.Identity.Policies).Assembly), TypeArrows.Read(typeof(AiAspire.Workers.Jobs.JobRunnerOptions).Assembly), TypeArrows.Read(typeof(AiAspire.Evaluator.EvaluationServices).Assembly)];

    /// <summary>Who opens sessions beside the request's own, or calls a function that crosses tenants, and for whom.</summary>
    private static readonly Dictionary<string, string> MayOpen = new(StringComparer.Ordinal)
    {
        ["AiAspire.Api.Admin.Administration"] = "the tenant that an administrator or operator administers",
        ["AiAspire.Api.Admin.NotificationEndpoints"] = "the platform's own settings, for operators",
        ["AiAspire.Api.Admin.OnCallEndpoints"] = "the platform's rota, for operators",
        ["AiAspire.Api.Admin.TenantEndpoints"] = "operators list tenants, through list_tenants",
        ["AiAspire.Api.Audit.AuditEndpoints"] = "auditors read a chain, and leave an entry in it",
        ["AiAspire.Api.Identity.IdentityRegistration"] = "the caller's own session",
        ["AiAspire.Core.Audit.AuditReader"] = "reads a chain for whoever was let in",
        ["AiAspire.Core.Audit.HeadExporter"] = "signs the heads of all chains, through audit_heads_since",
        ["AiAspire.Core.Audit.SecurityEvents"] = "writes entries of events without a caller",
        ["AiAspire.Core.Batches.BatchJob"] = "the user of a claimed batch",
        ["AiAspire.Core.Batches.BatchLinesJob"] = "the user of claimed lines of a batch",
        ["AiAspire.Core.Batches.BatchRetention"] = "deletes by time alone, through delete_expired_batches",
        ["AiAspire.Core.Chat.CallBooks"] = "settles in the caller's scope",
        ["AiAspire.Core.Chat.EmbeddingsJob"] = "the parts of a claimed job, for its user",
        ["AiAspire.Core.Conversations.Retention"] = "deletes and counts by time alone, through delete_expired_conversations and expired_by_retention",
        ["AiAspire.Core.Data.Partitions"] = "months of the partitioned tables, through ensure_partitions",
        ["AiAspire.Core.Encryption.KeyAudit"] = "writes what is done to keys into the chain it belongs to",
        ["AiAspire.Core.Files.FileRetention"] = "deletes by time alone, through delete_expired_files",
        ["AiAspire.Core.Idempotency.IdempotencyStore"] = "the caller's own keys; expired ones through delete_expired_idempotency_keys",
        ["AiAspire.Core.Jobs.JobEventLogs"] = "the events of a claimed job, for its user",
        ["AiAspire.Core.Jobs.JobLeases"] = "claims, renews and finishes jobs of all tenants, through the queue's functions",
        ["AiAspire.Core.Jobs.JobNotifier"] = "wakes those who wait for jobs; reads no table",
        ["AiAspire.Core.Jobs.JobRetention"] = "deletes by time alone, through delete_expired_jobs, delete_expired_job_parts and delete_expired_job_events",
        ["AiAspire.Core.Ledger.Reconciler"] = "closes what dead processes left open, through reconcile_attempts",
        ["AiAspire.Core.Ledger.UsageReports"] = "sums for operators, through usage_sums_of_all and top_users_of_all",
        ["AiAspire.Core.Limits.BudgetAlarms"] = "tells the budget's tenant or the platform",
        ["AiAspire.Core.Limits.BudgetBook"] = "the budgets of the caller's tenant",
        ["AiAspire.Core.Limits.LedgerCounters"] = "sums the ledger of all tenants, through list_budgets and limit_use",
        ["AiAspire.Core.Models.CatalogStore"] = "the platform's models",
        ["AiAspire.Core.Models.PriceBook"] = "the platform's prices",
        ["AiAspire.Core.Notifications.NotificationQueue"] = "sends what waits in all tenants, after claim_notifications",
        ["AiAspire.Core.Privacy.UserErasure"] = "erases the user that an administrator names",
        ["AiAspire.Core.Rollouts.KillSwitches"] = "the platform's switches",
        ["AiAspire.Core.Routing.ProviderBook"] = "the platform's figures of its providers",
        ["AiAspire.Core.Routing.ProviderKeyAges"] = "the platform's keys of its providers, and word of them to operators",
        ["AiAspire.Core.Routing.ProviderKeyStore"] = "the platform's keys of its providers",
        ["AiAspire.Core.Schedules.ScheduleBook"] = "the platform's schedules and their runs",
        ["AiAspire.Core.Tenancy.CallerDirectory"] = "finds the tenant and user of a credential",
        ["AiAspire.Core.Tenancy.KeyUses"] = "notes when a tenant's keys were used",
        ["AiAspire.Workers.Evaluations.EvaluationJob"] = "tells operators of a verdict, in the platform's scope",
    };

    /// <summary>Types of the processes that hold a connection of their own, and why.</summary>
    private static readonly Dictionary<string, string> ProcessesMayConnect = new(StringComparer.Ordinal)
    {
        ["AiAspire.Api.Jobs.JobEventSignal"] = "LISTENs for events of jobs; reads no table",
        ["AiAspire.Workers.Jobs.JobSignal"] = "LISTENs for jobs; reads no table",
    };

    [Fact]
    public void Only_listed_types_open_a_session_or_cross_tenants()
    {
        var openers = Processes.Append(Core).SelectMany(a => a.Members)
            .Where(m => m.DeclaringType == Sessions && m.Member is "Open" or "CallFunctionAsync" or "DeleteInStepsAsync")
            .Select(m => $"{m.FromNamespace}.{m.From}").Where(user => user != Sessions).Distinct().ToList();

        Assert.Empty(openers.Except(MayOpen.Keys, StringComparer.Ordinal));
        Assert.Empty(MayOpen.Keys.Except(openers, StringComparer.Ordinal));
    }

    [Fact]
    public void The_processes_hold_no_connection_but_listed_ones()
    {
        var holders = Processes.SelectMany(a => a.Arrows)
            .Where(a => a is { ToNamespace: "Npgsql", To: "NpgsqlDataSource" or "NpgsqlConnection" or "NpgsqlDataSourceBuilder" or "NpgsqlCommand" } or { ToNamespace: "Microsoft.EntityFrameworkCore", To: "DbContextOptions`1" or "DbContextOptionsBuilder" })
            .Select(a => $"{a.FromNamespace}.{a.From}").Distinct();

        Assert.Equal(ProcessesMayConnect.Keys.Order(StringComparer.Ordinal), holders.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Only_the_data_folder_makes_a_context()
    {
        var makers = Core.Members.Where(m => m is { DeclaringType: Context, Member: ".ctor" }).ToList();

        Assert.NotEmpty(makers);
        Assert.All(makers, m => Assert.Equal(DataFolder, m.FromNamespace));
    }

    [Fact]
    public void Nobody_outside_Core_and_the_Migrator_could_make_a_context()
    {
        Assert.Empty(typeof(AiAspire.Core.Data.AiAspireDb).GetConstructors());
        var friends = typeof(AiAspire.Core.Data.AiAspireDb).Assembly
            .GetCustomAttributes(typeof(System.Runtime.CompilerServices.InternalsVisibleToAttribute), inherit: false)
            .Cast<System.Runtime.CompilerServices.InternalsVisibleToAttribute>()
            .Select(a => a.AssemblyName);
        Assert.Equal(["AiAspire.Migrator", "AiAspire.Unit"], friends.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Only_listed_folders_hold_a_connection()
    {
        var holders = Core.Arrows
            .Where(a => a.ToNamespace == "Npgsql" && a.To is "NpgsqlDataSource" or "NpgsqlConnection" or "NpgsqlDataSourceBuilder")
            .ToList();

        Assert.All(holders, arrow => Assert.True(MayConnect.ContainsKey(arrow.FromNamespace), $"{arrow}: work on tables goes through a TenantSession."));
        Assert.All(MayConnect.Keys, folder => Assert.Contains(holders, a => a.FromNamespace == folder));
    }

    [Theory]
    [InlineData("TransactionScope", "its second connection inherits the tenant setting")]
    [InlineData(".IgnoreQueryFilters(", "the filter is what the planner sees of the tenant")]
    [InlineData("SET ROLE", "the roles are the connections' own")]
    public void What_would_leak_a_tenant_stands_nowhere(string text, string why)
        => Assert.All(
            Repository.Files("*.cs").Where(f => !f.StartsWith("tests/", StringComparison.Ordinal) && !f.StartsWith("Migrator/", StringComparison.Ordinal)),
            file => Assert.False(WithoutComments(Repository.Read(file)).Contains(text, StringComparison.Ordinal), $"{file} holds {text}: {why}."));

    private static string WithoutComments(string code)
        => string.Join('\n', code.Split('\n').Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal)));
}
