namespace AiAspire.Migrator;

/// <summary>What the rules of <see cref="SchemaLints"/> do not hold for, each with its reason. The one place for them.</summary>
internal static class SchemaExceptions
{
    /// <summary>Indexes and constraints that the tenant does not lead.</summary>
    public static readonly IReadOnlyDictionary<string, string> NotLedByTenant = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["tenants_slug_key"] = "a slug is unique over all tenants, and a token's tenant is found by it",
        ["api_keys_hash_key"] = "a key arrives before its tenant is known; the hash of 256 random bits tells nobody anything",
        ["jobs_available_at_idx"] = "workers find what has become due over all tenants, through claim_jobs alone",
        ["jobs_claimed_at_idx"] = "workers find what runs over all tenants, through claim_jobs alone",
    };

    /// <summary>Functions that run with the rights of aiaspire_functions; docs/security.md says of each what it crosses and why.</summary>
    public static readonly IReadOnlySet<string> SecurityDefiners = new HashSet<string>(StringComparer.Ordinal)
    {
        "append_audit",
        "audit_heads_since",
        "claim_jobs",
        "claim_notifications",
        "delete_expired_batches",
        "delete_expired_conversations",
        "delete_expired_files",
        "delete_expired_idempotency_keys",
        "delete_expired_job_events",
        "delete_expired_job_parts",
        "delete_expired_jobs",
        "delete_old_notifications",
        "ensure_partitions",
        "expired_by_retention",
        "fail_batch",
        "find_api_key",
        "find_tenant",
        "finish_jobs",
        "job_payloads",
        "job_queue_status",
        "limit_use",
        "list_budgets",
        "list_dead_letters",
        "list_tenants",
        "mark_late_usage",
        "note_signed_head",
        "open_attempts",
        "reconcile_attempts",
        "redrive_dead_letters",
        "renew_jobs",
        "roll_up_usage",
        "tell_finished_batch",
        "tell_finished_jobs",
        "tenant_queue",
        "top_users_of_all",
        "usage_sums_of_all",
    };

    /// <summary>Those of them that run with the rights of aiaspire_owner instead.</summary>
    public static readonly IReadOnlyDictionary<string, string> OwnersFunctions = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["ensure_partitions"] = "only an owner adds and drops partitions; it takes no argument",
    };

    /// <summary>Policies of the processes' roles that do not ask for the session's tenant: <c>table.policy</c>.</summary>
    public static readonly IReadOnlyDictionary<string, string> PoliciesOverTenants = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["tenant_keys.maintenance"] = "re-wrapping goes over all tenants and says so (app.reach)",
        ["user_keys.maintenance"] = "re-wrapping goes over all tenants and says so (app.reach)",
        ["data_protection_keys.maintenance"] = "keys of the whole system, no tenant's; who reads them says so (app.reach)",
        ["master_key_uses.maintenance"] = "which master key was used, no tenant's; who notes it says so (app.reach)",
        ["tombstones.maintenance"] = "the replay of tombstones goes over all tenants and says so (app.reach)",
    };
}
