namespace AiAspire.Core.Audit;

/// <summary>The file of signed heads. Replicas on one machine share it: whoever holds it exclusively reads on and appends.</summary>
internal sealed class HeadsFile(string path)
{
    private const int ReadAttempts = 200;
    private static readonly TimeSpan ReadPause = TimeSpan.FromMilliseconds(25);

    public string Path { get; } = path;

    /// <summary>Opens the file for appending, alone; null while another process has it.</summary>
    public HeadsFileLock? TryLock()
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        try
        {
            return new HeadsFileLock(new FileStream(Path, options));
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or PathTooLongException or DriveNotFoundException))
        {
            return null;
        }
    }

    /// <summary>Every line; an unreadable one is null.</summary>
    public async Task<List<SignedHead?>> ReadAsync(TimeProvider time, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                if (!File.Exists(Path))
                    return [];
                return Parse(await File.ReadAllBytesAsync(Path, cancellationToken), out _);
            }
            catch (IOException) when (attempt < ReadAttempts)
            {
                // A writer has it for the moment.
                await Task.Delay(ReadPause, time, cancellationToken);
            }
        }
    }

    /// <param name="bytes">Lines.</param>
    /// <param name="consumed">Bytes up to the last line end.</param>
    internal static List<SignedHead?> Parse(ReadOnlySpan<byte> bytes, out int consumed)
    {
        var heads = new List<SignedHead?>();
        consumed = 0;
        while (bytes[consumed..].IndexOf((byte)'\n') is var length and >= 0)
        {
            if (length > 0)
                heads.Add(SignedHead.FromLine(bytes.Slice(consumed, length)));
            consumed += length + 1;
        }

        return heads;
    }
}

internal sealed class HeadsFileLock(FileStream stream) : IDisposable
{
    /// <summary>More than a line, and with its signature.</summary>
    private const int TailBytes = 512;

    /// <summary>The last bytes before a position, by which a file that lost lines is told from one that only grew; null past its end.</summary>
    public byte[]? TailAt(long position)
    {
        if (stream.Length < position)
            return null;
        var tail = new byte[Math.Min(TailBytes, position)];
        stream.Position = position - tail.Length;
        stream.ReadExactly(tail);
        return tail;
    }

    /// <summary>The heads from this position to the end, and the position after them.</summary>
    public List<SignedHead?> ReadFrom(ref long position)
    {
        stream.Position = position;
        var bytes = new byte[stream.Length - position];
        stream.ReadExactly(bytes);
        var heads = HeadsFile.Parse(bytes, out var consumed);
        position += consumed;
        return heads;
    }

    /// <summary>Appends and waits until the bytes are on the disk.</summary>
    public void Append(IEnumerable<SignedHead> heads, ref long position)
    {
        // A line cut by a crash is ended here, so that it spoils no other.
        stream.Position = stream.Length;
        if (position < stream.Length)
            stream.WriteByte((byte)'\n');
        foreach (var head in heads)
            stream.Write(head.ToLine());
        stream.Flush(flushToDisk: true);
        position = stream.Length;
    }

    public void Dispose() => stream.Dispose();
}
