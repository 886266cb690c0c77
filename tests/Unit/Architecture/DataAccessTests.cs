using AiAspire.Core.Wire;

namespace AiAspire.Unit.Architecture;

/// <summary>There is one door to the tables.</summary>
public sealed class DataAccessTests
{
    private const string DataFolder = "AiAspire.Core.Data";
    private const string Context = "AiAspire.Core.Data.AiAspireDb";

    private static readonly TypeArrows Core = TypeArrows.Read(typeof(ChatRequest).Assembly);

    /// <summary>Who in Core may hold a connection, and why.</summary>
    private static readonly Dictionary<string, string> MayConnect = new(StringComparer.Ordinal)
    {
        ["AiAspire.Core.Data"] = "the door itself, and the change feed",
        ["AiAspire.Core.Encryption"] = "the key store is a database of its own",
        ["AiAspire.Core.Ledger"] = "opens attempts of all tenants in one statement, by a role that can insert and nothing else",
    };

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
