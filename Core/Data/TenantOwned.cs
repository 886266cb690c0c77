namespace AiAspire.Core.Data;

/// <summary>A row of one tenant. Row-level security and a query filter both hold it to the session's tenant.</summary>
public interface ITenantOwned
{
    Guid TenantId { get; }
}

/// <summary>A row of one user of one tenant.</summary>
public interface IUserOwned : ITenantOwned
{
    Guid UserId { get; }
}

/// <summary>A tenant table whose platform-tenant rows every tenant may read (default tiers, prices, service-wide switches).</summary>
public interface ISharedByPlatform : ITenantOwned;
