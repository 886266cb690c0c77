using System.Text;

namespace Aspire.Hosting.Embedded;

/// <summary>
/// What one process wrote: the last lines in memory, everything in a file, and a rendered copy to <paramref name="show"/>.
/// </summary>
internal sealed class ResourceLog(string file, Action<string>? show) : IDisposable
{
    private const int Kept = 2_000;
    private readonly Queue<string> _lines = new();
    private readonly StreamWriter _file = new(file, append: false, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
    private bool _closed;

    public void Write(string line)
    {
        lock (_lines)
        {
            if (_closed)
                return;

            _lines.Enqueue(line);
            if (_lines.Count > Kept)
                _lines.Dequeue();
            _file.WriteLine(line);
        }

        show?.Invoke(line);
    }

    /// <summary>Puts what was written into the file; called when no line is waiting, so that a flood of them is written in blocks.</summary>
    public void Flush()
    {
        lock (_lines)
        {
            if (!_closed)
                _file.Flush();
        }
    }

    /// <summary>The last lines, rendered, oldest first.</summary>
    public IReadOnlyList<string> Last(int count)
    {
        lock (_lines)
            return [.. _lines.TakeLast(count).Select(LogLine.Render)];
    }

    /// <summary>The lines in memory as they were written, oldest first.</summary>
    public IReadOnlyList<string> All()
    {
        lock (_lines)
            return [.. _lines];
    }

    public void Dispose()
    {
        lock (_lines)
        {
            _closed = true;
            _file.Dispose();
        }
    }
}
