namespace AiAspire.ServiceDefaults.Logging;

/// <summary>Whose work the current flow of execution is doing. Strings, so that any identifier scheme fits.</summary>
public sealed record LogIdentity(string? RequestId, string? TenantId, string? UserId);

/// <summary>The ambient request, tenant and user that every log line of this asynchronous flow carries.</summary>
public static class LogContext
{
    private static readonly AsyncLocal<LogIdentity?> Ambient = new();

    /// <summary>The identity in force, or null outside any <see cref="Push"/>.</summary>
    public static LogIdentity? Current => Ambient.Value;

    /// <summary>
    /// Sets ids until the result is disposed; a null keeps the outer value, so that a request id set at the edge survives
    /// when the tenant becomes known later.
    /// </summary>
    public static IDisposable Push(string? requestId = null, string? tenantId = null, string? userId = null)
    {
        var outer = Ambient.Value;
        Ambient.Value = new LogIdentity(requestId ?? outer?.RequestId, tenantId ?? outer?.TenantId, userId ?? outer?.UserId);
        return new Restore(outer);
    }

    private sealed class Restore(LogIdentity? outer) : IDisposable
    {
        public void Dispose() => Ambient.Value = outer;
    }
}
