using System.Runtime.CompilerServices;

namespace AiAspire.Core.Files;

/// <summary>A line of a file.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Start">Where it begins.</param>
/// <param name="End">Where the next one begins.</param>
/// <param name="Bytes">Without the line break; valid until the next line is asked for.</param>
/// <param name="IsTooLong">It is longer than was allowed; its bytes are left out.</param>
public readonly record struct FileLine(int Number, long Start, long End, ReadOnlyMemory<byte> Bytes, bool IsTooLong);

/// <summary>Cuts content into lines as it comes, with no more in memory than one of them.</summary>
public static class FileLines
{
    /// <summary>Lines that are not blank. They end with LF or CRLF; the last may end with the file. A byte order mark is passed over.</summary>
    /// <param name="content">The pieces, in order.</param>
    /// <param name="firstNumber">The number of the first line.</param>
    /// <param name="start">Where in the file the content begins.</param>
    /// <param name="maxBytes">Most bytes of a line.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public static async IAsyncEnumerable<FileLine> ReadAsync(
        IAsyncEnumerable<ReadOnlyMemory<byte>> content, int firstNumber, long start, int maxBytes, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var buffer = new byte[Math.Min(maxBytes, 4096)];
        var (held, tooLong, number, lineStart) = (0, false, firstNumber, start);
        var position = start;
        await foreach (var piece in content.WithCancellation(cancellationToken))
        {
            for (var rest = piece; !rest.IsEmpty;)
            {
                var end = rest.Span.IndexOf((byte)'\n');
                var part = end < 0 ? rest : rest[..end];
                if (held + part.Length > maxBytes)
                    (held, tooLong) = (0, true);
                if (!tooLong)
                {
                    if (held + part.Length > buffer.Length)
                        Array.Resize(ref buffer, Math.Max(held + part.Length, Math.Min(maxBytes, buffer.Length * 2)));
                    part.CopyTo(buffer.AsMemory(held));
                    held += part.Length;
                }

                var taken = end < 0 ? part.Length : part.Length + 1;
                position += taken;
                rest = rest[taken..];
                if (end < 0)
                    break;
                if (Line() is { } line)
                    yield return line;
                (held, tooLong, lineStart) = (0, false, position);
                number++;
            }
        }

        if (Line() is { } last)
            yield return last;

        FileLine? Line()
        {
            var bytes = buffer.AsMemory(0, held);
            if (lineStart == 0 && bytes.Span.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]))
                bytes = bytes[3..];
            var isBlank = bytes.Span.Trim(" \t\r"u8).IsEmpty;
            return isBlank && !tooLong ? null : new FileLine(number, lineStart, position, bytes, tooLong);
        }
    }
}
