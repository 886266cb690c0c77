using System.Text.RegularExpressions;
using AiAspire.AppHost;
using AiAspire.Integration.Application;
using AiAspire.Migrator;

namespace AiAspire.Integration.Isolation;

/// <summary>What PostgreSQL's own catalog says about the migrated databases, and that each rule would notice its breach.</summary>
[Collection(ApplicationCollection.Name)]
[Trait("Checklist", "AUTH-03")]
public sealed partial class CatalogTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("aiaspire")]
    [InlineData("keystore")]
    public async Task The_migrated_schema_breaks_no_rule(string schema)
    {
        await using var superuser = await application.OpenSuperuserAsync(schema);
        Assert.Empty(await SchemaLints.FaultsAsync(superuser, schema, Cancelled));
    }

    [Fact]
    public async Task Functions_of_an_earlier_version_make_way()
    {
        await using var scratch = await ScratchDatabase.CreateAsync(application);
        await using var superuser = await scratch.OpenSuperuserAsync();
        const string Signatures = "SELECT string_agg(p.oid::regprocedure::text || ' ' || pg_get_function_result(p.oid), E'\n' ORDER BY p.oid::regprocedure::text) FROM pg_proc p WHERE p.pronamespace = 'aiaspire'::regnamespace";
        var before = await superuser.ScalarAsync<string>(Signatures);
        // One that returned less, and one that took less and did it with its owner's rights.
        await superuser.ExecuteAsync(
            """
            DROP FUNCTION aiaspire.reconcile_attempts(integer);
            CREATE FUNCTION aiaspire.reconcile_attempts(p_limit integer) RETURNS TABLE (tenant_id uuid) LANGUAGE sql AS 'SELECT NULL::uuid WHERE false';
            ALTER FUNCTION aiaspire.reconcile_attempts(integer) OWNER TO aiaspire_functions;
            CREATE FUNCTION aiaspire.claim_jobs(p_limit integer) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1::bigint';
            ALTER FUNCTION aiaspire.claim_jobs(integer) OWNER TO aiaspire_functions;
            """);

        await scratch.MigrateAsync();

        Assert.Equal(before, await superuser.ScalarAsync<string>(Signatures));
    }

    public static TheoryData<string, string> Breaches => new()
    {
        { "open table", "ALTER TABLE aiaspire.feedback NO FORCE ROW LEVEL SECURITY" },
        { "open table", "ALTER TABLE aiaspire.feedback DISABLE ROW LEVEL SECURITY" },
        { "open table", "CREATE TABLE aiaspire.planted (tenant_id uuid PRIMARY KEY)" },
        { "table without policies", "DROP POLICY own_rows ON aiaspire.feedback" },
        { "policy over tenants", "CREATE POLICY planted ON aiaspire.feedback FOR SELECT TO aiaspire_app USING (true)" },
        { "policy over tenants", "CREATE POLICY planted ON aiaspire.feedback FOR INSERT TO aiaspire_app WITH CHECK (rating > 0)" },
        { "policy over tenants", "CREATE POLICY planted ON aiaspire.feedback USING (tenant_id = aiaspire.tenant_id())" },
        { "index not led by the tenant", "CREATE INDEX planted ON aiaspire.feedback (user_id)" },
        { "index not led by the tenant", "ALTER TABLE aiaspire.feedback ADD CONSTRAINT planted UNIQUE (feedback_id)" },
        { "index not led by the tenant", "CREATE INDEX planted ON aiaspire.ledger_attempts (user_pseudonym)" },
        { "foreign key not led by the tenant", "ALTER TABLE aiaspire.feedback ADD slug text REFERENCES aiaspire.tenants (slug)" },
        { "view with its owner's rights", "CREATE VIEW aiaspire.planted AS SELECT * FROM aiaspire.messages" },
        { "view with its owner's rights", "CREATE MATERIALIZED VIEW aiaspire.planted AS SELECT * FROM aiaspire.messages" },
        { "unlisted SECURITY DEFINER function", "CREATE FUNCTION public.planted() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1::bigint'" },
        { "loose SECURITY DEFINER function", "ALTER FUNCTION aiaspire.find_tenant(text) SET search_path = public, pg_catalog" },
        { "loose SECURITY DEFINER function", "ALTER FUNCTION aiaspire.find_tenant(text) RESET search_path" },
        { "loose SECURITY DEFINER function", "ALTER FUNCTION aiaspire.find_tenant(text) OWNER TO aiaspire_owner" },
        { "loose SECURITY DEFINER function", "GRANT EXECUTE ON FUNCTION aiaspire.find_tenant(text) TO PUBLIC" },
        { "runtime role above the policies", "ALTER ROLE aiaspire_app BYPASSRLS" },
        { "runtime role above the policies", "ALTER ROLE aiaspire_ledger CREATEROLE" },
        { "runtime role in another role", "GRANT aiaspire_owner TO aiaspire_app" },
        { "runtime role in another role", "GRANT aiaspire_functions TO aiaspire_ledger" },
        { "runtime role that owns", "ALTER TABLE aiaspire.feedback OWNER TO aiaspire_app" },
        { "runtime role that owns", "ALTER FUNCTION aiaspire.reach() OWNER TO aiaspire_app" },
        { "grant beside the policies", "GRANT TRUNCATE ON aiaspire.feedback TO aiaspire_app" },
        { "grant beside the policies", "GRANT REFERENCES ON aiaspire.users TO aiaspire_app" },
        { "grant beside the policies", "GRANT SELECT ON aiaspire.feedback TO PUBLIC" },
        { "grant beside the policies", "GRANT CREATE ON SCHEMA aiaspire TO aiaspire_app" },
        { "grant on a partition", "GRANT SELECT ON aiaspire.ledger_attempts_default TO aiaspire_app" },
        { "grant on a partition", "GRANT SELECT (tenant_id) ON aiaspire.ledger_attempts_default TO aiaspire_app" },
    };

    [Theory]
    [MemberData(nameof(Breaches))]
    public async Task A_breach_is_noticed(string rule, string sql)
    {
        await using var superuser = await application.OpenSuperuserAsync();
        await using var undone = await superuser.BeginTransactionAsync(Cancelled);
        await superuser.ExecuteAsync(sql);
        Assert.Contains(await SchemaLints.FaultsAsync(superuser, "aiaspire", Cancelled), f => f.Rule == rule);
    }

    [Fact]
    public void Every_rule_has_been_seen_to_notice()
        => Assert.Empty(SchemaLints.Names.Except(Breaches.Select(b => b.Data.Item1), StringComparer.Ordinal));

    [Fact]
    public async Task Every_exception_is_of_something_that_is_there()
    {
        await using var content = await application.OpenSuperuserAsync();
        await using var keystore = await application.OpenSuperuserAsync("keystore");
        Assert.Empty(SchemaExceptions.NotLedByTenant.Keys.Except(
            await content.ListAsync("SELECT relname FROM pg_class WHERE relkind IN ('i', 'I')", row => row.GetString(0)), StringComparer.Ordinal));
        Assert.Empty(SchemaExceptions.SecurityDefiners.Except(
            await content.ListAsync("SELECT proname FROM pg_proc WHERE prosecdef", row => row.GetString(0)), StringComparer.Ordinal));
        Assert.Empty(SchemaExceptions.PoliciesOverTenants.Keys.Except(
            await keystore.ListAsync("SELECT tablename || '.' || policyname FROM pg_policies", row => row.GetString(0)), StringComparer.Ordinal));
    }

    [Fact]
    public async Task The_security_page_tells_of_every_SECURITY_DEFINER_function_and_of_no_other()
    {
        var page = await File.ReadAllTextAsync(Path.Combine(DevelopmentSecrets.AppHostDirectory, "..", "docs", "security.md"), Cancelled);
        var section = page.Split("\n## ").Single(s => s.StartsWith("SECURITY DEFINER functions", StringComparison.Ordinal));
        Assert.Equal(
            SchemaExceptions.SecurityDefiners.Order(StringComparer.Ordinal),
            section.Split('\n').Where(l => l.StartsWith("| `", StringComparison.Ordinal)).SelectMany(l => FunctionName().Matches(l.Split('|')[1])).Select(m => m.Groups["name"].Value).Order(StringComparer.Ordinal));
    }

    [GeneratedRegex("`(?<name>[a-z_]+)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex FunctionName();
}
