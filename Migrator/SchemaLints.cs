using Npgsql;

namespace AiAspire.Migrator;

/// <summary>
/// Reads from PostgreSQL's catalog whether a schema keeps tenants apart by itself, whatever our code does. Each rule is a query for what
/// breaks it. Runtime roles are those the processes log in as, and the one that owns the cross-tenant functions.
/// </summary>
internal static class SchemaLints
{
    private const string RuntimeRoles = "('aiaspire_app', 'aiaspire_ledger', 'aiaspire_keys', 'aiaspire_functions')";

    private static readonly string OwnersFunctions = string.Join(", ", SchemaExceptions.OwnersFunctions.Keys.Select(name => $"'{name}'"));

    private const string TenantTables =
        """
        tenant_table AS (
            SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relispartition, c.relacl, a.attnum AS tenant
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
            WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p')
        )
        """;

    private static readonly Rule[] Rules =
    [
        new("open table",
            $"""
            WITH {TenantTables}
            SELECT t.relname, format('table %s has a tenant_id but no forced row-level security', t.relname)
            FROM tenant_table t WHERE NOT t.relrowsecurity OR NOT t.relforcerowsecurity
            """),
        new("table without policies",
            $"""
            WITH {TenantTables}
            SELECT t.relname, format('table %s has no policy for any role the processes use', t.relname)
            FROM tenant_table t
            WHERE NOT t.relispartition AND NOT EXISTS (
                SELECT FROM pg_policy p, unnest(p.polroles) role JOIN pg_roles r ON r.oid = role WHERE p.polrelid = t.oid AND r.rolname IN {RuntimeRoles})
            """),
        new("policy over tenants",
            """
            SELECT format('%s.%s', p.tablename, p.policyname), format('policy %s on %s shows rows without asking for the session''s tenant', p.policyname, p.tablename)
            FROM pg_policies p
            WHERE p.schemaname = $1 AND (
                'public' = ANY (p.roles)
                OR p.roles && ARRAY['aiaspire_app', 'aiaspire_keys']::name[]
                   AND NOT (coalesce(p.qual, 'tenant_id()') ~ 'tenant_id\(\)|app\.tenant_id' AND coalesce(p.with_check, 'tenant_id()') ~ 'tenant_id\(\)|app\.tenant_id'))
            """,
            SchemaExceptions.PoliciesOverTenants.ContainsKey),
        new("index not led by the tenant",
            $"""
            WITH {TenantTables}
            SELECT i.relname, format('index or key %s of %s does not begin with tenant_id', i.relname, t.relname)
            FROM tenant_table t JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid
            WHERE x.indkey[0] <> t.tenant
            """,
            SchemaExceptions.NotLedByTenant.ContainsKey),
        new("foreign key not led by the tenant",
            $"""
            WITH {TenantTables}
            SELECT k.conname, format('foreign key %s of %s does not carry the tenant along', k.conname, t.relname)
            FROM tenant_table t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'f'
            LEFT JOIN tenant_table target ON target.oid = k.confrelid
            WHERE k.conkey[1] <> t.tenant OR k.confkey[1] <> target.tenant OR target.tenant IS NULL
            """,
            SchemaExceptions.NotLedByTenant.ContainsKey),
        new("view with its owner's rights",
            """
            SELECT c.relname, format('view %s does not run with the rights of its caller (security_invoker)', c.relname)
            FROM pg_class c
            WHERE c.relnamespace = $1::regnamespace AND (c.relkind = 'm' OR c.relkind = 'v' AND NOT coalesce(c.reloptions, '{}') && ARRAY['security_invoker=true', 'security_invoker=on'])
            """),
        new("unlisted SECURITY DEFINER function",
            """
            SELECT p.proname, format('function %s is SECURITY DEFINER and not listed', p.proname)
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND $1 <> ''
            """,
            SchemaExceptions.SecurityDefiners.Contains),
        new("loose SECURITY DEFINER function",
            $"""
            SELECT p.proname, format('function %s is SECURITY DEFINER without its owner, a search_path of pg_catalog alone, or a closed list of callers', p.proname)
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND $1 <> '' AND (
                p.proowner::regrole::text <> CASE WHEN n.nspname = 'aiaspire' AND p.proname IN ({OwnersFunctions}) THEN 'aiaspire_owner' ELSE 'aiaspire_functions' END
                OR NOT 'search_path=pg_catalog' = ANY (coalesce(p.proconfig, ARRAY[]::text[]))
                OR has_function_privilege('public', p.oid, 'EXECUTE'))
            """),
        new("runtime role above the policies",
            $"""
            SELECT r.rolname, format('role %s can pass the policies by, or make roles and databases', r.rolname)
            FROM pg_roles r
            WHERE r.rolname IN {RuntimeRoles} AND $1 <> '' AND (r.rolbypassrls OR r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication)
            """),
        new("runtime role in another role",
            $"""
            SELECT r.rolname, format('role %s is a member of %s', r.rolname, above.rolname)
            FROM pg_roles r, pg_roles above
            WHERE r.rolname IN {RuntimeRoles} AND $1 <> '' AND above.oid <> r.oid
              AND (above.rolname LIKE 'aiaspire\_%' OR above.rolsuper OR above.rolbypassrls) AND pg_has_role(r.oid, above.oid, 'MEMBER')
            """),
        new("runtime role that owns",
            $"""
            SELECT c.relname, format('%s is owned by %s', c.relname, c.relowner::regrole) FROM pg_class c
            WHERE c.relowner::regrole::text IN {RuntimeRoles} AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND $1 <> ''
            UNION ALL
            SELECT n.nspname, format('schema %s is owned by %s', n.nspname, n.nspowner::regrole) FROM pg_namespace n WHERE n.nspowner::regrole::text IN {RuntimeRoles}
            UNION ALL
            SELECT p.proname, format('function %s is owned by %s', p.proname, p.proowner::regrole) FROM pg_proc p
            WHERE p.proowner::regrole::text IN {RuntimeRoles} AND NOT (p.prosecdef AND p.proowner::regrole::text = 'aiaspire_functions')
            """),
        new("grant beside the policies",
            // What row-level security does not hold: TRUNCATE, and REFERENCES, whose check looks at all rows; TRIGGER runs code for others.
            $"""
            SELECT c.relname, format('%s has %s on %s', g.grantee::regrole, g.privilege_type, c.relname)
            FROM pg_class c, aclexplode(c.relacl) g
            WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v')
              AND (g.grantee = 0 OR g.grantee::regrole::text IN {RuntimeRoles} AND g.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'))
            UNION ALL
            SELECT n.nspname, format('%s has CREATE on schema %s', CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END, n.nspname)
            FROM pg_namespace n, aclexplode(n.nspacl) g
            WHERE n.nspname = $1 AND g.privilege_type = 'CREATE' AND (g.grantee = 0 OR g.grantee::regrole::text IN {RuntimeRoles})
            """),
        new("grant on a partition",
            // The policies stand on the whole table; a partition asked for by its own name has none of them.
            """
            SELECT c.relname, format('%s has a grant on the partition %s', g.grantee::regrole, c.relname)
            FROM pg_class c
            CROSS JOIN LATERAL (
                SELECT e.grantee FROM aclexplode(c.relacl) e
                UNION SELECT e.grantee FROM pg_attribute a, aclexplode(a.attacl) e WHERE a.attrelid = c.oid) g
            WHERE c.relnamespace = $1::regnamespace AND c.relispartition AND g.grantee <> c.relowner
            """),
    ];

