using AiAspire.Core.Data;

namespace AiAspire.Core.Files;

/// <summary>Deletes files whose time is over or that are past their tenant's retention, and those that never became whole; in short transactions.</summary>
public sealed class FileRetention(TenantSessions sessions)
{
    /// <summary>Each may have hundreds of pieces.</summary>
    private const int FilesAtOnce = 20;

    /// <returns>Files deleted.</returns>
    public Task<long> DeleteExpiredAsync(CancellationToken cancellationToken)
        => sessions.DeleteInStepsAsync("SELECT aiaspire.delete_expired_files($1)", FilesAtOnce, cancellationToken);
}
