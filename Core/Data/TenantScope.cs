namespace AiAspire.Core.Data;

/// <summary>How much of a tenant a session may see. The names are the values of the <c>app.reach</c> setting that the row policies test.</summary>
public enum DataReach
{
    /// <summary>Rows of one user.</summary>
    User,

    /// <summary>All users' rows of one tenant, read only where a named policy says so; every such read is to be audited.</summary>
    TenantAdmin,

    /// <summary>The tenant's audit log, and nothing else beyond the user's own rows.</summary>
    Auditor,

    /// <summary>Steps of our own that act for a tenant before a user is known (finding or creating the user of a call).</summary>
    Service,
}

/// <summary>Whose rows a <see cref="TenantSession"/> works on. A value: it cannot change while a session lives.</summary>
/// <param name="TenantId">The tenant; never empty.</param>
/// <param name="UserId">The user within it; null sees no per-user row unless <paramref name="Reach"/> allows it.</param>
/// <param name="Reach">What a policy may add to the user's own rows.</param>
public sealed record TenantScope(Guid TenantId, Guid? UserId, DataReach Reach = DataReach.User)
{
    /// <summary>The tenant that owns the shared rows: catalog, prices, default tiers, service-wide switches.</summary>
    public static readonly Guid PlatformTenantId = new("00000000-0000-7000-8000-000000000001");

    /// <summary>The scope in which shared rows are written.</summary>
    public static TenantScope Platform { get; } = new(PlatformTenantId, null, DataReach.Service);

    internal string ReachSetting => Reach switch
    {
        DataReach.User => "user",
        DataReach.TenantAdmin => "tenant_admin",
        DataReach.Auditor => "auditor",
        DataReach.Service => "service",
        _ => throw new InvalidOperationException($"Unknown reach {Reach}."),
    };

    internal string TenantSetting => TenantId != Guid.Empty
        ? TenantId.ToString()
        : throw new InvalidOperationException("A tenant session needs a tenant.");

    internal string UserSetting => UserId?.ToString() ?? "";
}