    /// <summary>The names of the rules.</summary>
    public static IEnumerable<string> Names => Rules.Select(r => r.Name);

    /// <summary>What is wrong, in words, with the name of the rule it breaks.</summary>
    /// <param name="connection">To the database; sees uncommitted changes of its own transaction.</param>
    /// <param name="schema">The schema whose tables are looked at.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public static async Task<IReadOnlyList<(string Rule, string Fault)>> FaultsAsync(NpgsqlConnection connection, string schema, CancellationToken cancellationToken)
    {
        var faults = new List<(string, string)>();
        foreach (var rule in Rules)
        {
            await using var command = new NpgsqlCommand(rule.Sql, connection) { Parameters = { new NpgsqlParameter<string> { TypedValue = schema } } };
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                if (!rule.IsExcepted(reader.GetString(0)))
                    faults.Add((rule.Name, reader.GetString(1)));
            }
        }

        return faults;
    }

    /// <param name="Name">What a breach is.</param>
    /// <param name="Sql">Gives each breach: the name of what breaks the rule, and the fault in words. <c>$1</c> is the schema.</param>
    /// <param name="Excepted">Names the rule does not hold for.</param>
    private sealed record Rule(string Name, string Sql, Func<string, bool>? Excepted = null)
    {
        public bool IsExcepted(string name) => Excepted?.Invoke(name) ?? false;
    }
}
