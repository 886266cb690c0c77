using System.Runtime.CompilerServices;
using System.Text;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Wire;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.Core.Files;

/// <summary>A file as its user sees it.</summary>
public sealed record FileView(Guid FileId, string Name, string Purpose, long Bytes, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt);

/// <summary>The files of a session's user. Content goes in and out a piece at a time, each in a short transaction of its own.</summary>
public sealed class FileStore(UserKeys userKeys, IOptions<FileStorageOptions> options, TimeProvider time)
{
    // The tenant's retention is read where it stands: a file is never kept longer.
    private const string BeginSql =
        """
        INSERT INTO aiaspire.files (tenant_id, user_id, file_id, purpose, name, bytes, is_ready, created_at, expires_at)
        SELECT $1, $2, $3, $4, $5, 0, false, $6, $6 + make_interval(days => least($7, t.retention_days)) FROM aiaspire.tenants t WHERE t.tenant_id = $1
        """;

    private const string NextChunkSql =
        "SELECT start, data FROM aiaspire.file_chunks WHERE tenant_id = $1 AND user_id = $2 AND file_id = $3 AND start > $4 ORDER BY start LIMIT 1";

    private const string ChunkAtSql =
        "SELECT start, data FROM aiaspire.file_chunks WHERE tenant_id = $1 AND user_id = $2 AND file_id = $3 AND start <= $4 ORDER BY start DESC LIMIT 1";

    internal static ContentPlace NamePlace(Guid fileId) => new("files", "name", fileId);

    /// <summary>The position is part of the place, so that two pieces of a file cannot be exchanged.</summary>
    internal static ContentPlace ChunkPlace(Guid fileId, long start) => new("file_chunks", $"data.{start}", fileId);

    /// <summary>Begins a file. Whoever does not seal it leaves something that nobody sees and retention deletes.</summary>
    /// <param name="session">The user's session.</param>
    /// <param name="name">Its name.</param>
    /// <param name="purpose">One of <see cref="FilePurposes"/>.</param>
    /// <param name="maxBytes">Most bytes; null for what we write ourselves, which is as large as it is.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public async Task<FileWriter> BeginAsync(TenantSession session, string name, string purpose, long? maxBytes, CancellationToken cancellationToken)
    {
        var userId = UserOf(session);
        var cipher = await userKeys.GetAsync(session.Scope.TenantId, userId, cancellationToken);
        var id = time.NewId();
        await session.ExecuteAsync(
            new TenantBatch().Add(
                BeginSql,
                Parameter.Of(session.Scope.TenantId),
                Parameter.Of(userId),
                Parameter.Of(id),
                Parameter.Of(purpose),
                Parameter.Of(cipher.Encrypt(Encoding.UTF8.GetBytes(name), NamePlace(id))),
                Parameter.Of(time.GetUtcNow().UtcDateTime),
                Parameter.Of(options.Value.KeepDays)),
            cancellationToken);
        return new FileWriter(session, cipher, userId, id, maxBytes ?? long.MaxValue);
    }

    /// <summary>Bytes that the user's files have together.</summary>
    public static Task<long> UsedBytesAsync(TenantSession session, CancellationToken cancellationToken)
    {
        var userId = UserOf(session);
        return session.RunAsync((db, token) => db.Files.Where(f => f.UserId == userId).SumAsync(f => f.Bytes, token), cancellationToken);
    }

    /// <summary>Null: the user has no such file, or it is not whole, or its time is over.</summary>
    public async Task<FileView?> FindAsync(TenantSession session, Guid fileId, CancellationToken cancellationToken)
    {
        var (userId, now) = (UserOf(session), time.GetUtcNow());
        var file = await session.RunAsync(
            (db, token) => db.Files.AsNoTracking().SingleOrDefaultAsync(f => f.UserId == userId && f.FileId == fileId && f.IsReady && f.ExpiresAt > now, token), cancellationToken);
        return file is null ? null : View(file, await userKeys.GetAsync(session.Scope.TenantId, userId, cancellationToken));
    }

