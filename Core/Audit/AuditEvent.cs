using System.Text.Json.Nodes;

namespace AiAspire.Core.Audit;

/// <summary>Who did it.</summary>
/// <param name="Kind"><c>user</c>, <c>operator</c> (someone of another tenant, by that role), <c>anonymous</c> or <c>system</c>.</param>
/// <param name="Id">The user's id; null for the last two.</param>
public sealed record AuditActor(string Kind, string? Id)
{
    public static AuditActor System { get; } = new("system", null);

    public static AuditActor Anonymous { get; } = new("anonymous", null);

    public static AuditActor User(Guid userId) => new("user", userId.ToString());

    public static AuditActor Operator(Guid userId) => new("operator", userId.ToString());
}

/// <summary>What is to be written down. The chain gives it its place, time and hash.</summary>
/// <param name="EntryId">A UUIDv7, drawn outside the transaction: appending the same id again does nothing.</param>
/// <param name="Actor">Who did it.</param>
/// <param name="Action">One of <see cref="AuditActions"/>.</param>
public sealed record AuditEvent(Guid EntryId, AuditActor Actor, string Action)
{
    public string? TargetKind { get; init; }

    public string? TargetId { get; init; }

    public Guid? RequestId { get; init; }

    /// <summary>Particulars, without personal data: ids and settings, never names, addresses or free text of people.</summary>
    public JsonObject? Details { get; init; }
}

/// <summary>The words of the audit log.</summary>
public static class AuditActions
{
    public const string LoginFailed = "login.failed";
    public const string EventsDropped = "security_events.dropped";
    public const string CrossTenantRefused = "tenant.crossing_refused";
    public const string KillSwitchChanged = "kill_switch.changed";
    public const string ProviderKeyAdded = "provider_key.added";
    public const string CatalogChanged = "catalog.changed";
    public const string CatalogRemoved = "catalog.removed";
    public const string PriceAdded = "price.added";
    public const string PriceReplaced = "price.replaced";
    public const string PriceWithdrawn = "price.withdrawn";
    public const string ProviderKeyRetired = "provider_key.retired";
    public const string ScheduleRunRequested = "schedule.run_requested";
    public const string AuditExported = "audit.exported";
    public const string AuditVerified = "audit.verified";
    public const string TenantCreated = "tenant.created";
    public const string TenantChanged = "tenant.changed";
    public const string TenantSuspended = "tenant.suspended";
    public const string TenantResumed = "tenant.resumed";
    public const string UserCreated = "user.created";
    public const string UserChanged = "user.changed";
    public const string UserSuspended = "user.suspended";
    public const string UserResumed = "user.resumed";
    public const string UsersRead = "users.read";
    public const string DeadLettersRead = "dead_letters.read";
    public const string JobsRedriven = "jobs.redriven";
    public const string FileDeleted = "file.deleted";
    public const string TierChanged = "tier.changed";
    public const string CacheForgotten = "cache.forgotten";
    public const string BudgetChanged = "budget.changed";
    public const string BudgetDeleted = "budget.deleted";
    public const string ApiKeyCreated = "api_key.created";
    public const string ApiKeyRevoked = "api_key.revoked";
    public const string ApiKeyRotated = "api_key.rotated";
    public const string UserErased = "user.erased";

    // Operations on keys: an entry of the phase `intent` before, one of the phase `done` or `failed` after.
    public const string UserKeyCreate = "user_key.create";
    public const string UserKeyRotate = "user_key.rotate";
    public const string UserKeyDestroy = "user_key.destroy";
    public const string UserKeysRewrap = "user_keys.rewrap";
    public const string TenantKeyCreate = "tenant_key.create";
    public const string TenantKeyRotate = "tenant_key.rotate";
    public const string TenantKeyRewrap = "tenant_key.rewrap";
    public const string DataProtectionKeyCreate = "data_protection_key.create";
    public const string TombstonesReplay = "tombstones.replay";
    public const string MasterKeyRewrap = "master_key.rewrap";
    public const string MasterKeyChanged = "master_key.changed";
}
