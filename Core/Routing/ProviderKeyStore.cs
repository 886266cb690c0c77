using System.Security.Cryptography;
using System.Text;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Models;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Routing;

/// <summary>Provider keys in the database: encrypted, pushed to every replica within a second of a change.</summary>
public sealed partial class ProviderKeyStore(
    TenantSessions sessions, PlatformCipher cipher, ProviderKeys keys, IOptions<RoutingOptions> options, TimeProvider time, ILogger<ProviderKeyStore> logger) : IDisposable
{
    public const string Topic = "provider_keys";
    private const int HintLength = 4;

    /// <summary>One reading at a time: an older one must not overtake a newer.</summary>
    private readonly SemaphoreSlim _refreshing = new(1, 1);
    private readonly HashSet<Guid> _warned = [];
    private Dictionary<Guid, ProviderKey> _opened = [];

    /// <summary>All keys of a provider, retired ones too, oldest first.</summary>
    public Task<List<StoredProviderKey>> ListAsync(string? provider, CancellationToken cancellationToken)
        => sessions.Open(TenantScope.Platform).RunAsync(
            (db, token) => db.ProviderKeys.AsNoTracking().Where(k => provider == null || k.Provider == provider).OrderBy(k => k.CreatedAt).ToListAsync(token),
            cancellationToken);

    /// <summary>Adds a key, in use on every replica within a second.</summary>
    /// <param name="key">What is known of it; with an id.</param>
    /// <param name="replaces">A key of the same provider that retires.</param>
    /// <param name="overlap">How long the replaced key stays in use.</param>
    /// <param name="entry">Committed to the platform's audit chain with the change.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <returns>Null when there is no such key to replace.</returns>
    public async Task<StoredProviderKey?> AddAsync(
        ProviderKey key, Guid? replaces, TimeSpan overlap, AuditEvent entry, Func<AiAspireDb, StoredProviderKey, CancellationToken, Task> inTheSame, CancellationToken cancellationToken)
    {
        var id = key.Id!.Value;
        var row = new StoredProviderKey
        {
            TenantId = TenantScope.PlatformTenantId,
            ProviderKeyId = id,
            Provider = key.Provider,
            Name = key.Name,
            Ciphertext = await cipher.EncryptAsync(Encoding.UTF8.GetBytes(key.Secret), Place(id), cancellationToken),
            Hint = key.Secret[^Math.Min(HintLength, key.Secret.Length / 4)..],
            RequestsPerMinute = key.RequestsPerMinute,
            TokensPerMinute = key.TokensPerMinute,
            CreatedAt = key.AddedAt!.Value,
        };
        var retiresAt = time.GetUtcNow() + overlap;
        var added = await sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) =>
            {
                if (replaces is { } old)
                {
                    var replaced = await db.ProviderKeys.SingleOrDefaultAsync(k => k.ProviderKeyId == old && k.Provider == key.Provider, token);
                    if (replaced is null)
                        return false;
                    replaced.RetiresAt = replaced.RetiresAt < retiresAt ? replaced.RetiresAt : retiresAt;
                }

                db.ProviderKeys.Add(row);
                await FinishAsync(db, entry, token);
                await inTheSame(db, row, token);
                return true;
            },
            cancellationToken);
        if (!added)
            return null;
        await RefreshAsync(cancellationToken);
        return row;
    }

    /// <summary>Takes a key out of use; calls that run on it end in peace.</summary>
    /// <returns>Null when there is no such key.</returns>
    public async Task<StoredProviderKey?> RetireAsync(string provider, Guid id, TimeSpan overlap, AuditEvent entry, CancellationToken cancellationToken)
    {
        var retiresAt = time.GetUtcNow() + overlap;
        var retired = await sessions.Open(TenantScope.Platform).RunAsync(
            async (db, token) =>
            {
                var row = await db.ProviderKeys.SingleOrDefaultAsync(k => k.ProviderKeyId == id && k.Provider == provider, token);
                if (row is null)
                    return null;
                row.RetiresAt = row.RetiresAt < retiresAt ? row.RetiresAt : retiresAt;
                await FinishAsync(db, entry, token);
                return row;
            },
            cancellationToken);
        await RefreshAsync(cancellationToken);
        return retired;
    }

    /// <summary>Reads the keys in use. One that does not open is left out and told; the others serve.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _refreshing.WaitAsync(cancellationToken);
        try
        {
            await ReadAsync(cancellationToken);
        }
        finally
        {
            _refreshing.Release();
        }
    }

    private async Task ReadAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var opened = new Dictionary<Guid, ProviderKey>();
        foreach (var row in (await ListAsync(null, cancellationToken)).Where(r => r.RetiresAt is null || r.RetiresAt > now))
        {
            try
            {
                opened[row.ProviderKeyId] = _opened.GetValueOrDefault(row.ProviderKeyId) ?? await OpenAsync(row, cancellationToken);
            }
            catch (Exception e) when (e is CryptographicException or InvalidOperationException or MasterKeyUnavailableException)
            {
                LogUnopened(logger, row.Name, row.Provider, e);
                continue;
            }

            if (row.RetiresAt is null && now - row.CreatedAt > TimeSpan.FromDays(options.Value.KeyMaxAgeDays) && _warned.Add(row.ProviderKeyId))
                LogOld(logger, row.Name, row.Provider, (int)(now - row.CreatedAt).TotalDays, options.Value.KeyMaxAgeDays);
        }

        _opened = opened;
        keys.Hold(opened.Values);
    }

    private async Task<ProviderKey> OpenAsync(StoredProviderKey row, CancellationToken cancellationToken)
        => new(
            row.ProviderKeyId,
            row.Provider,
            row.Name,
            Encoding.UTF8.GetString(await cipher.DecryptAsync(row.Ciphertext, Place(row.ProviderKeyId), cancellationToken)),
            row.CreatedAt,
            row.RequestsPerMinute,
            row.TokensPerMinute);

    public void Dispose() => _refreshing.Dispose();

    private static async Task FinishAsync(AiAspireDb db, AuditEvent entry, CancellationToken cancellationToken)
    {
        await db.SaveChangesAsync(cancellationToken);
        await db.NotifyChangedAsync(Topic, cancellationToken);
        await db.AppendAuditAsync(entry, cancellationToken);
    }

    private static ContentPlace Place(Guid id) => new("provider_keys", "ciphertext", id);

    [LoggerMessage(Level = LogLevel.Error, Message = "The key '{Key}' of provider '{Provider}' does not open and is not used")]
    private static partial void LogUnopened(ILogger logger, string key, string provider, Exception exception);

    [LoggerMessage(
        Level = LogLevel.Warning,
        EventName = "provider.key_old",
        Message = "The key '{Key}' of provider '{Provider}' is {Days} days old, above the {Most} days of Routing:KeyMaxAgeDays: rotate it")]
    private static partial void LogOld(ILogger logger, string key, string provider, int days, int most);
}
