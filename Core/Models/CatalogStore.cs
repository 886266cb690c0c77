using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace AiAspire.Core.Models;

/// <summary>The operators' entries of the catalog: every version kept, the last one held by every replica within a second.</summary>
public sealed partial class CatalogStore(TenantSessions sessions, ModelCatalog catalog, ILogger<CatalogStore> logger) : IDisposable
{
    public const string Topic = "catalog_entries";

    /// <summary>One reading at a time: an older one must not overtake a newer.</summary>
    private readonly SemaphoreSlim _refreshing = new(1, 1);
    private string _told = "";

    /// <summary>All versions of a model's entry, the last first.</summary>
    public Task<List<CatalogEntry>> HistoryAsync(string modelId, CancellationToken cancellationToken)
        => sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) => (await db.CatalogEntries.AsNoTracking().OrderByDescending(e => e.Version).ToListAsync(token))
                .FindAll(e => string.Equals(e.ModelId, modelId, StringComparison.OrdinalIgnoreCase)),
            cancellationToken);

    /// <summary>Writes the next version of a model's entry. One change comes after the other, so that each is checked against the one before.</summary>
    /// <param name="modelId">The model's id.</param>
    /// <param name="edit">Given the model as it is (null: there is none) and the number of the new version, the new version; it may refuse.</param>
    /// <param name="refuse">Given the field and what is wrong, the refusal.</param>
    /// <param name="entry">Committed to the platform's audit chain with the change.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public async Task<CatalogEntry> WriteAsync(
        string modelId, Func<CatalogModel?, int, CatalogEntry> edit, Func<string, string, Exception> refuse, Func<CatalogEntry, AuditEvent> entry, CancellationToken cancellationToken)
    {
        var written = await sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) =>
            {
                await db.Database.ExecuteSqlAsync($"SELECT pg_advisory_xact_lock(hashtextextended({Topic}, 0))", token);
                var others = await LastAsync(db, token);
                var known = others.Find(e => string.Equals(e.ModelId, modelId, StringComparison.OrdinalIgnoreCase));
                var before = catalog.With(others.Where(e => !e.Removed)).Find(m => string.Equals(m.Model.Id, modelId, StringComparison.OrdinalIgnoreCase));
                var next = edit(before, (known?.Version ?? 0) + 1);
                others.RemoveAll(e => e == known);
                if (catalog.Check(catalog.With(others.Append(next).Where(e => !e.Removed))) is [var fault, ..])
                    throw refuse(fault.Field, $"{fault.Place}: {fault.Text}");
                db.CatalogEntries.Add(next);
                await db.SaveChangesAsync(token);
                await db.NotifyChangedAsync(Topic, token);
                await db.AppendAuditAsync(entry(next), token);
                return next;
            },
            cancellationToken);
        await RefreshAsync(cancellationToken);
        return written;
    }

    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _refreshing.WaitAsync(cancellationToken);
        try
        {
            var faults = catalog.Hold(await sessions.Open(TenantScope.Platform).RunAsync(LastAsync, cancellationToken));
            var told = string.Join(' ', faults.Select(f => $"{f.Place}: {f.Text}"));
            // Read every few seconds, told once.
            if (told.Length > 0 && told != _told)
                LogUnfit(logger, told);
            _told = told;
        }
        finally
        {
            _refreshing.Release();
        }
    }

    public void Dispose() => _refreshing.Dispose();

    private static async Task<List<CatalogEntry>> LastAsync(AiAspireDb db, CancellationToken cancellationToken)
    {
        IQueryable<CatalogEntry> all = db.CatalogEntries;
        return await all.AsNoTracking().Where(e => !all.Any(later => later.ModelId == e.ModelId && later.Version > e.Version)).ToListAsync(cancellationToken);
    }

    [LoggerMessage(Level = LogLevel.Error, EventName = "catalog.unfit", Message = "An entry of the catalog does not fit configuration any more and is not used: {Faults}")]
    private static partial void LogUnfit(ILogger logger, string faults);
}
