using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Wire;
using Npgsql;

namespace AiAspire.Core.Files;

/// <summary>Writes a file's content a piece at a time, encrypted; it becomes a file when the transaction of <see cref="AddSeal"/> commits.</summary>
public sealed class FileWriter
{
    /// <summary>Bytes of a piece: few rows for a large file, little memory for many at once.</summary>
    public const int ChunkBytes = 256 * 1024;

    private const string ChunkSql = "INSERT INTO aiaspire.file_chunks (tenant_id, user_id, file_id, start, data) VALUES ($1, $2, $3, $4, $5)";

    private const string SealSql = "SELECT aiaspire.seal_file($1, $2, $3, $4, $5, $6)";

    private readonly TenantSession _session;
    private readonly ContentCipher _cipher;
    private readonly Guid _userId;
    private readonly long _maxBytes;
    private readonly byte[] _buffer = new byte[ChunkBytes];
    private int _buffered;

    internal FileWriter(TenantSession session, ContentCipher cipher, Guid userId, Guid fileId, long maxBytes)
        => (_session, _cipher, _userId, FileId, _maxBytes) = (session, cipher, userId, fileId, maxBytes);

    public Guid FileId { get; }

    /// <summary>Written so far.</summary>
    public long Bytes { get; private set; }

    /// <exception cref="WireException">413: the file is larger than <see cref="FileStorageOptions.MaxBytes"/>.</exception>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        Bytes += content.Length;
        if (Bytes > _maxBytes)
            throw TooLarge(_maxBytes);
        while (!content.IsEmpty)
        {
            var take = Math.Min(content.Length, ChunkBytes - _buffered);
            content[..take].CopyTo(_buffer.AsMemory(_buffered));
            _buffered += take;
            content = content[take..];
            if (_buffered == ChunkBytes)
                await FlushAsync(Bytes - content.Length, cancellationToken);
        }
    }

    /// <summary>Writes what is still in memory.</summary>
    public ValueTask CompleteAsync(CancellationToken cancellationToken) => _buffered == 0 ? ValueTask.CompletedTask : FlushAsync(Bytes, cancellationToken);

    /// <summary>Makes it a file, in the transaction of whatever else is to happen with it.</summary>
    /// <param name="batch">The transaction.</param>
    /// <param name="keptFor">A shorter time than files are kept anyway; null: that.</param>
    /// <param name="mostOfUser">Bytes that the user's files may have with this one, else the transaction fails (<see cref="IsStorageFull"/>); null: any.</param>
    public void AddSeal(TenantBatch batch, TimeSpan? keptFor = null, long? mostOfUser = null) => batch.Add(
        SealSql,
        Parameter.Of(_session.Scope.TenantId),
        Parameter.Of(_userId),
        Parameter.Of(FileId),
        Parameter.Of(Bytes),
        Parameter.Of(keptFor),
        Parameter.Of(mostOfUser));

    /// <summary>Whether an exception of a sealing transaction says that the user's files have no room for this one (raised by <c>seal_file</c>).</summary>
    public static bool IsStorageFull(PostgresException exception) => exception.SqlState == "AI004";

    /// <summary>Takes back what was written.</summary>
    public Task DiscardAsync(CancellationToken cancellationToken) => _session.ExecuteAsync(
        new TenantBatch().Add(
            "DELETE FROM aiaspire.files WHERE tenant_id = $1 AND user_id = $2 AND file_id = $3 AND NOT is_ready",
            Parameter.Of(_session.Scope.TenantId), Parameter.Of(_userId), Parameter.Of(FileId)),
        cancellationToken);

    public static WireException TooLarge(long maxBytes) => new(
        413, "invalid_request_error", "file_too_large", $"The file is larger than the {maxBytes} bytes that are taken (Files:MaxBytes). Split it into several files.", "file")
    { ShouldRetry = false };

    public static WireException StorageFull(long mostOfUser) => new(
        413, "invalid_request_error", "storage_full", $"With this one your files would have more than the {mostOfUser} bytes that a user's may have (Files:MaxUserBytes). Delete some.", "file")
    { ShouldRetry = false };

    private async ValueTask FlushAsync(long end, CancellationToken cancellationToken)
    {
        var start = end - _buffered;
        await _session.ExecuteAsync(
            new TenantBatch().Add(
                ChunkSql,
                Parameter.Of(_session.Scope.TenantId),
                Parameter.Of(_userId),
                Parameter.Of(FileId),
                Parameter.Of(start),
                Parameter.Of(_cipher.Encrypt(_buffer.AsSpan(0, _buffered), FileStore.ChunkPlace(FileId, start)))),
            cancellationToken);
        _buffered = 0;
    }
}
