using AiAspire.Core.Tenancy;

namespace AiAspire.Api.Identity;

/// <summary>The caller of this request. Set by authentication; endpoints take it, or the caller's <c>TenantSession</c>, as a parameter.</summary>
public sealed class RequestCaller
{
    private Caller? _caller;

    public Caller Value => _caller ?? throw new InvalidOperationException("This request has no caller: its endpoint allows anonymous access.");

    /// <summary>Null for a request without a caller.</summary>
    internal Caller? Known => _caller;

    internal void Set(Caller caller) => _caller = caller;
}
