using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Encryption;

/// <summary>
/// The tombstones outside the key store (<see cref="EncryptionOptions.TombstonesPath"/>): JSON Lines, only ever appended, on disk before
/// an erasure commits, each line authenticated. Several processes share it under an exclusive lock of the file.
/// </summary>
internal sealed partial class TombstoneFile(IMasterKey masterKey, TimeProvider time, IOptions<EncryptionOptions> options, ILogger<TombstoneFile> logger)
{
    private const int MacKeyBytes = 32;
    private static readonly TimeSpan LockRetry = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LockTimeout = TimeSpan.FromSeconds(30);

    private readonly string? _path = options.Value.TombstonesPath;
    private MacKey? _current;

    public bool IsConfigured => !string.IsNullOrWhiteSpace(_path);

    public void ThrowIfNotConfigured()
    {
        if (!IsConfigured)
            throw new InvalidOperationException("Encryption:TombstonesPath is not set. Without tombstones outside the key store, restoring an old backup of it would bring destroyed keys back.");
    }

    /// <summary>Appends tombstones and returns when they are on disk.</summary>
    public async Task AppendAsync(IReadOnlyList<Tombstone> tombstones, CancellationToken cancellationToken)
    {
        ThrowIfNotConfigured();
        await using var file = await OpenAsync(cancellationToken);
        await RemoveTornTailAsync(file, cancellationToken);
        var text = new StringBuilder();
        // A file shorter than where the key was seen is another file: it needs the key's line again.
        if (_current is not { } key || file.Length < key.KnownUpTo)
        {
            var bytes = RandomNumberGenerator.GetBytes(MacKeyBytes);
            key = new MacKey(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8)), bytes, 0);
            text.Append((await WrapAsync(key.Id, bytes, cancellationToken)).Write());
        }

        foreach (var tombstone in tombstones)
            text.Append(TombstoneLine.Of(tombstone, key.Id, key.Bytes).Write());
        await WriteAsync(file, text.ToString(), cancellationToken);
        _current = key with { KnownUpTo = file.Length };
    }

    /// <summary>All tombstones of the file, each verified.</summary>
    /// <exception cref="InvalidOperationException">A line was altered, or its key was wrapped by a master key that is not given any more.</exception>
    public async Task<IReadOnlyCollection<Tombstone>> ReadAsync(CancellationToken cancellationToken)
    {
        ThrowIfNotConfigured();
        await using var file = await OpenAsync(cancellationToken);
        var lines = await LinesAsync(file, cancellationToken);
        var keys = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (var line in LatestKeys(lines))
        {
            try
            {
                keys[line.MacKey] = await masterKey.UnwrapAsync(new WrappedKey(line.MasterKeyId!, line.Wrapped!), TombstoneLine.MacKeyPlace(line.MacKey), cancellationToken);
            }
            catch (CryptographicException e)
            {
                throw new InvalidOperationException($"The key '{line.MacKey}' that authenticates {_path} does not open. Give back the master key '{line.MasterKeyId}'. {e.Message}", e);
            }

            _current = new MacKey(line.MacKey, keys[line.MacKey], file.Length);
        }

        var tombstones = new Dictionary<(Guid, Guid), Tombstone>();
        foreach (var (line, index) in lines.Select((line, index) => (line, index)).Where(l => l.line.Wrapped is null))
        {
            var tombstone = (keys.TryGetValue(line.MacKey, out var key) ? line.Verify(key) : null) ?? throw Altered(index + 1, null);
            tombstones.TryAdd((tombstone.TenantId, tombstone.UserId), tombstone);
        }

        return tombstones.Values;
    }

    /// <summary>Wraps the file's MAC keys under the current master key, as further lines.</summary>
    public async Task RewrapAsync(string currentMasterKeyId, CancellationToken cancellationToken)
    {
        if (!IsConfigured || !File.Exists(_path))
            return;
        await using var file = await OpenAsync(cancellationToken);
        var text = new StringBuilder();
        foreach (var line in LatestKeys(await LinesAsync(file, cancellationToken)).Where(l => l.MasterKeyId != currentMasterKeyId))
        {
            var key = await masterKey.UnwrapAsync(new WrappedKey(line.MasterKeyId!, line.Wrapped!), TombstoneLine.MacKeyPlace(line.MacKey), cancellationToken);
            text.Append((await WrapAsync(line.MacKey, key, cancellationToken)).Write());
        }

        if (text.Length > 0)
        {
            await RemoveTornTailAsync(file, cancellationToken);
            await WriteAsync(file, text.ToString(), cancellationToken);
        }
    }

    private async Task<TombstoneLine> WrapAsync(string id, byte[] key, CancellationToken cancellationToken)
    {
        var wrapped = await masterKey.WrapAsync(key, TombstoneLine.MacKeyPlace(id), cancellationToken);
        return new TombstoneLine { MacKey = id, MasterKeyId = wrapped.MasterKeyId, Wrapped = wrapped.Bytes };
    }

    private static IEnumerable<TombstoneLine> LatestKeys(List<TombstoneLine> lines)
        => lines.Where(l => l is { Wrapped: not null, MasterKeyId: not null }).GroupBy(l => l.MacKey).Select(g => g.Last());

    private async Task<List<TombstoneLine>> LinesAsync(FileStream file, CancellationToken cancellationToken)
    {
        file.Position = 0;
        using var reader = new StreamReader(file, Encoding.UTF8, leaveOpen: true);
        var texts = (await reader.ReadToEndAsync(cancellationToken)).Split('\n');
        // The last piece is empty, or what a crash left of a line whose erasure was therefore never confirmed.
        if (texts[^1].Length > 0)
            LogTorn(logger, _path!);
        var lines = new List<TombstoneLine>(texts.Length);
        for (var i = 0; i < texts.Length - 1; i++)
        {
            try
            {
                lines.Add(TombstoneLine.Parse(texts[i]));
            }
            catch (JsonException e)
            {
                throw Altered(i + 1, e);
            }
        }

        return lines;
    }

    private InvalidOperationException Altered(int lineNumber, Exception? inner) => new(
        $"Line {lineNumber} of {_path} was altered. Bring the file back from its own backup before starting: without it, erased users may be readable again.", inner);

    private async Task<FileStream> OpenAsync(CancellationToken cancellationToken)
    {
        var settings = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            settings.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(_path!))!);
        for (var started = time.GetTimestamp(); ;)
        {
            try
            {
                return new FileStream(_path!, settings);
            }
            catch (IOException) when (time.GetElapsedTime(started) < LockTimeout)
            {
                // Another process has the file for a moment.
                await Task.Delay(LockRetry, time, cancellationToken);
            }
        }
    }

    private static async Task RemoveTornTailAsync(FileStream file, CancellationToken cancellationToken)
    {
        var end = file.Length;
        var last = new byte[1];
        for (; end > 0; end--)
        {
            file.Position = end - 1;
            await file.ReadExactlyAsync(last, cancellationToken);
            if (last[0] == (byte)'\n')
                break;
        }

        if (end != file.Length)
            file.SetLength(end);
    }

    private static async Task WriteAsync(FileStream file, string text, CancellationToken cancellationToken)
    {
        file.Position = file.Length;
        await file.WriteAsync(Encoding.UTF8.GetBytes(text), cancellationToken);
        file.Flush(flushToDisk: true);
    }

    private sealed record MacKey(string Id, byte[] Bytes, long KnownUpTo);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The last line of {Path} is incomplete, as after a crash; that erasure was never confirmed and is left out")]
    private static partial void LogTorn(ILogger logger, string path);
}