    /// <summary>Bytes of a file that is whole, also when its time is over and it is kept for a batch; null: there is none.</summary>
    public static Task<long?> LengthAsync(TenantSession session, Guid fileId, CancellationToken cancellationToken)
    {
        var userId = UserOf(session);
        return session.RunAsync(
            (db, token) => db.Files.Where(f => f.UserId == userId && f.FileId == fileId && f.IsReady).Select(f => (long?)f.Bytes).SingleOrDefaultAsync(token), cancellationToken);
    }

    /// <param name="session">The user's session.</param>
    /// <param name="purpose">Only these; null: all.</param>
    /// <param name="after">The last id of the page before.</param>
    /// <param name="oldestFirst">The order.</param>
    /// <param name="take">Most files.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public async Task<List<FileView>> ListAsync(TenantSession session, string? purpose, Guid? after, bool oldestFirst, int take, CancellationToken cancellationToken)
    {
        var (userId, now) = (UserOf(session), time.GetUtcNow());
        var rows = await session.RunAsync(
            (db, token) =>
            {
                var files = db.Files.AsNoTracking().Where(f => f.UserId == userId && f.IsReady && f.ExpiresAt > now && (purpose == null || f.Purpose == purpose));
                // Ids are UUIDv7: their order is the order of creation.
                files = oldestFirst
                    ? files.Where(f => after == null || f.FileId > after).OrderBy(f => f.FileId)
                    : files.Where(f => after == null || f.FileId < after).OrderByDescending(f => f.FileId);
                return files.Take(take).ToListAsync(token);
            },
            cancellationToken);
        if (rows.Count == 0)
            return [];
        var cipher = await userKeys.GetAsync(session.Scope.TenantId, userId, cancellationToken);
        return [.. rows.Select(f => View(f, cipher))];
    }

    /// <summary>The content from one position to another, a piece at a time.</summary>
    /// <param name="session">The user's session.</param>
    /// <param name="fileId">The file.</param>
    /// <param name="from">The first byte.</param>
    /// <param name="to">The byte after the last.</param>
    /// <param name="cancellationToken">Cancels.</param>
    /// <exception cref="EndOfStreamException">The file was deleted meanwhile.</exception>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAsync(
        TenantSession session, Guid fileId, long from, long to, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var userId = UserOf(session);
        for (var (position, last) = (from, -1L); position < to;)
        {
            long start = -1;
            byte[] sealedData = [];
            await session.QueryAsync(
                new NpgsqlBatchCommand(last < 0 ? ChunkAtSql : NextChunkSql)
                {
                    Parameters = { Parameter.Of(session.Scope.TenantId), Parameter.Of(userId), Parameter.Of(fileId), Parameter.Of(last < 0 ? position : last) },
                },
                row => (start, sealedData) = (row.GetInt64(0), row.GetFieldValue<byte[]>(1)),
                cancellationToken);
            if (start < 0)
                throw new EndOfStreamException($"File {fileId} ends before byte {to}: it was deleted.");
            // Asked for each time: the key may have been destroyed meanwhile.
            var cipher = await userKeys.GetAsync(session.Scope.TenantId, userId, cancellationToken);
            var data = cipher.Decrypt(sealedData, ChunkPlace(fileId, start));
            var begin = (int)(position - start);
            var end = (int)Math.Min(data.Length, to - start);
            if (begin >= end)
                throw new EndOfStreamException($"File {fileId} ends before byte {to}.");
            yield return data.AsMemory(begin, end - begin);
            (position, last) = (start + end, start);
        }
    }

    private static FileView View(StoredFile file, ContentCipher cipher)
        => new(file.FileId, Encoding.UTF8.GetString(cipher.Decrypt(file.Name, NamePlace(file.FileId))), file.Purpose, file.Bytes, file.CreatedAt, file.ExpiresAt);

    private static Guid UserOf(TenantSession session) => session.Scope.UserId ?? throw new InvalidOperationException("A file belongs to a user.");
}
